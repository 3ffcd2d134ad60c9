"""Every alert fires when it should and only then, says what to do, and has a runbook.

Role alerts writes its rules into a folder of the test, with the settings of inventories/example;
promtool tries them.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import alerts as alert_data
import build_dashboards
import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
TESTS = sorted((REPOSITORY / "tests/rules").glob("*_test.yml"))
RUNBOOKS = {path.stem for path in (REPOSITORY / "docs/runbooks").glob("*.md")} - {"README"}
DASHBOARDS = {path.stem for path in REPOSITORY.glob("roles/dashboards/files/dashboards/*.yml")}
OUTAGES = yaml.safe_load((REPOSITORY / "tests/rules/outages.yml").read_text())
UNITS = {"alerts_units": ["(nginx|prometheus-node-exporter)[.]service"]}
SEVERITIES = {"page", "ticket", "none"}
REGISTRY = yaml.safe_load((REPOSITORY / "playbooks/group_vars/all.yml").read_text())
SERVICES = {service["alerts"] for service in REGISTRY["platform_services"].values()}
SERVICES |= {"backup", "business", "any"}


def ansible(folder, settings, *arguments):
    """Run a module on this machine, which stands for the one that monitors; return the output."""
    folder.mkdir(exist_ok=True)
    (folder / "settings.yml").write_text(f"{settings}\nansible_become: false\n")
    command = "ansible monitoring -i inventories/example --playbook-dir playbooks -c local"
    done = subprocess.run(
        [*command.split(), "-e", f"@{folder}/settings.yml", *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "ANSIBLE_STRATEGY": "linear", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write_rules(folder, settings=""):
    """Let the role write its rules into a folder; return the groups by name."""
    settings += f"\n__alerts_directory: {folder}"
    ansible(folder.parent, settings, "-m", "include_role", "-a", "name=alerts")
    files = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yml"))]
    return {group["name"]: group["rules"] for file in files for group in file["groups"]}


def by_name(groups):
    """Return the alerts of all groups by name."""
    rules = [rule for group in groups.values() for rule in group]
    found = {rule["alert"]: rule for rule in rules if "alert" in rule}
    assert len(found) == sum("alert" in rule for rule in rules), "two alerts have one name"
    return found


@pytest.fixture(scope="module")
def promtool():
    found = shutil.which("promtool")
    assert found, "promtool is missing: run make .venv/bin/promtool"
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a file for each group: promtool evaluates all that it is given."""
    return tmp_path_factory.mktemp("rules")


