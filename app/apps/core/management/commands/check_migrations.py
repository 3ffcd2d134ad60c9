"""Find migrations that the code which runs now could not live with."""

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder


class Command(BaseCommand):
    """The platform runs this before it migrates, while the previous release still serves."""

    help = "Lint the migrations that are not applied yet; fail if one breaks the code before it."

    def handle(self, **options) -> None:
        """Leave out apps of which nothing is applied: what runs does not know them."""
        applied = {app for app, _ in MigrationRecorder(connection).applied_migrations()}
        if applied:
            call_command(
                "lintmigrations",
                unapplied_migrations=True,
                include_apps=sorted(applied),
                quiet=["ok", "ignore", "warning"],
            )
