"""What cannot be installed is refused in words that name it, and nothing is changed.

tests/test_preflight.py has the settings that need no Ansible to be judged.
"""

import re
import subprocess
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

# What an operator might have set, by name, and words that answer it.
CASES = {
    "secret-placeholder": (
        {"vault_secret_key": PLACEHOLDER},
        "`vault_secret_key` is missing, a placeholder, shorter than",
    ),
    "secret-short": (
        {"vault_database_password": SECRET},
        "`vault_database_password` is missing, a placeholder, shorter than",
    ),
    "secret-empty": (
        {"vault_admin_password": ""},
        "`vault_admin_password` is missing, a placeholder, shorter than",
    ),
    "secret-renamed": (
        {"jewelry_database_password": SECRET, "jewelry_email_url": f"smtp://a:{SECRET}@mail"},
        "Rename `jewelry_database_password` to `vault_database_password`, `jewelry_email_url` to",
    ),
    "variable-unknown": (
        {"jewelry_timezon": "Etc/UTC"},
        "The platform has no variable `jewelry_timezon`",
    ),
    "time-zone": ({"jewelry_timezone": "Mars/Olympus"}, "`jewelry_timezone` is Mars/Olympus"),
    "domain": ({"jewelry_domain": ""}, "`jewelry_domain` is missing"),
    "certificate-file": (
        {"nginx_certificate": "/missing.pem", "nginx_certificate_key": "/missing.key"},
        "`nginx_certificate` is /missing.pem, which is no file on this controller",
    ),
    "certificate-path": (
        {"nginx_certificate": "README.md", "nginx_certificate_key": "README.md"},
        "`nginx_certificate` is README.md, which is no file on this controller",
    ),
    "certificate-without-key": (
        {"nginx_certificate": "SITE.crt"},
        "`nginx_certificate_key` is missing, which is no file",
    ),
    "certificate-key": (
        {"nginx_certificate": "SITE.crt", "nginx_certificate_key": "OTHER.key"},
        "`nginx_certificate_key` does not fit `nginx_certificate`",
    ),
    "certificate-name": (
        {"nginx_certificate": "SITE.crt", "nginx_certificate_key": "SITE.key"},
        "`nginx_certificate` is not for",
    ),
    "time-of-updates": ({"updates_time": "25:00"}, "`updates_time` is 25:00"),
    "root-shut-out": ({"ssh_root_login": "no"}, "`ssh_root_login` is no, and Ansible logs in"),
    # A string, as -e gives it.
    "memory": ({"preflight_memory": "99999999"}, "the platform needs 99999999"),
    "application": (
        {
            "jewelry_domain": "192.0.2.10",
            "jewelry_environment": {"DEFAULT_FROM_EMAIL": "no-reply@{{ jewelry_domain }}"},
        },
        "the application refuses `jewelry_environment`: DEFAULT_FROM_EMAIL is not an e-mail",
    ),
    "connections": (
        {"jewelry_environment": {"WEB_WORKERS": 8, "WEB_THREADS": 16}},
        "need 278, since a release runs the old and the new beside each other",
    ),
    "several": (
        {"prometheus_retention_size": "much", "web_memory_max": 100},
        "`prometheus_retention_size` is much",
        "`web_memory_max` is 100",
    ),
    "port": ({"node_exporter_address": "127.0.0.1:9093"}, "Port 9093 is used twice"),
    "grafana-file": (
        {**GRAFANA, "grafana_package_file": "/missing.deb"},
        "`grafana_package_file` is /missing.deb, which is no .deb",
    ),
    "grafana-no-package": (
        {**GRAFANA, "grafana_package_file": "/etc/passwd"},
        "`grafana_package_file` is /etc/passwd, which is no .deb",
    ),
    "grafana-both": (
        {
            **GRAFANA,
            "grafana_package_file": "/a.deb",
            "grafana_repository": REPOSITORY_OF_GRAFANA,
        },
        "`grafana_package_file` and `grafana_repository` are both set",
    ),
    "grafana-incomplete": (
        {**GRAFANA, "grafana_repository": REPOSITORY_OF_GRAFANA},
        "may have `components` and nothing else; it has",
    ),
    "grafana-key": (
        {
            **GRAFANA,
            "grafana_repository": {**REPOSITORY_OF_GRAFANA, "signed_by": "/missing.asc"},
        },
        "`signed_by` of `grafana_repository` is /missing.asc, which is no key",
    ),
    "grafana-secrets": (
        {"grafana_repository": {**REPOSITORY_OF_GRAFANA, "signed_by": "KEY.asc"}},
        "`vault_grafana_password` is missing, a placeholder, shorter than 12",
        "`vault_grafana_secret_key` is missing, a placeholder, shorter than 32",
    ),
    "email": (
        {"alertmanager_email_to": ["a@example.org"]},
        "needs alertmanager_email_smarthost",
    ),
    "email-word": ({"alertmanager_email_to": "a@example.org"}, "a@example.org must be a list"),
    "services-word": ({"alertmanager_services": {"sms": "web"}}, "web must be a list"),
    "email-password": ({"alertmanager_email_password": SECRET}, "alertmanager_email_user and"),
    "sns": ({"alertmanager_sns_phone_numbers": ["+4915"]}, "needs alertmanager_sns_region"),
    "slack": (
        {"alertmanager_slack_url": f"example.org/{SECRET}"},
        "alertmanager_slack_url must begin",
    ),
    "sms": (
        {"alertmanager_sms_url": "https://example.org", "alertmanager_sms_token": "change-me"},
        "a placeholder is left in alertmanager_sms_token",
    ),
    "webhook-name": (
        {"alertmanager_webhooks": [{"name": "Two words", "url": "https://example.org"}]},
        "alertmanager_webhooks needs a name for each",
    ),
    "webhook-nameless": (
        {"alertmanager_webhooks": [{"url": "https://example.org"}]},
        "missing required arguments: name found in alertmanager_webhooks",
    ),
    "severities": (
        {"alertmanager_severities": {"sms": ["paeg"]}},
        "value of sms must be one or more of",
    ),
}


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