@pytest.fixture(scope="module")
def alerts(folder):
    groups = write_rules(folder / "role")
    for name, rules in groups.items():
        group = {"groups": [{"name": name, "rules": rules}]}
        (folder / f"{name}.yml").write_text(yaml.safe_dump(group))
    return by_name(groups)


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
    """Return a file of tests in which each expected alert has all annotations of its rule.

    All machines are of one site, which no rule may lose: Alertmanager mutes by it.
    """
    document = yaml.safe_load(path.read_text().replace('host="', 'site="north",host="'))
    for test in document["tests"]:
        for check in test.get("alert_rule_test", []):
            own = alerts[check["alertname"]]["annotations"]
            for expected in check["exp_alerts"]:
                expected["exp_annotations"] = {**own, **expected["exp_annotations"]}
                expected["exp_labels"]["site"] = "north"
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should_and_only_then(promtool, folder, alerts, path):
    (folder / "test.yml").write_text(complete(path, alerts))
    done = subprocess.run(
        [promtool, "test", "rules", "test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_every_alert_has_a_runbook_and_every_runbook_its_alerts_head(alerts):
    assert set(alerts) == RUNBOOKS
    known = alert_data.load(alert_data.settings())
    write = "run: .venv/bin/python roles/dashboards/files/alerts.py docs/runbooks"
    for name, alert in known.items():
        text = (REPOSITORY / f"docs/runbooks/{name}.md").read_text()
        assert text == alert_data.with_head(text, alert), write
    index = (REPOSITORY / "docs/runbooks/README.md").read_text()
    assert index.count(alert_data.table(known) + "\n") == 1, write


OPERATOR = """
alerts_queue_length: 7
alerts_units: ["a[.]service", "b[.]service"]
alerts_for: {CPUBusy: 2h}
alerts_keep_firing_for: {DiskSpaceLow: 10m, CPUBusy: 3h}
alerts_extra:
  - alert: SalesStopped
    when: hardly any sale was made in two hours
    expr: sum by (host) (increase(jewelry_sales_total[2h])) < {alerts_queue_length}
    severity: ticket
    service: business
    dashboard: business
    summary: !unsafe only {{ $value }} sales
    description: Ask a shop whether its till works.
"""


def test_the_number_of_alerts_is_written_nowhere():
    folders = ("", "docs", "docs/monitoring", "docs/runbooks", "roles/*")
    documents = [
        path for folder in folders for path in REPOSITORY.glob(f"{folder}/*.md".lstrip("/"))
    ]
    assert len(documents) > 100
    for path in documents:
        found = re.search(r"\b(\d+|\w+ty)( \w+)? (alerts|runbooks)\b", path.read_text())
        assert not found, f"{path}: {found[0]}"


def test_no_runbook_repeats_the_numbers_of_its_head():
    """An operator who changes a threshold reads the new one there, and nowhere the old one."""
    settings = alert_data.settings()
    for path in sorted((REPOSITORY / "roles/alerts/files").glob("*.yml")):
        for alert in yaml.safe_load(path.read_text()):
            name = alert["alert"]
            body = (REPOSITORY / f"docs/runbooks/{name}.md").read_text().partition("\n## ")[2]
            prose = re.sub(r"(?m)^    .*$", "", body)
            for found in re.findall(r"\{(alerts_\w+)(:\w+)?\}", alert["when"] + alert["expr"]):
                number = alert_data.fill("{" + "".join(found) + "}", settings, name)
                for one in {number, str(settings[found[0]])}:
                    typed = rf"(?<![\d.]){re.escape(one)}(?![\d.]*\d)"
                    assert len(one) < 2 or not re.search(typed, prose), f"{name}: {one}"


def test_no_query_of_the_documents_repeats_an_objective():
    """Nor does their prose: the objectives are one list, and a series has what they allow."""
    settings = alert_data.settings()
    pages = (REPOSITORY / "docs/monitoring").glob("*.md")
    # The 0.99 of a p99 is another number.
    text = re.sub(r"quantile\(0[.]\d+", "", "\n".join(path.read_text() for path in pages))
    for name in ("alerts_slo_availability", "alerts_slo_latency", "alerts_slo_burn_1h"):
        for typed in (str(settings[name]), alert_data.words(settings[name], "percent", name)):
            assert not re.search(rf"(?<![\d.]){re.escape(typed)}(?![\d.])", text), (name, typed)


def test_an_operator_changes_alerts_and_adds_some(promtool, tmp_path, alerts):
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.yml").write_text("groups: []\n")
    (rules / "celery.yml").write_text("# Ansible\n# Part of role alerts.\ngroups: []\n")
    changed = by_name(write_rules(rules, OPERATOR))
    assert set(changed) == {*alerts, "SalesStopped"}
    assert changed["CeleryQueueLong"]["expr"].endswith("> 7\n")
    assert 'name=~"a[.]service|b[.]service"' in changed["UnitStopped"]["expr"]
    assert (changed["CPUBusy"]["for"], changed["CPUBusy"]["keep_firing_for"]) == ("2h", "3h")
    assert changed["DiskSpaceLow"]["keep_firing_for"] == "10m"
    assert changed["SalesStopped"]["expr"].endswith("< 7\n")
    assert changed["SalesStopped"]["annotations"]["summary"].endswith("only {{ $value }} sales")
    others = set(alerts) - {"CeleryQueueLong", "UnitStopped", "CPUBusy", "DiskSpaceLow"}
    assert {name: changed[name] for name in others} == {name: alerts[name] for name in others}
    written = {"alerts.yml", "public.yml", "recording.yml"}
    assert {path.name for path in rules.iterdir()} == {"own.yml", *written}
    subprocess.run([promtool, "check", "rules", rules / "alerts.yml"], check=True)


def test_an_operators_settings_reach_the_dashboards(tmp_path):
    of_role = f"@{REPOSITORY}/roles/alerts/defaults/main.yml"  # as of a role of the same play
    settings = f"""
alerts_queue_length: 7
alerts_slo_latency: "{{{{ 1 - 0.0005 }}}}"
dashboards_directory: {tmp_path}/pages
__dashboards_build: {tmp_path}/build
"""
    ansible(
        tmp_path, settings, "-m", "include_role", "-a", "name=dashboards",
        "-e", of_role, "-e", f"@{tmp_path}/settings.yml",
    )  # fmt: skip
    made = json.loads((tmp_path / "pages/dashboards.json").read_text())["dashboards"]
    tiles = {tile["title"]: tile for one in made for tile in one["tiles"]}
    assert tiles["Waiting"]["thresholds"]["warning"] == {"above": True, "value": 7}
    assert "99.95 % within 0.5 s" in tiles["Latency budget left"]["help"]
    assert "nginx[.]service" in tiles["Stopped units"]["expr"]
    runbook = (tmp_path / "pages/runbooks/CeleryQueueLong.html").read_text()
    assert "Fires when more than 7 tasks wait in the queue." in runbook


def written(value):
    """Return the values of a series as promtool wants them: one a minute, for ten minutes."""
    text = str(value)
    return text if "x" in text else f"{text}x10"


def looks(tile):
    """Return expressions that are 1 if a tile has a value, is a warning, is critical; else 0."""
    expression = tile["expr"].replace("$host", ".+")
    found = {"value": expression}  # NaN is one: there was nothing to count
    for level, limit in tile["thresholds"].items():
        sign = ">" if limit["above"] else "<"
        found[level] = f"({expression}) {sign} {limit['value']:.9g}"
    return {look: f"(count({text}) > bool 0) or vector(0)" for look, text in found.items()}


def checks(dashboards, wanted):
    """Return what promtool shall find of all tiles; `wanted` are those that are not well."""
    made = []
    for dashboard in dashboards:
        for tile in dashboard["tiles"]:
            level = wanted.get(dashboard["name"], {}).get(tile["title"], "ok")
            if not tile["thresholds"]:
                continue
            for look, expression in looks(tile).items():
                worse = {"warning": ("warning",), "critical": tuple(tile["thresholds"])}
                is_so = level != "none" if look == "value" else look in worse.get(level, ())
                made.append(
                    {
                        "expr": expression,
                        "eval_time": "10m",
                        "exp_samples": [{"labels": "{}", "value": int(is_so)}],
                    }
                )
    return made


def check_answers(promtool, folder, test, rule_files=()):
    """Let promtool ask what a test has, of the rules in these files."""
    document = {"rule_files": [*rule_files], "evaluation_interval": "1m", "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    done = subprocess.run(
        [promtool, "test", "rules", folder / "test.yml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "outage",
    [{"name": "all is well", "series": {}, "tiles": {}}, *OUTAGES["outages"]],
    ids=lambda outage: outage["name"].replace(" ", "-"),
)
def test_tiles_in_an_outage(promtool, folder, alerts, tmp_path, outage):
    """None stays green that is about it: tests/rules/outages.yml says which do not."""
    assert set(outage["series"]) <= set(OUTAGES["healthy"])
    dashboards = build_dashboards.load(alert_data.settings(UNITS))
    titles = {(one["name"], tile["title"]) for one in dashboards for tile in one["tiles"]}
    assert {(name, tile) for name in outage["tiles"] for tile in outage["tiles"][name]} <= titles
    series = OUTAGES["healthy"] | outage["series"]
    test = {
        "interval": "1m",
        "input_series": [
            {"series": name, "values": written(value)}
            for name, value in series.items()
            if value is not None
        ],
        "promql_expr_test": checks(dashboards, outage["tiles"]),
    }
    recorded = [str(folder / f"{name}.yml") for name in ("recording", "recording_month")]
    check_answers(promtool, tmp_path, test, recorded)


def test_nothing_is_shown_as_0_while_nobody_counts(promtool, tmp_path):
    """A graph that falls to 0 with its exporter says that all is well."""
    asked = {
        re.sub(r"\$(step|window)", "5m", query["expr"].replace("$host", ".+"))
        for dashboard in build_dashboards.load(alert_data.settings(UNITS))
        for panel in build_dashboards.panels(dashboard)
        for query in build_dashboards.queries(panel)
    }
    nothing = [{"expr": one, "eval_time": "10m", "exp_samples": []} for one in sorted(asked)]
    test = {"interval": "1m", "input_series": [], "promql_expr_test": nothing}
    check_answers(promtool, tmp_path, test)
