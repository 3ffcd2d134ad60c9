"""Every scenario runs, in an order that is written down and within a budget."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
SCENARIOS = sorted(path.parent for path in (REPOSITORY / "molecule").glob("*/molecule.yml"))


def test_make_runs_every_scenario():
    text = (REPOSITORY / "Makefile").read_text()
    listed = re.search("^SCENARIOS := (.+)$", text, re.MULTILINE)[1].split()
    assert sorted(listed) == [path.name for path in SCENARIOS]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_folders_with_several_tests_that_change_something_are_numbered(scenario):
    """Those of `tests` change nothing that lasts, in whatever order they run."""
    sequence = yaml.safe_load((scenario / "molecule.yml").read_text())["scenario"]["test_sequence"]
    folders = {step.removeprefix("verify ") for step in sequence if step.startswith("verify ")}
    assert {path.parent.name for path in scenario.glob("*/test_*.py")} <= folders | {"tests"}
    for folder in folders - {"tests"}:
        names = [path.name for path in sorted((scenario / folder).glob("test_*.py"))]
        numbers = [int(re.match(r"test_(\d\d)_", name)[1]) for name in names]
        assert numbers == list(range(1, len(names) + 1)), folder


@pytest.mark.parametrize("minutes", ["12", ""], ids=["too long", "none"])
def test_scenario_that_takes_longer_than_its_budget_fails(tmp_path, minutes):
    for path, text in {
        "molecule/run": (REPOSITORY / "molecule/run").read_text(),
        "molecule/slow/molecule.yml": f'verifier:\n  env:\n    BUDGET_MINUTES: "{minutes}"\n',
        "bin/molecule": "#!/bin/sh\necho molecule $*\nsleep 1\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        (tmp_path / path).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}

    def run(factor):
        return subprocess.run(
            [tmp_path / "molecule/run", "slow", "--destroy=never"],
            env={**environment, "BUDGET_FACTOR": factor},
            capture_output=True,
            text=True,
            check=False,
        )

    late = run("0")
    assert late.returncode == 1
    if not minutes:
        assert "molecule/slow/molecule.yml has no BUDGET_MINUTES" in late.stderr
        return
    assert "slow took longer than its budget" in late.stderr
    in_time = run("2")
    assert in_time.returncode == 0
    said = ["slow: molecule test --scenario-name slow --destroy=never", "slow: 1 minutes of 24"]
    assert in_time.stdout.splitlines() == said
