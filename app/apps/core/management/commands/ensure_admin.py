"""`manage ensure_admin`: the platform's first administrator."""

from django.core.management.base import BaseCommand, CommandParser

from apps.core.management.passwords import add_password_option, read_password
from apps.core.models import User


class Command(BaseCommand):
    """Prints `created …` or `exists …`."""

    help = "Create a platform administrator unless the user exists; change nothing otherwise."

    def add_arguments(self, parser: CommandParser) -> None:
        """See django.core.management.BaseCommand."""
        parser.add_argument("--username", default="admin")
        parser.add_argument("--email", default="")
        add_password_option(parser)

    def handle(self, *, username: str, email: str, **options) -> None:
        """See django.core.management.BaseCommand."""
        if User.objects.filter(username=username).exists():
            self.stdout.write(f"exists {username}")
            return
        User.objects.create_superuser(username, email, read_password(options))
        self.stdout.write(f"created {username}")
