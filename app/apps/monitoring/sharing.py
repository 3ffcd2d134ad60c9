"""Lets all processes of a service count together, whichever of them answers.

prometheus_client can write each value to a file in $PROMETHEUS_MULTIPROC_DIR; by its own it makes
new files for each process that ever lived, which grow without bound. Here the files belong to
slots (slots.py): a process that takes a slot goes on counting where the one before it stopped, be
it recycled, killed, or of another release. The exporter reads the files and adds them up.

`share` is called by the process that systemd starts (gunicorn's master, Celery's parent, beat),
before any metric is made; each process that it forks calls `join`. What goes wrong here
is logged and never raised: nobody's request fails because of a number.
"""

import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Metric,
    PlatformCollector,
    ProcessCollector,
    values,
)
from prometheus_client.samples import Sample

from apps.monitoring import slots
from apps.monitoring.files import VARIABLE, check

logger = logging.getLogger(__name__)

INTERVAL = 2  # seconds between two looks of a process at itself
ROOM = 1_000_000  # bytes; a process that writes to a mapped file and finds no room is killed

_directory: Path | None = None
_elsewhere: Path | None = None  # where a process writes while it cannot write there
_main_pid = 0
_pid = 0  # whose the following is: a fork leaves the child with its parent's
_slot: slots.Slot | None = None
_identity: object = None  # which files are written to: the slot's, or those elsewhere
_mend = False  # whether these have to be looked after at the next change of a value

# Held while the thread below works. Nobody forks then, so no child inherits a lock of
# prometheus_client that the thread, which the child does not have, would have to release.
_working = threading.Lock()


def share() -> None:
    """Write the metrics of this process and its children to $PROMETHEUS_MULTIPROC_DIR, if set."""
    global _directory, _elsewhere, _main_pid
    if _directory or not os.environ.get(VARIABLE):
        return
    try:
        _elsewhere = Path(tempfile.mkdtemp(prefix="metrics-"))
    except OSError:
        logger.exception("metrics are not exported")
        values.ValueClass = values.MutexValue
        return
    _directory, _main_pid = Path(os.environ[VARIABLE]), os.getpid()
    values.ValueClass = values.MultiProcessValue(process_identifier=_identify)
    os.register_at_fork(
        before=_working.acquire, after_in_parent=_working.release, after_in_child=_working.release
    )
    join()


def join() -> None:
    """From now on, tell of this process itself and mend its files, in a thread."""
    if not _directory:
        return
    try:
        itself = Itself(forked=os.getpid() != _main_pid)
        threading.Thread(target=_work, args=[itself], name="metrics", daemon=True).start()
    except Exception:
        logger.exception("metrics of process %d", os.getpid())


def _work(itself: "Itself") -> None:
    global _mend
    while True:
        with _working:
            try:
                _mend = _pid == os.getpid() and _lost()
                itself.update()  # its first change mends
            except Exception:
                logger.exception("metrics of process %d", os.getpid())
        time.sleep(INTERVAL)


def _identify() -> object:
    """What prometheus_client calls at every change of a value: which files are this process's.

    It holds its lock meanwhile, so nothing is counted while files change.
    """
    if _mend or _pid != os.getpid():
        _take()
    return _identity


def _take() -> None:
    """Take a slot and its files; go on elsewhere, in files that nobody reads, if that fails."""
    global _pid, _slot, _identity, _mend
    pid = os.getpid()
    before, was = (_slot, _identity) if _pid == pid else (None, None)
    _pid, _slot, _mend = pid, before, False
    taken = None
    try:
        _try_directory()
        if before and before.is_held():  # its lock file must not be opened again
            slot = slots.Slot(before.directory, before.role, before.number, before.lock)
        else:
            role, first = "main" if pid == _main_pid else "child", before.number if before else 0
            slot = taken = slots.take(_directory, role, first)
        if before:
            _write_again(before, slot)
        else:
            _forget(slot)
        check(_directory, slot)
    except Exception as error:
        if taken:
            os.close(taken.lock)
        if was is before:  # say it once
            logger.error("metrics of process %d are not exported: %s", pid, error)
            os.environ[VARIABLE], _identity = str(_elsewhere), f"child-{pid}"
        return
    if taken and before:
        os.close(before.lock)
    os.environ[VARIABLE], _slot, _identity = str(_directory), slot, slot
    if was:
        for path in _elsewhere.glob(f"*_child-{pid}.db"):
            path.unlink()
        logger.warning(
            "metrics: files were removed or not to be written to; process %d goes on as %s of %s",
            pid, slot, _directory,
        )  # fmt: skip


