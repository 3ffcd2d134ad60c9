"""The rules read numbers that exist. Whether alerts fire when they should: tests/test_rules.py."""

import re

import pytest
import yaml

testinfra_hosts = ["ansible://monitoring"]

RULES = "/etc/prometheus/rules"

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


def selectors(expression):
    """Return the selectors of series in an expression."""
    bare = re.sub(r"\[\d+\w\]|\b(by|without|on|ignoring)\s*\([^)]*\)", " ", expression)
    found = re.finditer(r'"[^"]*"|([a-zA-Z_:][\w:]*)\b(?!\s*\()(\{[^}]*\})?', bare)
    names = ((match[1], match[2] or "") for match in found if match[1])
    return {name + labels for name, labels in names if name not in ("and", "or", "unless", "bool")}


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
