"""`manage ensure_admin`: the platform's first administrator."""

from django.core.management.base import BaseCommand, CommandParser
from typing_extensions import override

from apps.core.management.passwords import add_password_option, read_password
from apps.core.models import User


class Command(BaseCommand):
    """Prints `created …` or `exists …`."""

    help = "Create a platform administrator unless the user exists; change nothing otherwise."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", default="admin")
        parser.add_argument("--email", default="")
        add_password_option(parser)

    @override
    def handle(self, *, username: str, email: str, **options) -> None:
        if User.objects.filter(username=username).exists():
            self.stdout.write(f"exists {username}")
            return
        User.objects.create_superuser(username, email, read_password(options))
        self.stdout.write(f"created {username}")
