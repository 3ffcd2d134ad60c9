"""What decides whether a unit runs the current files: plugins/module_utils/jewelry_units.py."""

import importlib.util
import os
import subprocess
import time
from pathlib import Path

import pytest

PATH = Path(__file__).parents[1] / "plugins/module_utils/jewelry_units.py"
spec = importlib.util.spec_from_file_location("jewelry_units", PATH)
units = importlib.util.module_from_spec(spec)
spec.loader.exec_module(units)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with two files that are older than what is started now."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    time.sleep(0.02)  # more than the file system's clock is behind
    return tmp_path


def difference(folder, known, started):
    """Return the names of what a unit has not read."""
    return {Path(path).name for path in units.changed(known, units.look([folder]), started)}


# What happens between two runs to files that a unit has read, and what is to be applied.
CHANGES = {
    "nothing": (lambda folder: None, set()),
    "a change": (lambda folder: (folder / "one").write_text("new"), {"one"}),
    "another mode": (lambda folder: (folder / "one").chmod(0o600), set()),
    "another and back": (
        lambda folder: [(folder / "one").write_text(text) for text in ("new", "one")],
        {"one"},
    ),
    "dated in the future": (lambda folder: os.utime(folder / "one", (2e9, 4e9)), set()),
    "changed and dated in the future": (
        lambda folder: [(folder / "one").write_text("new"), os.utime(folder / "one", (2e9, 4e9))],
        {"one"},
    ),
    "an older file in its place": (
        lambda folder: [(folder / "one").write_text("new"), os.utime(folder / "one", (1e9, 1e9))],
        {"one"},
    ),
    "a new file": (lambda folder: (folder / "three").write_text("new"), {"three"}),
    "a file less": (lambda folder: (folder / "one").unlink(), {"one"}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_read_is_compared(folder, name):
    change, expected = CHANGES[name]
    known = units.look([folder])
    started = time.time()
    time.sleep(0.02)
    change(folder)
    assert difference(folder, known, started) - {folder.name} == expected


def test_of_an_unknown_start_only_older_files_were_read(folder):
    started = time.time()
    assert difference(folder, {}, started) == set()
    time.sleep(0.02)
    (folder / "one").write_text("new")
    os.utime(folder / "one", (1e9, 1e9))  # as of a file from a package
    assert difference(folder, {}, started) == {"one"}
    (folder / "two").unlink()
    assert difference(folder, {}, started) == {"one", folder.name}


def test_a_file_that_is_not_there_and_then_is(tmp_path):
    wanted = [tmp_path / "later"]
    known = units.look(wanted)
    assert units.changed(known, units.look(wanted), time.time()) == []
    (tmp_path / "later").touch()
    assert units.changed(known, units.look(wanted), time.time()) == [str(tmp_path / "later")]


def test_a_link_that_leads_elsewhere_to_the_same_words(folder):
    (folder / "two").write_text("one")
    link = folder / "link"
    link.symlink_to("one")
    known = units.look([link])
    link.unlink()
    link.symlink_to("two")
    assert units.changed(known, units.look([link]), time.time()) == [str(link)]


def test_only_the_same_invocation_is_remembered(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(units, "RECORDS", tmp_path / "records")
    at_boot = {"InvocationID": "1", "InactiveExitTimestampMonotonic": "1"}
    stale, seen = units.unread("a@b.service", at_boot, restart=[folder / "one"])
    assert stale == {"restart": [str(folder / "one")]}
    units.remember("a@b.service", invocation="1", **seen)
    assert units.unread("a@b.service", at_boot, restart=[folder / "one"])[0] == {"restart": []}
    again = at_boot | {"InvocationID": "2"}
    assert units.unread("a@b.service", again, restart=[folder / "one"])[0] == stale
    assert (tmp_path / "records").stat().st_mode & 0o077 == 0


def test_replaced_programs_and_libraries_differ_from_what_is_deleted_on_purpose():
    maps = """\
563f00191000-563f00332000 r-xp 00077000 00:128 2001041 / (deleted)
563f00332000-563f003c4000 r--p 00218000 00:128 2001041 / (deleted)
7fd282b83000-7fd282cbb000 r-xp 0047c000 00:128 1450311 /usr/lib/libcrypto.so.3 (deleted)
7fd282cbb000-7fd282d3e000 r-xp 005b3000 00:128 1450312 /usr/lib/libssl.so.3
7f1ffc98a000-7f1ffc98b000 rw-s 00000000 00:01 0 /SYSV001e2005 (deleted)
7f1ffc98b000-7f20bfdab000 rw-s 00000000 00:01 1413 /dev/zero (deleted)
7f1ffc98b000-7f20bfdab000 rwxp 00000000 00:01 1414 /memfd:libffi (deleted)
7f1ffc98b000-7f20bfdab000 r-xp 00000000 00:01 1415 /tmp/ffi.1 (deleted)
7f1ffc98b000-7f20bfdab000 rw-p 00000000 00:01 1416 /srv/jewelry/data (deleted)
"""
    assert units.REPLACED.findall(maps) == ["/", "/usr/lib/libcrypto.so.3"]


def test_a_start_is_given_by_the_current_clock():
    since_boot = time.monotonic()
    found = units.started({"InactiveExitTimestampMonotonic": f"{since_boot * 1e6:.0f}"})
    assert found == pytest.approx(time.time(), abs=1)


def test_what_systemd_says_is_read(monkeypatch):
    said = """\
EnvironmentFiles=/etc/default/x (ignore_errors=yes)
EnvironmentFiles=/etc/y z (ignore_errors=no)
LoadState=loaded
FragmentPath=/usr/lib/systemd/system/x.service
DropInPaths=/etc/systemd/system/x.service.d/1.conf /etc/systemd/system/x.service.d/2.conf
"""
    done = subprocess.CompletedProcess([], 0, said)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: done)
    assert units.show("x.service") == {
        "LoadState": "loaded",
        "files": [
            "/etc/default/x",
            "/etc/y z",
            "/usr/lib/systemd/system/x.service",
            "/etc/systemd/system/x.service.d/1.conf",
            "/etc/systemd/system/x.service.d/2.conf",
        ],
    }
