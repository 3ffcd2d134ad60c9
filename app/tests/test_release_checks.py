"""What the platform does with a release before it is served: migrate, check web and worker."""

import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import redis
from django.apps import apps
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.urls import resolve

from tests.services import BROKER_PORT

APP = Path(__file__).parents[1]


@pytest.fixture
def reader(transactional_db):
    """A transaction that has read the sessions; it ends when the returned function is called."""
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SET application_name = 'report'; SELECT * FROM django_session")
    yield other.connection.close  # unlike Django's, from any thread
    other.connection.close()
    call_command("migrate", "sessions", verbosity=0)


@pytest.fixture
def migrate(reader):
    """Return a function that removes the table of sessions; it needs an exclusive lock."""

    def run(said=None, **options):
        said = said or StringIO()
        options |= {"lock_timeout": 0.5, "stdout": said, "no_color": True}
        try:
            call_command("migrate", "sessions", "zero", **options)
        except CommandError as error:
            return f"{said.getvalue()}\n{error}"
        return said.getvalue()

    return run


def test_migration_waits_for_seconds_and_says_for_whom(migrate):
    said = migrate(lock_attempts=1)

    assert "Attempt 1 of 1: a lock was not available within 0.5 s" in said
    assert "report, idle in transaction for" in said
    assert "is not applied" in said
    assert "django_session" in connection.introspection.table_names()


def test_migration_is_tried_again(migrate, reader):
    class Output(StringIO):
        def write(self, text: str) -> int:
            if "Attempt 1 of 3" in text:
                reader()
            return super().write(text)

    said = migrate(Output(), lock_attempts=3)

    assert "Attempt 1 of 3" in said
    assert "Unapplying sessions.0001_initial... OK" in said
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("0",)


@pytest.mark.django_db
def test_migrations_suit_the_release_that_still_runs(capsys):
    """Else `site.yml` refuses them: add what is accepted, with the reason, to the settings."""
    ours = [app.label for app in apps.get_app_configs() if app.name.startswith("apps.")]
    try:
        call_command("lintmigrations", include_apps=ours)
    except SystemExit:
        pytest.fail(capsys.readouterr().out)


@pytest.mark.django_db
def test_migration_that_removes_what_is_in_use_is_found(capsys):
    MigrationRecorder(connection).record_unapplied("knox", "0008_remove_authtoken_salt")

    with pytest.raises(SystemExit):
        call_command("check_migrations")

    said = capsys.readouterr().out
    assert "(knox, 0008_remove_authtoken_salt)... ERR" in said


@pytest.mark.django_db
def test_migrations_of_an_application_that_is_new_break_nothing():
    MigrationRecorder(connection).migration_qs.filter(app="knox").delete()
    call_command("check_migrations")


@pytest.mark.parametrize("path", settings.CHECKED_PATHS)
def test_checked_page_is_there(path):
    resolve(path)


def test_worker_runs_a_task_and_leaves_nothing_behind():
    broker = redis.Redis(port=BROKER_PORT)
    before = set(broker.keys())

    done = subprocess.run(
        [sys.executable, "manage.py", "check_worker"], cwd=APP, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    assert "A worker starts and runs tasks" in done.stdout
    left = {key for key in set(broker.keys()) - before if b"check-" in key}
    assert left == set()


def test_worker_that_crashes_at_its_start_is_found(tmp_path):
    shutil.copytree(APP, tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    with (tmp_path / "app/config/settings.py").open("a") as file:
        file.write('\nCELERY_WORKER_POOL = "no_such_module:Pool"\n')

    done = subprocess.run(
        [sys.executable, "manage.py", "check_worker"],
        cwd=tmp_path / "app",
        env=os.environ,
        capture_output=True,
        text=True,
    )

    assert done.returncode != 0
    assert "The worker ends at its start" in done.stderr
    assert "no_such_module" in done.stderr
