"""How far the database is behind the code."""

from functools import lru_cache
from typing import NamedTuple

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder


class Migrations(NamedTuple):
    """Names such as `sales.0001_initial`, sorted."""

    applied: list[str]
    unapplied: list[str]


def migrations() -> Migrations:
    """The migrations that the database has, and those it lacks; one or two queries."""
    applied = {f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()}
    return Migrations(sorted(applied), sorted(known_migrations() - applied))


@lru_cache(maxsize=1)
def known_migrations() -> frozenset[str]:
    """The migrations in the code, which does not change while the process lives."""
    loader = MigrationLoader(None, load=False)
    loader.load_disk()
    return frozenset(f"{app}.{name}" for app, name in loader.disk_migrations)
