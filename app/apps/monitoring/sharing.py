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
_main_pid = 0
_pid = 0  # whose the following is: a fork leaves the child with its parent's
_slot: slots.Slot | None = None
_identity: object = None  # which files are written to: the slot's, or some that nobody reads
_files: set[str] = set()  # names that the slot's files were seen to have

# Held while the thread below works. Nobody forks then, so no child inherits a lock of
# prometheus_client that the thread, which the child does not have, would have to release.
_working = threading.Lock()


def share() -> None:
    """Write the metrics of this process and its children to $PROMETHEUS_MULTIPROC_DIR, if set."""
    global _directory, _main_pid
    if _directory or not os.environ.get(VARIABLE):
        return
    _directory, _main_pid = Path(os.environ[VARIABLE]), os.getpid()
    values.ValueClass = values.MultiProcessValue(process_identifier=_identify)
    os.register_at_fork(
        before=_working.acquire, after_in_parent=_working.release, after_in_child=_working.release
    )
    join()


def join() -> None:
    """From now on, tell of this process itself and mend its files, in a thread."""
    if _directory:
        itself = Itself(forked=os.getpid() != _main_pid)
        threading.Thread(target=_work, args=[itself], name="metrics", daemon=True).start()


def _identify() -> object:
    """What prometheus_client calls at every change of a value: which files are this process's."""
    if _pid != os.getpid():
        _take()
    return _identity


def _take() -> None:
    """Take a slot, or go on in files that nobody reads until there is one."""
    global _pid, _slot, _identity
    pid = os.getpid()
    before = _slot if _pid == pid else None
    try:
        if not _has_room():
            raise OSError(f"there is no room in {_directory}")
        if before and before.is_held():  # its lock file must not be opened again
            _slot = slots.Slot(before.directory, before.role, before.number, before.lock)
        else:
            _slot = slots.take(_directory, "main" if pid == _main_pid else "child")
            for gauge in _directory.glob(f"gauge_*_{_slot}.db"):
                gauge.unlink()  # tells how things stood with the process before
        if before:
            _write_again(before)
        check(_directory, _slot)
        os.environ[VARIABLE], _identity = str(_directory), _slot
    except OSError as error:
        _slot = before
        if _pid != pid or _identity is before:  # say it once
            logger.error("metrics of process %d are not exported: %s", pid, error)
            os.environ[VARIABLE] = tempfile.mkdtemp(prefix="metrics-")
            _identity = f"child-{pid}"
    _files.clear()
    _pid = pid


def _has_room() -> bool:
    disk = os.statvfs(_directory)
    return disk.f_bavail * disk.f_frsize >= ROOM


def _write_again(before: slots.Slot) -> None:
    """Make removed files anew, which are still there for the process that has them open."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            removed = descriptor.readlink()
        except FileNotFoundError:  # the descriptor by which we read this directory
            continue
        if removed.parent == _directory and removed.name.endswith(f"_{before}.db (deleted)"):
            name = removed.name.removesuffix(f"_{before}.db (deleted)")
            shutil.copyfile(descriptor, _directory / f"{name}_{_slot}.db")
    if before.lock != _slot.lock:
        os.close(before.lock)


def _lost() -> bool:
    """Whether others can no longer see what this process writes, or it can no longer write."""
    if _slot is None or _identity is not _slot or not _slot.is_held() or not _has_room():
        return True
    there = {path.name for path in _directory.glob(f"*_{_slot}.db")}
    _files.update(there)
    return there != _files


def _work(itself: "Itself") -> None:
    while True:
        with _working:
            try:
                if _lost():
                    _take()
                    if _identity is _slot:
                        logger.warning(
                            "metrics: files were removed or could not be written to; "
                            "process %d goes on as %s of %s",
                            os.getpid(),
                            _slot,
                            _directory,
                        )
                itself.update()
            except Exception:
                logger.exception("metrics of process %d", os.getpid())
        time.sleep(INTERVAL)


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
