"""Playbooks run from anywhere, and say in words how they cannot be run."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
INVENTORY = REPOSITORY / "inventories/example"
PLAYBOOKS = sorted((REPOSITORY / "playbooks").glob("*.yml"))


def play(folder, *arguments):
    """Run a playbook in a folder; return how it ended."""
    environment = {name: os.environ[name] for name in os.environ if name != "ANSIBLE_CONFIG"}
    command = ["ansible-playbook", "-i", INVENTORY, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_another_working_directory(tmp_path, playbook):
    done = play(tmp_path, "--syntax-check", playbook)
    assert done.returncode == 0, done.stderr


def test_start_in_the_middle_is_refused():
    done = play(
        REPOSITORY, "--start-at-task", "Write the settings", REPOSITORY / "playbooks/site.yml"
    )
    assert done.returncode != 0
    assert "cannot begin with --start-at-task" in done.stderr
    assert "fatal:" not in done.stdout
