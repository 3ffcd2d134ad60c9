"""Processes count together whatever happens to them: real ones, really killed."""

import os
import random
import struct
import time
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from apps.monitoring import files, slots
from tests.processes import Service, eventually


@pytest.fixture
def directory(tmp_path):
    path = tmp_path / "web"
    path.mkdir()
    return path


@pytest.fixture
def start(directory, tmp_path):
    """A function that starts the service, again and again on the same directory."""
    started = []

    def run() -> Service:
        acknowledgements = tmp_path / f"acknowledgements-{len(started)}"
        acknowledgements.mkdir()
        started.append(Service(directory, acknowledgements))
        return started[-1]

    yield run
    for service in started:
        service.end()


@pytest.fixture
def service(start):
    return start()


def total(directory: Path, family: str, suffix: str = "_total", **labels: str) -> float:
    families = files.total(directory, slots.holders(directory)).families
    return sum(
        sample.value
        for sample in families[family].samples
        if sample.name == family + suffix and labels.items() <= sample.labels.items()
    )


def held(directory: Path) -> dict[str, int]:
    return {str(holder): holder.pid for holder in slots.holders(directory) if holder.pid}


def test_each_process_takes_the_lowest_free_slot_and_death_frees_it(service, directory):
    first, second = service.fork("idle"), service.fork("idle")
    main = service.process.pid
    assert held(directory) == {"main-0": main, "child-0": first, "child-1": second}
    service.kill(first)
    assert held(directory) == {"main-0": main, "child-1": second}
    third = service.fork("idle")
    assert held(directory) == {"main-0": main, "child-0": third, "child-1": second}


def test_counters_continue_over_fifty_kills_while_counting(service, directory):
    kills = 50
    running = [service.fork(), service.fork()]
    for _ in range(kills):
        time.sleep(random.uniform(0, 0.01))  # noqa: S311 - when to kill
        service.kill(running.pop(0))
        files.total(directory, slots.holders(directory))  # reads while the other one writes
        running.append(service.fork())
    for pid in running:
        service.kill(pid)

    # A child may die between counting and confirming, once.
    confirmed, counted = service.counted(), total(directory, "things")
    assert confirmed <= counted <= confirmed + kills + 2
    assert total(directory, "seconds", "_count") >= confirmed
    assert {holder.number for holder in slots.holders(directory) if holder.role == "child"} <= {
        0, 1, 2,
    }  # fmt: skip
    assert not list(directory.glob("*.broken"))


def test_files_are_bounded_by_the_processes_at_the_same_time(service, directory):
    service.kill(service.fork("idle"))
    before = sorted(directory.iterdir())
    for _ in range(20):
        service.kill(service.fork("idle"))
    assert sorted(directory.iterdir()) == before
    assert total(directory, "things") == 21


def test_counters_continue_when_the_whole_service_is_killed_and_started_again(start, directory):
    for _ in range(3):
        service = start()
        service.fork("idle")
        service.tell("inc")
        service.end()
    assert total(directory, "things", kind="main") == 3
    assert total(directory, "things") == 6
    assert len(slots.holders(directory)) == 2


def test_two_services_at_once_count_apart_and_add_up(start, directory):
    """As when a release starts beside the served one."""
    first, second = start(), start()
    for service in (first, second):
        service.fork("idle")
        service.tell("inc")
    assert total(directory, "things") == 4
    assert set(held(directory)) == {"main-0", "main-1", "child-0", "child-1"}


def test_gauges_show_living_processes(service, directory):
    first, _ = service.fork("idle"), service.fork("idle")
    assert total(directory, "busy", "") == 2
    service.kill(first)
    assert total(directory, "busy", "") == 1
    third = int(service.tell("idle"))
    eventually(lambda: total(directory, "busy", "") == 2)
    assert held(directory)["child-0"] == third


def test_a_value_of_a_dead_process_is_not_its_successors(service, directory):
    service.kill(service.fork("idle"))
    service.fork("quiet")
    assert total(directory, "busy", "") == 0


def test_each_process_exports_its_own_metrics(service, directory):
    pid = service.fork("idle")
    eventually(lambda: total(directory, "process_resident_memory_bytes", "", role="child") > 0)
    label = {"role": "child", "service": "web", "slot": "0"}
    statm = Path(f"/proc/{pid}/statm").read_text().split()
    resident = int(statm[1]) * os.sysconf("SC_PAGESIZE")
    shown = total(directory, "process_resident_memory_bytes", "", **label)
    assert abs(shown - resident) < 2e6
    assert total(directory, "process_open_fds", "", **label) > 3
    assert total(directory, "python_info", "", **label) == 1
    assert total(directory, "python_gc_collections", generation="0", role="main") > 0
    before = total(directory, "process_cpu_seconds", **label)
    service.kill(pid)
    service.fork("idle")
    assert total(directory, "process_cpu_seconds", **label) >= before  # a counter of the slot


def test_an_emptied_directory_is_filled_again_and_nothing_living_is_forgotten(service, directory):
    busy = service.fork()
    service.fork("idle")
    service.tell("inc")
    for _ in range(3):
        for path in sorted(directory.iterdir()):
            path.unlink(missing_ok=True)
            time.sleep(0.015)  # the processes look in between
        eventually(lambda: len(held(directory)) == 3)
    eventually(lambda: total(directory, "things", kind="main") == 1)
    before = service.counted(busy)
    eventually(lambda: service.counted(busy) > before + 100)
    eventually(lambda: total(directory, "python_info", "") == 3)
    service.kill(busy)
    confirmed = service.counted() + 1
    assert confirmed <= total(directory, "things") <= confirmed + 1
    assert "were removed" in service.end()


