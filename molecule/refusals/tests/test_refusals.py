"""What cannot be installed is refused in words that name it, and nothing is changed.

tests/test_preflight.py has the settings that need no Ansible to be judged.
"""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
INVENTORY = REPOSITORY / "molecule/refusals/inventory"
MACHINE = "platform-refusals"
SECRET = "s3cret-one"
PLACEHOLDER = "change-me-change-me-change-me-change-me-change-me-change-me"
GRAFANA = dict.fromkeys(["vault_grafana_password", "vault_grafana_secret_key"], "8dH2kfLq" * 6)
REPOSITORY_OF_GRAFANA = {"uris": "https://packages.example.org", "suites": "stable"}

testinfra_hosts = [f"ansible://{MACHINE}"]


@pytest.fixture
def inventory(tmp_path):
    """A copy of the scenario's inventory that a test may spoil: its folder, and groups by name."""
    for name in ("group_vars", "hosts.yml", "vault.py"):
        (tmp_path / name).symlink_to((INVENTORY / name).resolve())
    return tmp_path, yaml.safe_load((INVENTORY / "groups.yml").read_text())["all"]["children"]


@pytest.fixture
def refused(host, play, inventory):
    """Return a function that runs site.yml, asserts that it stops and changes nothing."""
    folder, spoiled = inventory
    state = "dpkg-query -W | sha256sum; find /etc /srv /usr -xdev -newer /run/before"

    def run(*arguments):
        (folder / "groups.yml").write_text(yaml.safe_dump({"all": {"children": spoiled}}))
        host.check_output("touch /run/before")
        before = host.check_output(state)
        done = play(folder, "site.yml", *arguments)
        assert done.returncode != 0, done.stdout
        assert re.search(r"changed=0 ", done.stdout)
        assert not re.search(r"changed=[1-9]", done.stdout)
        assert host.check_output(state) == before
        assert SECRET not in done.stdout + done.stderr
        assert PLACEHOLDER not in done.stdout + done.stderr
        return done.stdout

    return run


def test_another_system(host, refused):
    host.check_output("sed s/13/12/ /etc/os-release > /run/os-release")
    host.check_output("echo 12.5 > /run/debian_version")
    host.check_output("mount --bind /run/os-release /etc/os-release")
    host.check_output("mount --bind /run/debian_version /etc/debian_version")
    try:
        said = " ".join(refused().split())
    finally:
        host.check_output("umount /etc/os-release /etc/debian_version")
    assert f"{MACHINE} runs Debian 12" in said
    assert "Debian 13" in said


def test_full_disk(host, refused):
    host.check_output("mount -t tmpfs -o size=8M tmpfs /srv")
    try:
        said = " ".join(refused().split())
    finally:
        host.check_output("umount /srv")
    assert f"{MACHINE} has 8 MiB free on /srv" in said


def test_room_for_the_numbers(refused):
    # With -e everything is a string.
    said = refused(
        *("-e", "preflight_memory=1000", "-e", "preflight_free_space=1000"),
        *("-e", "prometheus_retention_size=1PB"),
    )
    assert "`prometheus_retention_size` is 1PB, more than 60 % of the disk" in " ".join(
        said.split()
    )


def test_people_of_the_platforms_names(host, refused):
    host.check_output("useradd --create-home --shell /bin/bash --groups sudo jewelry")
    host.check_output("useradd --system --shell /bin/bash prometheus-node-exporter")
    host.check_output("useradd redis")
    before = host.check_output("cat /etc/passwd /etc/group /etc/shadow")
    try:
        said = " ".join(refused().split())
        assert host.check_output("cat /etc/passwd /etc/group /etc/shadow") == before
    finally:
        for name in ("jewelry", "prometheus-node-exporter", "redis"):
            host.check_output(f"userdel --remove {name} || test $? = 12")
    assert "already has accounts" in said
    assert re.search(r"jewelry, 1\d{3}", said)
    assert re.search(r"redis, 1\d{3}", said)


def test_parts_on_a_bare_machine(refused):
    said = " ".join(refused("--tags", "nginx,release").split())
    assert f"The platform is not installed on {MACHINE} yet, and `--tags nginx,release`" in said
    assert "run site.yml without --tags first" in said
