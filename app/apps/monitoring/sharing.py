"""Lets all processes of a service count together, whichever of them answers.

prometheus_client can write each value to a file in $PROMETHEUS_MULTIPROC_DIR; by its own it makes
new files for each process that ever lived, which grow without bound. Here the files belong to
slots (slots.py): a process that takes a slot continues counting where its predecessor stopped, be
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
from contextlib import suppress
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
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.samples import Sample

from apps.monitoring import slots
from apps.monitoring.files import VARIABLE, check

logger = logging.getLogger(__name__)

INTERVAL = 2  # seconds between two looks of a process at itself
ROOM = 1_000_000  # bytes; a process that writes to a mapped file and finds no room is killed


class Sharing:
    """What a process knows of the files that it writes to.

    There is one object in a service. It is made before the service forks, so each child begins
    with its parent's slot, and takes one of its own at its first change of a value.
    """

    def __init__(self, directory: Path, elsewhere: Path) -> None:
        self._directory = directory
        self._elsewhere = elsewhere  # where a process writes while it cannot write to the directory
        self._main_pid = os.getpid()
        self._pid = 0  # whose slot and identity these are
        self._slot: slots.Slot | None = None
        self._identity: object = None  # which files are written to: the slot's, or those elsewhere
        self._mend = True  # whether they need looking after at the next change of a value
        self._kept: dict[str, int] = {}  # descriptors of the files that are opened again, by path
        # Held while the thread below works. Nobody forks then, so no child inherits a lock of
        # prometheus_client that the thread, which the child does not have, would have to release.
        self._working = threading.Lock()
        os.register_at_fork(
            before=self._working.acquire,
            after_in_parent=self._working.release,
            after_in_child=self._forked,
        )

    def _forked(self) -> None:
        self._mend = True
        self._working.release()

    def watch(self) -> None:
        """Keep writing what the system knows of this process, and mend its files; in a thread."""
        process = ProcessMetrics(forked=os.getpid() != self._main_pid)
        threading.Thread(target=self._watch, args=[process], name="metrics", daemon=True).start()

    def _watch(self, process: "ProcessMetrics") -> None:
        while True:
            with self._working:
                try:
                    self._mend = self._pid != os.getpid() or self._lost()
                    process.update()  # its first change mends
                except Exception:
                    logger.exception("metrics of process %d", os.getpid())
            time.sleep(INTERVAL)

    def identify(self) -> object:
        """What prometheus_client asks at every change of a value: which files are this process's.

        It holds its lock, so nothing is counted while files change.
        """
        if self._mend:
            self._take()
        return self._identity

    def _take(self) -> None:
        """Take a slot and its files; if that fails, write elsewhere, to files that nobody reads."""
        pid = os.getpid()
        before, was = (self._slot, self._identity) if self._pid == pid else (None, None)
        self._pid, self._slot, self._mend = pid, before, False
        taken = None
        try:
            self._try_directory()
            if before and before.is_held():  # its lock file must not be opened again
                slot = slots.Slot(before.directory, before.role, before.number, before.lock)
            else:
                role = "main" if pid == self._main_pid else "child"
                slot = taken = slots.take(self._directory, role, before.number if before else 0)
            if before:
                self._keep(before, slot)
            else:
                self._forget(slot)
            check(self._directory, slot)
        except Exception as error:
            if taken:
                os.close(taken.lock)
            while self._kept:
                os.close(self._kept.popitem()[1])
            if was is before:  # say it once
                logger.error("metrics of process %d are not exported: %s", pid, error)
                os.environ[VARIABLE], self._identity = str(self._elsewhere), f"child-{pid}"
            return
        if taken and before:
            os.close(before.lock)
        os.environ[VARIABLE] = str(self._directory)
        self._slot = self._identity = slot
        if was:
            for path in self._elsewhere.glob(f"*_child-{pid}.db"):
                path.unlink()
            logger.warning(
                "files were removed or not to be written to; process %d continues as %s of %s",
                pid, slot, self._directory,
            )  # fmt: skip

    def _try_directory(self) -> None:
        """Raise OSError if files cannot be made in the directory, or not be written to."""
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < ROOM:
            raise OSError(f"there is no room in {self._directory}")
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise PermissionError(f"{self._directory} cannot be written to")

    def _forget(self, slot: slots.Slot) -> None:
        """Remove the gauges of the process that had the slot; its counters continue.

        A main process describes the service, as its successor will; of a child's gauges, only those
        of the modes live… end with it.
        """
        ended = "gauge_*" if slot.role == "main" else "gauge_live*"
        for path in self._directory.glob(f"{ended}_{slot}.db"):
            path.unlink()

    def _open_files(self, slot: slots.Slot) -> Iterator[tuple[Path, str, str]]:
        """The slot's files that this process has open: descriptor, kind, ending of the name.

        The ending is `db`, or `db (deleted)` when somebody has removed the file.
        """
        for descriptor in Path("/proc/self/fd").iterdir():
            try:
                path = descriptor.readlink()
            except FileNotFoundError:  # the one by which we read this directory
                continue
            kind, found, end = path.name.partition(f"_{slot}.")
            if path.parent == self._directory and found:
                yield descriptor, kind, end

    def _keep(self, before: slots.Slot, slot: slots.Slot) -> None:
        """Keep open what `reopen` needs when prometheus_client has closed its files.

        Of a slot that another process has now, it is what was removed: the other continues with
        the rest.
        """
        for descriptor, kind, end in self._open_files(before):
            path = self._directory / f"{kind}_{slot}.db"
            removed = end == "db (deleted)" and not path.exists()
            # An open file has two descriptors: the file's and the map's.
            if str(path) not in self._kept and (removed or str(before) == str(slot)):
                self._kept[str(path)] = os.open(descriptor, os.O_RDONLY | os.O_CLOEXEC)

    def reopen(self, path: str) -> int | None:
        """The descriptor of the file that this process had at the path until now."""
        return self._kept.pop(path, None)

    def _lost(self) -> bool:
        """Whether others do not see what this process writes, or it must not write."""
        slot = self._slot
        if slot is None or self._identity is not slot or not slot.is_held():
            return True
        if any(end != "db" for _, _, end in self._open_files(slot)):
            return True
        try:
            self._try_directory()
        except OSError:
            return True
        return False


class File(MmapedDict):
    """A file of values; it continues with what this process had written to the file before it.

    An operator or a cleaner of /run may remove files at any moment, this one too. So what is
    opened are descriptors, and never what lies at the path.
    """

    def __init__(self, path: str, read_mode: bool = False) -> None:
        before = _sharing.reopen(path) if _sharing else None
        if before is None:
            super().__init__(path, read_mode)
            return
        descriptors = [before]
        if not lies_at(Path(path), before):
            with suppress(OSError):  # then the next look tries again: nothing is lost
                descriptors.append(write_again(before, Path(path)))
        super().__init__(f"/proc/self/fd/{descriptors[-1]}", read_mode)
        for descriptor in descriptors:
            os.close(descriptor)


def lies_at(path: Path, descriptor: int) -> bool:
    """Whether the file is at the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def write_again(descriptor: int, path: Path) -> int:
    """A descriptor of a copy of the file at the path, where others see all of it or none."""
    unfinished = path.with_suffix(".new")
    copy = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        shutil.copyfile(f"/proc/self/fd/{descriptor}", f"/proc/self/fd/{copy}")
        unfinished.replace(path)
    except OSError:
        os.close(copy)
        raise
    return copy


_sharing: Sharing | None = None  # None while nothing is shared


def share() -> None:
    """Write the metrics of this process and its children to $PROMETHEUS_MULTIPROC_DIR, if set."""
    global _sharing
    directory = os.environ.get(VARIABLE)
    if _sharing or not directory:
        return
    try:
        elsewhere = Path(tempfile.mkdtemp(prefix="metrics-"))
    except OSError:
        logger.exception("metrics are not exported")
        values.ValueClass = values.MutexValue
        return
    _sharing = Sharing(Path(directory), elsewhere)
    values.MmapedDict = File  # type: ignore[misc]  # what it opens its files with
    values.ValueClass = values.MultiProcessValue(process_identifier=_sharing.identify)
    join()


def join() -> None:
    """Have this process, which was just forked, write to files of its own and watch over them."""
    if _sharing:
        try:
            _sharing.watch()
        except Exception:
            logger.exception("metrics of process %d", os.getpid())


class ProcessMetrics:
    """The families process_… and python_… of this process, written to its files.

    prometheus_client's own collectors leave them out when processes share.
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
            if isinstance(metric, Counter):
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