def test_removed_locks_bring_no_two_processes_into_one_file(service, directory):
    busy = [service.fork(), service.fork()]
    (directory / "child.lock").unlink()
    eventually(lambda: len(held(directory)) == 3)
    for pid in busy:
        service.kill(pid)
    confirmed = service.counted()
    assert confirmed <= total(directory, "things") <= confirmed + 2


def test_a_removed_file_is_written_again(service, directory):
    service.fork("idle")
    slot = next(slot for slot in held(directory) if slot.startswith("child"))
    path = directory / f"counter_{slot}.db"
    for _ in range(5):
        path.unlink()
        eventually(path.exists)
        assert total(directory, "things") == 1  # never empty: that would look like a reset
    assert slot in held(directory)


def test_a_directory_that_vanishes_harms_nobody(service, directory):
    busy = service.fork()
    away = directory.rename(directory.with_name("away"))
    before = service.counted(busy)
    eventually(lambda: service.counted(busy) > before + 100)
    pid = service.fork()  # starts without it
    away.rename(directory)
    eventually(lambda: set(held(directory).values()) >= {busy, pid, service.process.pid})
    assert "not exported" in service.end()


def test_forks_while_the_thread_works_never_hang(service, directory):
    for _ in range(100):
        service.tell("idle")
    eventually(lambda: service.counted() == 100, seconds=30)
    assert total(directory, "things") == 100


def entry(key: bytes, value: float = 1.0) -> bytes:
    padded = key + b" " * (8 - (len(key) + 4) % 8)
    return struct.pack(f"i{len(padded)}sdd", len(key), padded, value, 0.0)


def file_of(*entries: bytes, used: int | None = None) -> bytes:
    body = b"".join(entries)
    return struct.pack("i4x", 8 + len(body) if used is None else used) + body + bytes(64)


GOOD = entry(b'["things", "things_total", {"kind": "x"}, "Counted."]')
BROKEN = {
    "text": b"this is no file of metrics, is it?",
    "too short": b"\1",
    "says to be larger than it is": file_of(GOOD, used=9999),
    "negative size": file_of(GOOD, used=-1),
    "negative length, which must not be read for ever": file_of(GOOD, struct.pack("i60x", -28)),
    "length beyond the end": file_of(GOOD, struct.pack("i20x", 4096)),
    "cut in an entry": file_of(GOOD, used=8 + len(GOOD) + 2),
    "no JSON": file_of(GOOD, entry(b"{")),
    "other JSON": file_of(entry(b'{"a": 1}')),
    "no text": file_of(entry(b"\xff\xfe")),
    "no bucket": file_of(entry(b'["a", "a_bucket", {"le": "wide"}, ""]')),
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_set_aside_and_said(directory, caplog, content):
    (directory / "counter_child-0.db").write_bytes(file_of(GOOD))
    (directory / "counter_child-1.db").write_bytes(content)
    result = files.total(directory, [])
    assert (result.files, result.broken) == (1, 1)
    assert [sample.value for sample in result.families["things"].samples] == [1.0]
    assert (directory / "counter_child-1.broken").read_bytes() == content
    assert "counter_child-1.db cannot be read" in caplog.text
    assert files.total(directory, []).broken == 0


def test_a_file_that_is_nobodys_is_set_aside(directory):
    (directory / "counter_4711.db").write_bytes(file_of(GOOD))
    assert files.total(directory, []).broken == 1


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_process_starts_where_a_broken_file_lies(directory, start, content):
    (directory / "counter_child-0.db").write_bytes(content)
    start().fork("idle")
    assert total(directory, "things") == 1
    assert (directory / "counter_child-0.broken").exists()


def test_files_are_read_as_the_library_writes_them(directory):
    written = MmapedDict(str(directory / "counter_child-0.db"))
    for number in range(2000):  # the file grows several times
        key = mmap_key("things", "things_total", ["kind"], [f"ü{'x' * (number % 9)}{number}"], "")
        written.write_value(key, number, 0.0)
    read = list(files.read(directory / "counter_child-0.db"))
    assert [value for _, value, _ in read] == list(range(2000))
    assert {key.sample for key, *_ in read} == {"things_total"}
    written.close()


def test_a_help_text_that_changed_between_releases_makes_no_second_value(directory):
    for slot, value in enumerate((100.0, 200.0)):
        key = f'["g", "g", {{}}, "Help of release {slot}."]'.encode()
        padded = key + b" " * (8 - (len(key) + 4) % 8)
        line = struct.pack(f"i{len(padded)}sdd", len(key), padded, value, slot + 1)
        (directory / f"gauge_mostrecent_child-{slot}.db").write_bytes(file_of(line))
    (sample,) = files.total(directory, []).families["g"].samples
    assert sample.value == 200


def test_what_cannot_even_be_opened_is_set_aside(directory, start):
    """A folder, and a file that root has left."""
    (directory / "counter_child-1.db").mkdir()
    assert files.total(directory, []).broken == 1
    (directory / "counter_main-0.db").mkdir()
    start().fork("idle")
    assert total(directory, "things") == 1
    assert (directory / "counter_main-0.broken").is_dir()


def test_buckets_that_changed_between_releases_still_add_up(directory):
    for slot, ends in enumerate((("0.1", "1.0", "+Inf"), ("0.5", "1.0", "+Inf"))):
        entries = [entry(f'["s", "s_bucket", {{"le": "{le}"}}, ""]'.encode(), 1.0) for le in ends]
        (directory / f"histogram_child-{slot}.db").write_bytes(file_of(*entries))
    samples = files.total(directory, []).families["s"].samples
    values = {sample.labels.get("le", sample.name): sample.value for sample in samples}
    assert values == {"0.1": 1, "0.5": 2, "1.0": 4, "+Inf": 6, "s_count": 6}
