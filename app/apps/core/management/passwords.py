"""A password for a management command."""

import sys

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser


def add_password_option(parser: CommandParser) -> None:
    """Add --password-stdin. On the command line itself, every user of the machine could read it."""
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input; without it, nobody can log in with one",
    )


def read_password(options: dict) -> str | None:
    """The password from standard input, or None without --password-stdin.

    Raises CommandError when it is missing or too weak.
    """
    if not options["password_stdin"]:
        return None
    password = sys.stdin.readline().rstrip("\r\n")
    try:
        validate_password(password)
    except ValidationError as error:
        raise CommandError("the password is refused: " + " ".join(error.messages)) from None
    return password
