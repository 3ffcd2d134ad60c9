#!/usr/bin/env python3
"""What dashboards and runbooks say of the alerts: thresholds, severities, when they fire.

alerts.py RUNBOOKS

Writes the head of each runbook in the folder RUNBOOKS and the table of its README.md, with the
default settings of role alerts.
"""

import re
import sys
from itertools import chain
from pathlib import Path

import yaml
from jinja2 import UndefinedError
from jinja2.nativetypes import NativeEnvironment

ROLE = Path(__file__).parents[2] / "alerts"
URGENCY = {"page": "now, at any hour", "ticket": "next working day", "none": "nobody is notified"}
UNITS = {"s": "s", "m": "min", "h": "h", "d": "days"}


def settings(given=None):
    """Return the variables of role alerts: its defaults, and what an inventory sets."""
    found = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    for name, value in found.items():
        if isinstance(value, str) and "{{" in value:  # computed of the inventory, or its default
            try:
                found[name] = NativeEnvironment().from_string(value).render()
            except UndefinedError:
                found[name] = name
    return found | (given or {})


def words(value, unit, where):
    """Return a number as people write it."""
    if unit == "percent":
        return f"{round(100 * float(value), 6):g} %"
    if unit == "count":
        return f"{int(value):,}"
    if unit != "seconds":
        raise SystemExit(f"{where}: {{…:{unit}}} is none of percent, count, seconds")
    for size, name in ((86400, "days"), (3600, "hours"), (60, "min")):
        if float(value) >= 2 * size and float(value) % size == 0:
            return f"{float(value) / size:g} {name}"
    return f"{float(value):g} s"


def fill(text, values, where):
    """Put in what {alerts_x}, {alerts_x:percent}, … stand for."""

    def value(found):
        name, unit = found[1], found[2]
        if name not in values:
            raise SystemExit(f"{where}: role alerts has no variable {name}")
        if unit:
            return words(values[name], unit, where)
        return "|".join(values[name]) if isinstance(values[name], list) else str(values[name])

    return re.sub(r"\{(alerts_\w+)(?::(\w+))?\}", value, text)


def load(values):
    """Return all alerts by name, an operator's among them, as these settings make them."""
    topics = [yaml.safe_load(path.read_text()) for path in sorted(ROLE.glob("files/*.yml"))]
    found = {}
    for alert in chain(*topics, values["alerts_extra"]):
        name = alert["alert"]
        lasts = values["alerts_for"].get(name, alert.get("for", "0m"))
        found[name] = {**alert, "for": lasts, "when": fill(alert["when"], values, name)}
    return found


def service(alert):
    """Return what an alert is about; some find that out when they fire."""
    name = alert.get("service", "any")
    return "any" if "{{" in name else name


def lasts(alert):
    """Return how long an alert's condition must last; nothing if it fires at once."""
    parts = re.findall(r"(\d+)([a-z]+)", alert["for"])
    return " ".join(f"{number} {UNITS.get(unit, unit)}" for number, unit in parts if int(number))


def with_head(text, alert, dashboard="{}"):
    """Return a runbook with its head: all that stands between its title and its first section."""
    title, _, rest = text.partition("\n")
    _, section, body = rest.partition("\n## ")
    return (
        f"{title}\n\nSeverity {alert['severity']}: {URGENCY[alert['severity']]}."
        f" Service {service(alert)}, dashboard {dashboard.format(alert['dashboard'])}.\n\n"
        f"Fires when {alert['when']}."
        + (f" This must last for {lasts(alert)}." if lasts(alert) else "")
        + f"\n{section}{body}"
    )


def table(alerts):
    """Return the list of all alerts, in Markdown."""
    rows = [
        f"| [{name}]({name}.md) | {alert['severity']} | {service(alert)} | {alert['when']} |"
        f" {lasts(alert)} |"
        for name, alert in sorted(alerts.items(), key=lambda one: one[0].lower())
    ]
    return "\n".join(
        ["| Alert | Severity | Service | Fires when | For |", "|---|---|---|---|---|", *rows]
    )


def with_table(text, alerts):
    """Return a list of runbooks whose table has these alerts."""
    return re.sub(r"(?m)^\| Alert \|.*\n(?:\|.*\n?)*", lambda _: table(alerts) + "\n", text)


if __name__ == "__main__":
    folder, alerts = Path(sys.argv[1]), load(settings())
    for name, alert in alerts.items():
        runbook = folder / f"{name}.md"
        text = runbook.read_text() if runbook.is_file() else f"# {name}\n"
        runbook.write_text(with_head(text, alert))
    index = folder / "README.md"
    index.write_text(with_table(index.read_text(), alerts))
