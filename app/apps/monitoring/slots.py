"""Slots: small numbers that the processes of a service take and give back.

A process holds slot N of a role ("main" or "child") by a POSIX record lock on byte N of the file
`<role>.lock`. The kernel frees the lock however the process ends, a forked child does not inherit
it, and anybody may ask who holds it (fcntl(2), F_GETLK). So what is kept by slot is bounded by
the processes that lived at the same time, however many ever lived.

One trap: a process loses all its locks on a file when it closes any descriptor of that file, so a
process that holds a slot must never open the role's lock file again.
"""

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

ROLES = ("main", "child")
LIMIT = 1024  # processes of one role at the same time

# struct flock of 64-bit Linux: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


@dataclass(eq=False)  # two takings are never equal, even of the same number
class Slot:
    """A slot that this process holds.

    As text (`child-0`) it is a part of the names of the process's files. Slots are compared by
    identity, by which prometheus_client notices that it must open its files again.
    """

    directory: Path
    role: str
    number: int
    lock: int  # the descriptor that holds it

    def __str__(self) -> str:
        return f"{self.role}-{self.number}"

    def is_held(self) -> bool:
        """Whether the lock still stands where others look: its file was not removed."""
        try:
            there = (self.directory / f"{self.role}.lock").stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self.lock))


@dataclass(frozen=True)
class Holder:
    """A slot as others see it; `pid` is None while nobody holds it."""

    role: str
    number: int
    pid: int | None

    def __str__(self) -> str:
        return f"{self.role}-{self.number}"


def take(directory: Path, role: str, first: int = 0) -> Slot:
    """Take the slot `first` of the role if it is free, or else the lowest that is.

    Raises OSError if there is none, or the directory cannot be written to.
    """
    lock = os.open(directory / f"{role}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        for number in (first, *range(LIMIT)):
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
            except (BlockingIOError, PermissionError):  # POSIX allows either when it is taken
                continue
            # The file's length shows how many slots there ever were.
            os.pwrite(lock, b"\n", number)
            return Slot(directory, role, number, lock)
        raise OSError(f"all {LIMIT} slots of {directory}/{role}.lock are taken")
    except BaseException:
        os.close(lock)
        raise


def holders(directory: Path) -> list[Holder]:
    """All slots that were ever taken in the directory, each with the process that holds it now."""
    found = []
    for role in ROLES:
        try:
            lock = os.open(directory / f"{role}.lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            for number in range(min(os.fstat(lock).st_size, LIMIT)):
                found.append(Holder(role, number, _pid(lock, number)))
        finally:
            os.close(lock)
    return found


def _pid(lock: int, number: int) -> int | None:
    question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, number, 1, 0)
    kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(lock, fcntl.F_GETLK, question))
    return None if kind == fcntl.F_UNLCK else pid
