"""The files in which processes keep their metrics: reading them and adding them up.

prometheus_client writes them (its mmap_dict.py): an int32 `used`, 4 bytes of padding, then entries
up to `used`, each an int32 length, a JSON key padded to 8 bytes, and two doubles, the value and a
timestamp. The name has the type, a gauge's mode, and the slot: counter_child-0.db,
gauge_livesum_child-0.db.
"""

import json
import logging
import re
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from apps.monitoring.slots import Holder

logger = logging.getLogger(__name__)

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's name of the directory
PER_PROCESS = ("process_", "python_")  # of these families each slot has samples of its own
NAME = re.compile(
    r"(?P<type>counter|histogram|summary|gauge)(_(?P<mode>[a-z]+))?_(?P<slot>(main|child)-[0-9]+)\.db"
)

Labels = tuple[tuple[str, str], ...]

_int32 = struct.Struct("i").unpack_from
_two_doubles = struct.Struct("dd").unpack_from


class Broken(Exception):
    """A file is not what prometheus_client writes."""


@dataclass(eq=False, slots=True)
class Key:
    """What a value is of. There is one object of each, so that comparing them costs nothing."""

    family: str
    sample: str
    labels: Labels  # without `le`
    help: str
    le: float | None  # upper end of a histogram's bucket


_keys: dict[bytes, Key] = {}
_unique: dict[tuple, Key] = {}  # releases that differ in a help text mean the same


def _key(text: bytes) -> Key:
    """The key in an entry, parsed once for all files and scrapes."""
    if key := _keys.get(text):
        return key
    try:
        family, sample, labels, help_text = json.loads(text)
        le = labels.pop("le", None)
        key = Key(
            str(family),
            str(sample),
            tuple(sorted((name, str(value)) for name, value in labels.items())),
            str(help_text),
            None if le is None else float(le),
        )
    except (ValueError, TypeError, AttributeError):
        raise Broken(f"{text[:60]!r} is no key") from None
    key = _unique.setdefault((key.family, key.sample, key.labels, key.le), key)
    return _keys.setdefault(text, key)


def meaning(path: Path) -> tuple[str, str | None, str]:
    """What the name of a file says: type, a gauge's mode, slot; raises Broken."""
    found = NAME.fullmatch(path.name)
    if not found:
        raise Broken("its name is not that of a slot's file")
    return found["type"], found["mode"], found["slot"]


def read(path: Path) -> Iterator[tuple[Key, float, float]]:
    """Each key of a file with its value and timestamp (seconds); raises Broken or OSError.

    The file may be written to at the same time: an entry is complete before `used` includes it.
    """
    data = path.read_bytes()
    if not data:
        return  # just being made
    if len(data) < 8:
        raise Broken("it is too short")
    (used,) = _int32(data, 0)
    if used == 0:
        return
    if not 8 <= used <= len(data):
        raise Broken(f"it should hold {used} bytes and has {len(data)}")
    position = 8
    while position < used:
        if position + 4 > used:
            raise Broken(f"there is no entry at byte {position}")
        (length,) = _int32(data, position)
        start = position + 4
        end = start + length + 8 - (length + 4) % 8
        if length <= 0 or end + 16 > used:
            raise Broken(f"there is no entry at byte {position}")
        value, timestamp = _two_doubles(data, end)
        yield _key(data[start : start + length]), value, timestamp
        position = end + 16


def set_aside(path: Path, why: Exception) -> bool:
    """Take a file that cannot be read out of the way, and keep it for a look at it.

    Returns whether it was this call that did it.
    """
    try:
        path.replace(path.with_suffix(".broken"))
    except FileNotFoundError:  # somebody else was quicker
        return False
    except OSError as error:
        logger.error("%s cannot be read (%s), nor renamed: %s", path, why, error)
        return True
    logger.error("%s cannot be read (%s): renamed to .broken", path, why)
    return True


def check(directory: Path, slot: object) -> None:
    """Set aside those of a slot's files that a process could not continue."""
    for path in directory.glob(f"*_{slot}.db"):
        try:
            meaning(path)
            for _ in read(path):
                pass
            with path.open("r+b"):
                pass
        except (Broken, OSError) as error:
            set_aside(path, error)


@dataclass
class Total:
    """What the files of a directory add up to."""

    families: dict[str, Metric] = field(default_factory=dict)
    files: int = 0
    broken: int = 0


def total(directory: Path, holders: Iterable[Holder]) -> Total:
    """Add up all files; those of `live…` gauges only while somebody holds their slot."""
    result = Total()
    held = {str(holder) for holder in holders if holder.pid}
    kinds: dict[str, dict[Key, float]] = defaultdict(lambda: defaultdict(float))
    newest: dict[Key, float] = {}  # timestamps
    for path in sorted(directory.glob("*.db")):
        try:
            kind, mode, slot = meaning(path)
            entries = list(read(path))
        except FileNotFoundError:
            continue
        except (Broken, OSError) as error:
            result.broken += set_aside(path, error)
            continue
        result.files += 1
        if mode and mode.startswith("live") and slot not in held:
            continue
        values = kinds[kind]
        for key, value, timestamp in entries:
            if key.family.startswith(PER_PROCESS) or mode in ("all", "liveall"):
                values[_of_process(key, directory.name, slot)] = value
            elif mode in ("max", "livemax"):
                values[key] = max(values.get(key, value), value)
            elif mode in ("min", "livemin"):
                values[key] = min(values.get(key, value), value)
            elif mode in ("mostrecent", "livemostrecent"):
                if timestamp >= newest.get(key, 0):
                    newest[key], values[key] = timestamp, value
            else:
                values[key] += value
    for kind, values in kinds.items():
        _add(result.families, kind, values)
    return result


@cache
def _of_process(key: Key, service: str, slot: str) -> Key:
    """The same, labelled with the process; a directory is named after its service."""
    role, number = slot.split("-")
    process = (("role", role), ("service", service), ("slot", number))
    return replace(key, labels=key.labels + process)


def _add(families: dict[str, Metric], kind: str, values: dict[Key, float]) -> None:
    """Make families of the values; buckets, which the files hold apart, are accumulated."""
    samples: dict[str, dict[tuple[str, Labels], float]] = defaultdict(lambda: defaultdict(float))
    buckets: dict[str, dict[Labels, dict[float, float]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(float))
    )
    for key, value in values.items():
        # A family that had another type in an earlier release stays what it is first found to be.
        if families.setdefault(key.family, Metric(key.family, key.help, kind)).type != kind:
            continue
        if key.le is None:
            samples[key.family][key.sample, key.labels] += value
        else:
            buckets[key.family][key.labels][key.le] += value
    for family, series in buckets.items():
        for labels, counts in series.items():
            so_far = 0.0
            for le in sorted(counts):
                so_far += counts[le]
                end = (("le", floatToGoString(le)),)
                samples[family][f"{family}_bucket", labels + end] = so_far
            samples[family][f"{family}_count", labels] = so_far
    for family, found in samples.items():
        families[family].samples += in_order(found)


def in_order(values: dict[tuple[str, Labels], float]) -> list[Sample]:
    """Samples as OpenMetrics wants them: those of one label set (`le` apart) follow each other."""
    groups: dict[Labels, list[Sample]] = defaultdict(list)
    for (name, labels), value in values.items():
        group = labels[:-1] if labels and labels[-1][0] == "le" else labels
        groups[group].append(Sample(name, dict(labels), value))
    return [sample for group in groups.values() for sample in group]
