"""How log records look, and which request or task each belongs to.

nginx makes an id for each request, logs it and sends it along (X-Request-ID). Here it is in the
lines of the web process and, by a header of the task's message (config/celery.py), in those of the
worker. So `journalctl -g ID` shows all that a request did.
"""

import logging
import os
import re
import sys
from contextvars import ContextVar

from django.core.signals import request_finished, request_started
from django.db import InterfaceError, OperationalError
from django.dispatch import receiver

REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
PRIORITIES = {"CRITICAL": 2, "ERROR": 3, "WARNING": 4, "INFO": 6, "DEBUG": 7}  # syslog(3)

request_id: ContextVar[str] = ContextVar("request_id", default="")
task_id: ContextVar[str] = ContextVar("task_id", default="")

logging.captureWarnings(True)  # by themselves they are written as two lines


# The signals, because Django logs an answer such as 404 after all middleware.
@receiver(request_started)
def begin_request(environ: dict, **kwargs) -> None:
    """Remember the request's id in this thread."""
    sent = environ.get("HTTP_X_REQUEST_ID", "")
    request_id.set(sent if REQUEST_ID.fullmatch(sent) else "")


@receiver(request_finished)
def end_request(**kwargs) -> None:
    """Forget it: the thread serves other requests next."""
    request_id.set("")


class ReasonOnly(logging.Filter):
    """Puts the error in place of its traceback.

    For the cache: while it is down, every read fails several times, always at the same place.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, shorter."""
        if record.exc_info:
            record.msg, record.args = f"{record.getMessage()}: {record.exc_info[1]}", ()
            record.exc_info = None
        return True


class ReasonOnlyOfDatabase(ReasonOnly):
    """The same, for what the database did not do: while it is down, that is every request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record, shorter if it is about the database."""
        if record.exc_info and isinstance(record.exc_info[1], OperationalError | InterfaceError):
            return super().filter(record)
        return True


class OneLineFormatter(logging.Formatter):
    """One line per record, tracebacks included; the journal adds time, unit and process.

    It also keeps what a stranger sends (a path with line breaks) from looking like a record.
    """

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._to_journal = goes_to_journal()

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record without its traceback, with the ids of the request and the task."""
        ids = {"request_id": request_id.get(), "task_id": task_id.get()}
        found = "".join(f" {name}={value}" for name, value in ids.items() if value)
        return super().formatMessage(record) + found

    def format(self, record: logging.LogRecord) -> str:
        """The record with every line break written as a visible one."""
        line = super().format(record).replace("\r", "\\r").replace("\n", "\\n")
        # The journal takes the priority from the line: `journalctl -p warning`.
        return f"<{PRIORITIES.get(record.levelname, 6)}>{line}" if self._to_journal else line


def goes_to_journal() -> bool:
    """Whether standard error is the journal (systemd.exec(5), $JOURNAL_STREAM)."""
    error = os.fstat(sys.__stderr__.fileno() if sys.__stderr__ else 2)
    return os.environ.get("JOURNAL_STREAM") == f"{error.st_dev}:{error.st_ino}"


CONFIG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": OneLineFormatter}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
}
