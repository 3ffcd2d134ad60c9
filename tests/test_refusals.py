"""What an operator might set and the platform refuses, in words that name it. Without a machine."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
INVENTORY = REPOSITORY / "inventories/lab"
SECRET = "s3cret-one"
PLACEHOLDER = "change-me-change-me-change-me-change-me-change-me-change-me"
GRAFANA = dict.fromkeys(["vault_grafana_password", "vault_grafana_secret_key"], "8dH2kfLq" * 6)
REPOSITORY_OF_GRAFANA = {"uris": "https://packages.example.org", "suites": "stable"}
# In place of a machine's: what is known of this controller, but for these.
FACTS = {
    "ansible_distribution": "Debian",
    "ansible_distribution_major_version": "13",
    "ansible_distribution_version": "13.1",
    "ansible_memtotal_mb": 4096,
}

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
        {
            **dict.fromkeys(GRAFANA, ""),
            "grafana_repository": {**REPOSITORY_OF_GRAFANA, "signed_by": "KEY.asc"},
        },
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
    "option-misspelled": (
        {"prometheus_retention": "60d"},
        "`prometheus_retention` is no option of a role: rename it to `prometheus_retention_",
    ),
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
        "alertmanager_webhooks needs a different name for each",
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
def groups():
    """The groups of an inventory, which a test may spoil, by name."""
    return yaml.safe_load((INVENTORY / "groups.yml").read_text())["all"]["children"]


@pytest.fixture
def refused(tmp_path, groups):
    """Return a function that runs the preflight for machines with these variables.

    The first is in every group. It runs in check mode, on this controller in place of each of
    the machines. It gives what it said.
    """
    facts = tmp_path / "facts"
    environment = {
        **os.environ,
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(facts),
        "ANSIBLE_FORCE_COLOR": "false",
    }
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
    }
    own = {"lab_machine": str(tmp_path)}  # stronger than the inventory's group_vars

    inventory = tmp_path / "inventory"
    inventory.mkdir()
    for name in ("group_vars", "vault.py"):
        (inventory / name).symlink_to(INVENTORY / name)

    def run(machines):
        first, *others = machines
        variables = {name: own | (machines[name] or {}) for name in machines}
        hosts = {
            "all": {"children": groups, "vars": common},
            "machine": {"hosts": {first: variables[first]}},
            "others": {"hosts": {name: variables[name] for name in others}},
        }
        (inventory / "hosts.yml").write_text(yaml.safe_dump(hosts))
        gather = ["ansible", "-i", inventory, first, "-m", "gather_facts"]
        subprocess.run(gather, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
        (remembered,) = facts.iterdir()
        payload = json.loads(json.loads(remembered.read_text())["__payload__"]) | FACTS
        for name in machines:
            path = remembered.with_name(remembered.name.replace(first, name))
            path.write_text(json.dumps({"__payload__": json.dumps(payload)}))
        done = subprocess.run(
            ["ansible-playbook", "-i", inventory, "playbooks/site.yml", "--tags", "preflight",
             "--check"],
            cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode != 0, done.stdout
        assert not re.search(r"changed=[1-9]", done.stdout)
        assert SECRET not in done.stdout + done.stderr
        assert PLACEHOLDER not in done.stdout + done.stderr
        return done.stdout

    return run


def test_group_missing(groups, refused):
    del groups["database"]
    assert "The group `database` has no machine" in refused({"shop1": None})


def test_beat_empty(groups, refused):
    groups["beat"] = {"hosts": {}}
    assert "The group `beat` has no machine" in refused({"shop1": None})


def test_beat_doubled(groups, refused):
    groups["beat"]["hosts"] = {"shop2": None}
    said = refused({"shop1": None, "shop2": None})
    assert "The group `beat` has 2 machines" in said
    assert "shop2" in said


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


def test_settings(tmp_path, refused):
    """Each case is a machine of its own, so that one run is enough for all."""
    make_certificates(tmp_path)
    machines = {"none": None}
    for name, (variables, *_) in CASES.items():
        text = re.sub(
            r": ((SITE|OTHER|KEY)[.])",
            rf": {tmp_path}/\1",
            yaml.safe_dump(variables),
        )
        machines[name] = yaml.safe_load(text)
    words = dict.fromkeys(machines, "")
    failures = re.compile(
        r"^(?:fatal|failed): \[([a-z-]+)(?: ->.*)?\](.*?)(?=^\w+: \[|^TASK|^PLAY)",
        re.MULTILINE | re.DOTALL,
    )

    for name, text in failures.findall(refused(machines)):
        words[name] += " ".join(text.split()) + " "

    assert "Nothing was changed: see above what" in words["none"]
    for name, (_, *expected) in CASES.items():
        assert name in words["none"]
        for word in expected:
            assert word in words[name], name
