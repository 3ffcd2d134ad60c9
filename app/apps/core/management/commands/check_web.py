"""Ask a web process that nobody reaches yet for real pages."""

import http.client
import socket

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

SECONDS = 30  # that an answer may take


class Command(BaseCommand):
    """Used by the platform before it serves a release."""

    help = "Ask the web process behind a unix socket for settings.CHECKED_PATHS; none may fail."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the path of the socket."""
        parser.add_argument("socket")

    def handle(self, *, socket: str, **options) -> None:
        """Fail with each answer of 500 and above."""
        answers = {path: ask(socket, path) for path in settings.CHECKED_PATHS}
        if failed := [f"{path}: {said}" for path, said in answers.items() if not said.isdigit()]:
            raise CommandError("\n".join(failed))
        self.stdout.write(f"{len(answers)} pages answer")


def ask(path_of_socket: str, path: str) -> str:
    """Return the status of an answer; of one that failed more, in words."""
    connection = http.client.HTTPConnection(settings.ALLOWED_HOSTS[0].lstrip("."))
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(SECONDS)
        connection.sock.connect(path_of_socket)
        connection.request("GET", path, headers={"X-Forwarded-Proto": "https"})
        answer = connection.getresponse()
        body = answer.read(300).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return str(answer.status) if answer.status < 500 else f"{answer.status} {body}"
