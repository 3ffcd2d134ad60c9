"""What every unit uses of CPU time and memory: roles/units/files/unit-resources."""

import os
import re
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[1] / "roles/units/files/unit-resources"


@pytest.fixture
def counted(tmp_path):
    """Return a function that makes control groups of files and returns what the program counts."""

    def count(groups):
        root = tmp_path / "groups"
        for group, files in groups.items():
            (root / group).mkdir(parents=True)
            for name, text in files.items():
                (root / group / name).write_text(text)
        target = tmp_path / "out.prom"
        subprocess.run([PROGRAM, target, root], check=True)
        assert [path.name for path in tmp_path.glob("out.prom*")] == ["out.prom"]
        assert target.stat().st_mode & 0o777 == 0o644
        found = re.findall(r'^(\w+){name="(.+)"} (.+)$', target.read_text(), re.MULTILINE)
        return {(metric, name): float(value) for metric, name, value in found}

    return count


def test_the_kernel_counts(counted):
    """The file cache that it can drop is not the unit's; `max` is no limit."""
    memory = {"memory.current": "5000\n", "memory.stat": "anon 1000\ninactive_file 3000\n"}
    found = counted(
        {
            "system.slice/a.service": {
                "cpu.stat": "usage_usec 1500000\nuser_usec 1\n",
                "memory.max": "8000\n",
                **memory,
            },
            "system.slice/system-b.slice/b@1.service": {"memory.max": "max\n", **memory},
        }
    )
    assert found == {
        ("systemd_unit_cpu_seconds_total", "a.service"): 1.5,
        ("systemd_unit_memory_bytes", "a.service"): 2000,
        ("systemd_unit_memory_bytes", "b@1.service"): 2000,
        ("systemd_unit_memory_max_bytes", "a.service"): 8000,
    }


def test_where_the_kernel_does_not_count_memory_processes_do(counted):
    """Those in groups below the unit's own too; one that is gone counts nothing."""
    found = counted(
        {
            "system.slice/a.service": {"cgroup.procs": f"{2**22 + 1}\n"},
            "system.slice/a.service/below": {"cgroup.procs": f"{os.getpid()}\n"},
        }
    )
    own = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    expected = int(own["RssAnon"].split()[0]) * 1024
    assert found["systemd_unit_memory_bytes", "a.service"] == pytest.approx(expected, rel=0.2)


def test_names_are_those_of_systemd_and_few(counted):
    groups = [
        "init.scope",
        "user.slice",
        "user.slice/user-0.slice/session-1.scope",
        "system.slice/run-r1f2.service",
        r"system.slice/system-x\x2dy.slice/x-y@a\x2db.service",
    ]
    found = counted({group: {"cgroup.procs": ""} for group in groups})
    assert {name for _, name in found} == {"init.scope", "user.slice", r"x-y@a\\x2db.service"}
