"""What a newcomer meets first says what to do next."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ADDRESS = "192.168.234.210"
SEED = (REPOSITORY / "app/apps/sales/management/commands/seed_demo.py").read_text()


@pytest.fixture
def lab(tmp_path):
    """Return a function that runs a script of lab/ whose machines are in a folder of the test."""

    def run(name, user="root", ssh=0):
        shutil.copytree(REPOSITORY / "lab", tmp_path / "lab", dirs_exist_ok=True)
        script = tmp_path / "lab" / name
        script.write_text(script.read_text().replace("lab=/var/lib/jewelry-lab", f"lab={tmp_path}"))
        (tmp_path / "lab/lab.py").write_text(f"print('jewelry {ADDRESS}')")
        for program, text in (
            ("ssh", f"exit {ssh}"),
            ("id", f"echo {0 if user == 'root' else 65534}"),
        ):
            (tmp_path / program).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / program).chmod(0o755)
        return subprocess.run(
            [script],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "machines/jewelry").mkdir(parents=True)
    (tmp_path / "machines/jewelry/ready").touch()


def test_status_before_up(lab):
    done = lab("status")
    assert done.returncode == 1
    assert "run make up" in done.stderr


def test_status_without_root(lab):
    assert "sudo make status" in lab("status", user="nobody").stderr


@pytest.mark.parametrize(
    ("ssh", "words"), [(127, "not installed"), (255, "does not answer"), (1, ""), (0, "")]
)
def test_status_of_a_machine(lab, machine, ssh, words):
    done = lab("status", ssh=ssh)
    assert words in done.stderr
    assert done.returncode == (1 if words else ssh)


def test_next_steps_stand_in_columns_and_name_every_user(lab):
    first, _, steps = lab("next-steps").stdout.strip("\n").split("\n\n")
    for block in (first.splitlines(), steps.splitlines()[1:]):
        starts = {list(re.finditer(r"\S {2,}(?=\S)", line))[-1].end() for line in block}
        assert len(starts) == 1, block
    assert all(user in first for user in re.findall(r'"(demo-\w+)":', SEED))


def test_tools_need_neither_root_nor_lab_packages():
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "tools"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install" in done.stdout
    assert "dpkg-query" not in done.stdout


@pytest.mark.parametrize("inventory", ["example", "lab"])
def test_site_ends_with_addresses_where_the_lab_does_not(inventory):
    done = subprocess.run(
        [
            *f"ansible monitoring -i inventories/{inventory} --playbook-dir playbooks".split(),
            *("-c", "local", "-m", "debug", "-a", "var=platform_welcome"),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = json.loads(done.stdout[done.stdout.index("{") :])["platform_welcome"]
    if inventory == "lab":
        assert said == ""
        return
    assert "https://shop.example.org/admin/" in said
    assert "https://shop.example.org/prometheus/" in said
    assert "ansible-vault view inventories/example/group_vars/all/vault.yml" in said
