"""Every alert fires when it should and only then, reads numbers that exist, and has a runbook."""

import re
from pathlib import Path
from shlex import quote

import pytest
import yaml

testinfra_hosts = ["ansible://monitoring"]

REPOSITORY = Path(__file__).parents[3]
RULES = "/etc/prometheus/rules"
TESTS = sorted((REPOSITORY / "molecule/default/rules").glob("*_test.yml"))
RUNBOOKS = {path.stem for path in (REPOSITORY / "docs/runbooks").glob("*.md")} - {"README"}
SEVERITIES = {"page", "ticket", "none"}
SERVICES = {"machine", "web", "worker", "beat", "database", "broker", "cache", "proxy"}
SERVICES |= {"monitoring", "backup", "business", "any"}
DASHBOARDS = {"system", "services", "web", "database", "cache", "celery", "nginx", "monitoring"}
DASHBOARDS |= {"business"}

# Families that only appear with an event, or not on every machine.
SOMETIMES = {
    "ALERTS",  # an outage
    "apt_upgrades_pending",  # an update
    "jewelry_backup_last_success_timestamp_seconds",  # a backup
    "node_timex_offset_seconds",  # a machine of its own, not a container
    "node_timex_sync_status",
}


@pytest.fixture(scope="module")
def rules(host):
    """Return the rules on the machine that the role has written."""
    files = f"$(grep -l '^# Part of role alerts' {RULES}/*.yml)"
    text = host.check_output(f"for file in {files}; do echo ---; cat $file; done")
    groups = [group for file in yaml.safe_load_all(text) for group in file["groups"]]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def alerts(rules):
    """Return the alerts among them by name."""
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def service(rule):
    """Return the service that a rule names; some alerts take it from what they found."""
    name = rule["labels"].get("service", "any")
    return "any" if name == "{{ $labels.instance }}" else name


def cases(path):
    """Return name of the alert and expected alerts of each case of a file."""
    return [
        (check["alertname"], check["exp_alerts"])
        for test in yaml.safe_load(path.read_text())["tests"]
        for check in test.get("alert_rule_test", [])
    ]


def complete(path, alerts):
    """Return a file of tests in which each expected alert has all annotations of its rule."""
    document = yaml.safe_load(path.read_text())
    for test in document["tests"]:
        for check in test.get("alert_rule_test", []):
            own = alerts[check["alertname"]]["annotations"]
            for expected in check["exp_alerts"]:
                expected["exp_annotations"] = {**own, **expected["exp_annotations"]}
    return yaml.safe_dump(document, sort_keys=False)


def selectors(expression):
    """Return the selectors of series in an expression."""
    bare = re.sub(r"\[\d+\w\]|\b(by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    found = re.finditer(r'"[^"]*"|([a-zA-Z_:][\w:]*)\b(?!\s*\()(\{[^}]*\})?', bare)
    names = ((match[1], match[2] or "") for match in found if match[1])
    return {name + labels for name, labels in names if name not in ("and", "or", "unless", "bool")}


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(host, alerts, path):
    host.check_output(f"echo {quote(complete(path, alerts))} > /run/test.yml")
    result = host.run("promtool test rules /run/test.yml")
    assert result.rc == 0, result.stdout + result.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not(alerts):
    tried = [case for path in TESTS for case in cases(path)]
    assert {name for name, expected in tried if expected} == set(alerts)
    assert {name for name, expected in tried if not expected} == set(alerts)


def test_every_alert_says_what_to_do(alerts):
    for name, rule in alerts.items():
        assert set(rule["labels"]) == {"severity", "service"} or name == "RecentOutage", name
        assert rule["labels"]["severity"] in SEVERITIES, name
        assert service(rule) in SERVICES, name
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook_url", "dashboard"}, name
        assert annotations["summary"].startswith("{{ $labels.host }}: "), name
        assert "{{" not in annotations["description"], name
        assert annotations["runbook_url"].endswith(f"/runbooks/{name}.html"), name
        assert annotations["dashboard"] in DASHBOARDS, name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert(alerts):
    assert set(alerts) == RUNBOOKS
    index = (REPOSITORY / "docs/runbooks/README.md").read_text()
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \| (\w+) \|", index, re.MULTILINE)
    assert {
        (name, rule["labels"]["severity"], service(rule)) for name, rule in alerts.items()
    } == set(listed)


def test_every_selector_has_series(prometheus, rules, eventually):
    wanted = {one for rule in rules for one in selectors(rule["expr"])}
    wanted = {one for one in wanted if one.split("{")[0] not in SOMETIMES}
    assert len(wanted) > 50

    def missing():
        return {one for one in wanted if not prometheus("query", query=f"count({one})")["result"]}

    assert eventually(lambda: not missing() or None, 90), missing()


def test_no_rule_fails(prometheus, alerts, eventually):
    def states():
        groups = prometheus("rules")["groups"]
        return [(rule["health"], rule["name"], rule.get("lastError")) for group in groups
                for rule in group["rules"]]  # fmt: skip

    assert set(alerts) <= {name for _, name, _ in states()}
    assert eventually(lambda: all(health == "ok" for health, _, _ in states()), 90), states()


def test_uptime_can_be_asked_for(prometheus, eventually):
    services = {"web", "readiness", "worker", "beat", "database", "broker", "cache", "proxy"}
    services |= {"monitoring"}

    def up():
        result = prometheus("query", query="avg_over_time(service:up[1m])")["result"]
        return {sample["metric"]["service"] for sample in result} == services

    eventually(up)