def test_group_missing(inventory, refused):
    del inventory[1]["database"]
    assert "The group `database` has no machine" in refused()


def test_beat_empty(inventory, refused):
    inventory[1]["beat"] = {"hosts": {}}
    assert "The group `beat` has no machine" in refused()


def test_beat_doubled(inventory, refused):
    # Two names of the same machine are enough to be two machines for Ansible.
    second = {"ansible_host": MACHINE, "lab_secrets": str(inventory[0] / "secrets")}
    inventory[1]["beat"]["hosts"] = {"second": second}
    said = refused()
    assert "The group `beat` has 2 machines" in said
    assert "second" in said


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


def make_certificates(folder):
    """Make two certificates with their keys, and something that is called a key."""
    for name in ("SITE", "OTHER"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=shop"),
                *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt"),
            ],
            check=True,
            capture_output=True,
        )
    (folder / "KEY.asc").touch()


@pytest.fixture
def answers(monkeypatch, tmp_path_factory, inventory, refused):
    """Run site.yml once, each case a machine of its own; return the words about each by name.

    A case is no machine at all: what is known of the real one is remembered for it.
    """
    folder = tmp_path_factory.mktemp("files")
    make_certificates(folder)
    facts = folder / "facts"
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN", "jsonfile")
    monkeypatch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(facts))
    command = ["ansible", "-i", INVENTORY, "all", "-m", "ansible.builtin.gather_facts"]
    subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True)
    (remembered,) = facts.iterdir()
    cases = {}
    for name, (variables, *_) in CASES.items():
        (facts / remembered.name.replace(MACHINE, name)).write_text(remembered.read_text())
        text = re.sub(
            r": ((SITE|OTHER|KEY)[.])",
            rf": {folder}/\1",
            yaml.safe_dump(variables),
        )
        cases[name] = {"lab_secrets": str(folder / "secrets"), **yaml.safe_load(text)}
    inventory[1]["cases"] = {"hosts": cases}
    words = dict.fromkeys([MACHINE, *CASES], "")
    failures = re.compile(
        r"^(?:fatal|failed): \[([a-z-]+)(?: ->.*)?\](.*?)(?=^\w+: \[|^TASK|^PLAY)",
        re.MULTILINE | re.DOTALL,
    )
    for name, text in failures.findall(refused()):
        words[name] += " ".join(text.split()) + " "
    return words


def test_settings(answers):
    assert "Nothing was changed: see above what" in answers[MACHINE]
    for name, (_, *expected) in CASES.items():
        assert name in answers[MACHINE]
        for words in expected:
            assert words in answers[name], name
