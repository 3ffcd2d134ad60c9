"""How log records look."""

import logging

from django.db import InterfaceError, OperationalError


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
    """One line per record, tracebacks included; the journal adds the time.

    It also keeps what a stranger sends (a path with line breaks) from looking like a record.
    """

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record with every line break written as a visible one."""
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")
