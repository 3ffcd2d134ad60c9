"""What cannot be installed is refused in words that name it, and nothing is changed."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
INVENTORY = REPOSITORY / "molecule/refusals/inventory"
MACHINE = "platform-refusals"

testinfra_hosts = [f"ansible://{MACHINE}"]


@pytest.fixture
def inventory(tmp_path):
    """A copy of the scenario's inventory that a test may spoil: its folder, and groups by name."""
    (tmp_path / "group_vars").symlink_to((INVENTORY / "group_vars").resolve())
    (tmp_path / "hosts.yml").symlink_to((INVENTORY / "hosts.yml").resolve())
    return tmp_path, yaml.safe_load((INVENTORY / "groups.yml").read_text())["all"]["children"]


@pytest.fixture
def refused(host, play, inventory):
    """Return a function that runs site.yml, asserts that it stops and changes nothing."""
    folder, spoiled = inventory
    state = "dpkg-query -W | sha256sum; find /etc /srv /usr -xdev -newer /run/before"

    def run(**variables):
        (folder / "groups.yml").write_text(yaml.safe_dump({"all": {"children": spoiled}}))
        host.check_output("touch /run/before")
        before = host.check_output(state)
        done = play(folder, "site.yml", "-e", json.dumps(variables, default=str))
        assert done.returncode != 0, done.stdout
        assert re.search(r"changed=0 ", done.stdout) and "changed=1" not in done.stdout
        assert host.check_output(state) == before
        return " ".join(done.stdout.split())

    return run


def test_another_system(host, refused):
    host.check_output("sed s/13/12/ /etc/os-release > /run/os-release")
    host.check_output("echo 12.5 > /run/debian_version")
    host.check_output("mount --bind /run/os-release /etc/os-release")
    host.check_output("mount --bind /run/debian_version /etc/debian_version")
    try:
        said = refused()
    finally:
        host.check_output("umount /etc/os-release /etc/debian_version")
    assert f"{MACHINE} runs Debian 12" in said
    assert "Debian 13" in said


def test_group_missing(inventory, refused):
    del inventory[1]["database"]
    assert "The group `database` has no machine" in refused()


def test_scheduler_empty(inventory, refused):
    inventory[1]["scheduler"] = {"hosts": {}}
    assert "The group `scheduler` has no machine" in refused()


def test_scheduler_doubled(inventory, refused):
    # Two names of the same machine are enough to be two machines for Ansible.
    second = {"ansible_host": MACHINE, "lab_secrets": str(inventory[0] / "secrets")}
    inventory[1]["scheduler"]["hosts"] = {"second": second}
    said = refused()
    assert "The group `scheduler` has 2 machines" in said
    assert "second" in said


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("jewelry_secret_key", "change-me-change-me-change-me-change-me-change-me-change-me"),
        ("jewelry_database_password", "pA55-word"),
        ("jewelry_admin_password", ""),
    ],
)
def test_secret_is_none(refused, variable, value):
    said = refused(**{variable: value})
    assert f"`{variable}` is missing, a placeholder, shorter than" in said
    assert not value or value not in said


def test_time_zone(refused):
    assert "`jewelry_timezone` is Mars/Olympus" in refused(jewelry_timezone="Mars/Olympus")


def test_domain(refused):
    assert "`jewelry_domain` is missing" in refused(jewelry_domain="")


def test_certificate_without_its_key(refused, tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("site", "other"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=shop"),
                *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
            ],
            check=True,
            capture_output=True,
        )

    said = refused(nginx_certificate=folder / "site.crt")
    assert "`nginx_certificate_key` is missing" in said
    said = refused(
        nginx_certificate=folder / "site.crt", nginx_certificate_key=folder / "other.key"
    )
    assert "`nginx_certificate_key`" in said
    assert "does not fit" in said
    assert "PRIVATE KEY" not in said


REPOSITORY_OF_GRAFANA = {"uris": "https://packages.example.org", "suites": "stable"}


@pytest.mark.parametrize(
    ("grafana", "words"),
    [
        (
            {"grafana_package_file": "/missing.deb"},
            "`grafana_package_file` is /missing.deb, which is no .deb",
        ),
        (
            {"grafana_package_file": "/etc/passwd"},
            "`grafana_package_file` is /etc/passwd, which is no .deb",
        ),
        (
            {"grafana_package_file": "/a.deb", "grafana_repository": REPOSITORY_OF_GRAFANA},
            "`grafana_package_file` and `grafana_repository` are both set",
        ),
        (
            {"grafana_repository": REPOSITORY_OF_GRAFANA},
            "and nothing else; it has uris, suites:",
        ),
        (
            {"grafana_repository": {**REPOSITORY_OF_GRAFANA, "signed_by": "/missing.asc"}},
            "`signed_by` of `grafana_repository` is /missing.asc, which is no key",
        ),
    ],
)
def test_grafana_without_a_package(refused, grafana, words):
    secret = "8dH2kfLq0wZx" * 4
    said = refused(**grafana, jewelry_grafana_password=secret, jewelry_grafana_secret_key=secret)
    assert words in said


def test_grafana_without_its_secrets(refused):
    said = refused(grafana_package_file="/missing.deb")
    assert "`jewelry_grafana_password` is missing, a placeholder, shorter than 12" in said
    assert "`jewelry_grafana_secret_key` is missing, a placeholder, shorter than 32" in said


def test_full_disk(host, refused):
    host.check_output("mount -t tmpfs -o size=8M tmpfs /srv")
    try:
        said = refused()
    finally:
        host.check_output("umount /srv")
    assert f"{MACHINE} has 8 MiB free on /srv" in said


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"alertmanager_email_to": ["a@example.org"]}, "needs alertmanager_email_smarthost"),
        ({"alertmanager_email_to": "a@example.org"}, "a@example.org must be a list"),
        ({"alertmanager_services": {"sms": "web"}}, "web must be a list"),
        ({"alertmanager_email_password": "s3cret-one"}, "alertmanager_email_user and"),
        ({"alertmanager_sns_phone_numbers": ["+4915"]}, "needs alertmanager_sns_region"),
        ({"alertmanager_slack_url": "example.org/s3cret-one"}, "alertmanager_slack_url must begin"),
        ({"alertmanager_sms_url": "https://example.org", "alertmanager_sms_token": "change-me"},
         "a placeholder is left in alertmanager_sms_token"),
        ({"alertmanager_webhooks": [{"name": "Two words", "url": "https://example.org"}]},
         "alertmanager_webhooks needs a name for each"),
        ({"alertmanager_webhooks": [{"url": "https://example.org"}]},
         "missing required arguments: name found in alertmanager_webhooks"),
        ({"alertmanager_severities": {"sms": ["paeg"]}}, "value of sms must be one or more of"),
    ],
)  # fmt: skip
def test_messages(refused, variables, words):
    said = refused(**variables)
    assert words in said
    assert "s3cret-one" not in said
