"""Django's `migrate`, which does not let the site wait behind it.

A migration that waits for a table's lock makes every later query of that table wait, too. So it
waits for a few seconds only, lets the others pass, and tries again; it says who holds the lock.
"""

import threading
import time

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands import migrate
from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

PAUSE = 2  # seconds between two attempts, in which the queries that waited behind it are answered
HOLDERS = """
    SELECT format('process %%s (user %%s, %%s, %%s for %%s s): %%s', pid, usename,
        coalesce(nullif(application_name, ''), 'no application name'), state,
        extract(epoch FROM now() - xact_start)::int, left(query, 60))
    FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY xact_start
"""


class Holders(threading.Thread):
    """Look, on a connection of its own, who holds the locks that a connection waits for."""

    def __init__(self, alias: str, pid: int, interval: float) -> None:
        super().__init__(name="holders", daemon=True)
        self.found: list[str] = []
        self._alias, self._pid, self._interval = alias, pid, interval
        self._ended = threading.Event()

    def __enter__(self) -> "Holders":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        """Look until the end."""
        connection = connections[self._alias]  # this thread's own
        try:
            while not self._ended.wait(self._interval):
                with connection.cursor() as cursor:
                    cursor.execute(HOLDERS, [self._pid])
                    self.found = [row[0] for row in cursor.fetchall()] or self.found
        finally:
            connection.close()


class Command(migrate.Command):
    """`migrate` with a limit on how long it waits for a lock."""

    def add_arguments(self, parser: CommandParser) -> None:
        """Add those of the waiting to Django's."""
        super().add_arguments(parser)
        parser.add_argument(
            "--lock-timeout",
            type=float,
            default=3,
            metavar="SECONDS",
            help="How long a migration waits for a lock, and the site behind it.",
        )
        parser.add_argument(
            "--lock-attempts",
            type=int,
            default=10,
            metavar="NUMBER",
            help="How often it tries to get the lock.",
        )

    def handle(self, *args, lock_timeout: float, lock_attempts: int, **options) -> None:
        """Migrate; begin again with the migration that did not get its lock."""
        self._connection = connection = connections[options["database"]]
        self._lock_timeout = lock_timeout
        for attempt in range(1, lock_attempts + 1):
            connection.ensure_connection()
            pid = connection.connection.info.backend_pid
            with Holders(connection.alias, pid, min(lock_timeout / 4, 0.5)) as holders:
                try:
                    super().handle(*args, **options)
                    return
                except OperationalError as error:
                    if not isinstance(error.__cause__, LockNotAvailable):
                        raise
                finally:
                    if connection.is_usable():
                        self._limit("DEFAULT", "DEFAULT")
            held = "; ".join(holders.found) or "by somebody who has ended"
            self.stdout.write(
                f"\n  Attempt {attempt} of {lock_attempts}: a lock was not available within"
                f" {lock_timeout:g} s. It is held by {held}"
            )
            if attempt < lock_attempts:
                time.sleep(PAUSE)
        raise CommandError(
            f"The migration waited {lock_attempts} times for a lock and is not applied; those"
            f" before it are. The lock is held by {held}. Wait until that has ended, or end it"
            " with `select pg_terminate_backend(PROCESS)`, and try again."
        )

    def migration_progress_callback(self, action, migration=None, fake=False) -> None:
        """Set the limits for each migration, before it begins its transaction.

        The web's limit on queries does not count here. A migration that is no transaction would
        leave a part of its work behind; it builds an index while others work, so it may wait.
        """
        if action in ("apply_start", "unapply_start"):
            seconds = self._lock_timeout if migration.atomic else 0
            self._limit(f"'{int(seconds * 1000)}'", "'0'")
        super().migration_progress_callback(action, migration, fake)

    def _limit(self, lock: str, statement: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {lock}; SET statement_timeout = {statement}")