def _try_directory() -> None:
    """Raise OSError if files cannot be made in the directory, or not be written to."""
    disk = os.statvfs(_directory)
    if disk.f_bavail * disk.f_frsize < ROOM:
        raise OSError(f"there is no room in {_directory}")
    if not os.access(_directory, os.W_OK | os.X_OK):
        raise PermissionError(f"{_directory} cannot be written to")


def _forget(slot: slots.Slot) -> None:
    """Remove what the process before told of itself; what it counted is gone on with.

    A main process tells of the service, as its successor will; of what a child tells, only live…
    gauges end with it.
    """
    ended = "gauge_*" if slot.role == "main" else "gauge_live*"
    for path in _directory.glob(f"{ended}_{slot}.db"):
        path.unlink()


def _strays(slot: slots.Slot) -> Iterator[tuple[Path, str, str]]:
    """The slot's open files that others do not see: descriptor, kind, and what became of each."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            path = descriptor.readlink()
        except FileNotFoundError:  # the one by which we read this directory
            continue
        kind, found, end = path.name.partition(f"_{slot}.")
        if path.parent == _directory and found and end != "db":
            yield descriptor, kind, end


def _write_again(before: slots.Slot, slot: slots.Slot) -> None:
    """Make removed files anew, which are still there for the process that has them open."""
    for descriptor, kind, end in _strays(before):
        there = _directory / f"{kind}_{slot}.db"
        if end == "db (deleted)" and not there.exists():
            unfinished = there.with_suffix(".new")
            shutil.copyfile(descriptor, unfinished)
            unfinished.replace(there)


def _lost() -> bool:
    """Whether others do not see what this process writes, or it had better not write."""
    if _identity is not _slot or not _slot.is_held() or any(_strays(_slot)):
        return True
    try:
        _try_directory()
    except OSError:
        return True
    return False


class Itself:
    """What prometheus_client's collectors tell of this process, written to its files.

    These families, process_… and python_…, are left out by the library when processes share.
    """

    def __init__(self, *, forked: bool) -> None:
        self._collectors = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._collectors)
        self._metrics: dict[str, Counter | Gauge] = {}
        self._counted: dict[tuple, float] = {}
        if forked:  # what its parent had counted is not this process's
            for _, key, sample in self._samples():
                self._counted[key] = sample.value
        self.update()

    def update(self) -> None:
        """Write how things stand now."""
        for family, key, sample in self._samples():
            metric = self._metric(family, sample)
            if family.type == "counter":
                metric.inc(sample.value - self._counted.get(key, 0))
                self._counted[key] = sample.value
            else:
                metric.set(sample.value)

    def _samples(self) -> Iterator[tuple[Metric, tuple, Sample]]:
        for family in self._collectors.collect():
            for sample in family.samples:
                yield family, (sample.name, *sample.labels.items()), sample

    def _metric(self, family: Metric, sample: Sample) -> Counter | Gauge:
        if family.name not in self._metrics:
            description = (family.name, family.documentation, list(sample.labels))
            self._metrics[family.name] = (
                Counter(*description, registry=None)
                if family.type == "counter"
                else Gauge(*description, registry=None, multiprocess_mode="liveall")
            )
        metric = self._metrics[family.name]
        return metric.labels(**sample.labels) if sample.labels else metric
