"""The dashboards' source is whole; what is made of it for browsers and for Grafana is sane."""

import importlib.util
import itertools
import json
import re
from pathlib import Path

import pytest
import yaml
from jinja2 import Template

FILES = Path(__file__).parents[1] / "roles/dashboards/files"
SPEC = importlib.util.spec_from_file_location("build_dashboards", FILES / "build_dashboards.py")
build_dashboards = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build_dashboards)

DASHBOARDS = build_dashboards.load()
NAMES = [dashboard["name"] for dashboard in DASHBOARDS]


ALERTS = FILES.parents[1] / "alerts"
# What is Critical wakes somebody: the tile's alert, and its threshold if an operator may set it.
CRITICAL = {
    ("cache", "Broker"): ("RedisBrokerDown", None),
    ("cache", "Broker evictions"): ("RedisBrokerEvicting", None),
    ("cache", "Broker's file"): ("RedisPersistenceFailing", None),
    ("cache", "Broker's memory"): ("RedisMemoryHigh", "alerts_redis_memory_high"),
    ("celery", "Beat"): ("CeleryBeatSilent", "alerts_beat_silent_seconds"),
    ("celery", "Worker"): ("CeleryWorkerDown", None),
    ("database", "PostgreSQL"): ("PostgreSQLDown", None),
    ("monitoring", "Failed messages"): ("AlertmanagerNotificationsFailing", None),
    ("monitoring", "Targets down"): ("TargetDown", None),
    ("monitoring", "Undelivered alerts"): ("PrometheusNotificationsFailing", None),
    ("nginx", "Certificate"): ("ProbeFailing", None),
    ("nginx", "Its own errors"): ("NginxErrors", "alerts_http_errors_high"),
    ("nginx", "Site"): ("ProbeFailing", None),
    ("nginx", "nginx"): ("NginxDown", None),
    ("services", "Beat"): ("CeleryBeatSilent", "alerts_beat_silent_seconds"),
    ("services", "Broker"): ("RedisBrokerDown", None),
    ("services", "Celery worker"): ("CeleryWorkerDown", None),
    ("services", "Certificate"): ("ProbeFailing", None),
    ("services", "PostgreSQL"): ("PostgreSQLDown", None),
    ("services", "Server errors"): ("DjangoErrors", "alerts_http_errors_high"),
    ("services", "Site"): ("ProbeFailing", None),
    ("services", "Targets down"): ("TargetDown", None),
    ("system", "Fullest disk"): ("DiskSpaceCritical", "alerts_disk_free_critical"),
    ("slo", "Availability budget burns"): ("AvailabilityBudgetBurningFast", None),
    ("slo", "Latency budget burns"): ("LatencyBudgetBurningFast", None),
    ("web", "Availability budget burns"): ("AvailabilityBudgetBurningFast", None),
    ("web", "Latency budget burns"): ("LatencyBudgetBurningFast", None),
    ("web", "Server errors"): ("DjangoErrors", "alerts_http_errors_high"),
    ("web", "Web processes"): ("ProbeFailing", None),
}
# What is a Warning waits for the next day; those that have no alert are not here.
WARNING = {
    ("celery", "Failures"): "alerts_task_failures_high",
    ("celery", "Wait, 95 % within"): "alerts_queue_wait_seconds",
    ("celery", "Waiting"): "alerts_queue_length",
    ("database", "Connections"): "alerts_postgresql_connections_high",
    ("database", "Found in memory"): "alerts_postgresql_cache_hit_low",
    ("database", "Longest transaction"): "alerts_postgresql_transaction_seconds",
    ("services", "Certificate"): "alerts_certificate_days",
    ("system", "CPU used"): "alerts_cpu_high",
    ("system", "Clock off by"): "alerts_clock_offset_seconds",
    ("system", "Inodes used"): "alerts_inodes_free_low",
    ("system", "Fullest disk"): "alerts_disk_free_low",
    ("system", "Load per core"): "alerts_load_per_core_high",
    ("system", "Memory used"): "alerts_memory_free_low",
    ("web", "95 % within"): "alerts_http_latency_seconds",
}


@pytest.fixture(scope="module")
def built():
    return build_dashboards.build(Path(__file__).parents[1] / "docs/runbooks")


def test_every_dashboard_is_there():
    assert NAMES == build_dashboards.ORDER


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=NAMES)
def test_panels_say_what_they_are(dashboard):
    for panel in build_dashboards.panels(dashboard):
        assert panel["question"].endswith("?"), panel["title"]
        assert panel["help"].endswith("."), panel["title"]
    for kind in (dashboard["tiles"], *(one["panels"] for one in dashboard["sections"])):
        titles = [panel["title"] for panel in kind]
        assert len(titles) == len(set(titles))


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=NAMES)
def test_expressions_use_the_placeholders(dashboard):
    by_host = "$host" in json.dumps(dashboard)
    for panel in build_dashboards.panels(dashboard):
        for query in build_dashboards.queries(panel):
            expression = query["expr"]
            assert set(re.findall(r"\$\w+", expression)) <= {"$host", "$window"}
            assert by_host == ("$host" in expression), f"{panel['title']} ignores the chosen host"
            assert "queries" in panel or "$window" not in expression, panel["title"]


def test_tiles_are_as_bad_as_their_alerts():
    files = [yaml.safe_load(path.read_text()) for path in ALERTS.glob("files/*.yml")]
    severity = {alert["alert"]: alert["severity"] for alerts in files for alert in alerts}
    defaults = yaml.safe_load((ALERTS / "defaults/main.yml").read_text())
    levels = {
        (dashboard["name"], tile["title"]): tile["thresholds"]
        for dashboard in DASHBOARDS
        for tile in dashboard["tiles"]
    }

    def threshold(variable):  # a tile shows what is used, the variable says what is free
        value = defaults[variable]
        return pytest.approx(1 - value if "_free_" in variable else value)

    assert {tile for tile, found in levels.items() if "critical" in found} == set(CRITICAL)
    for tile, (alert, variable) in CRITICAL.items():
        assert severity[alert] == "page", tile
        assert not variable or levels[tile]["critical"]["value"] == threshold(variable), tile
    for tile, variable in WARNING.items():
        assert levels[tile]["warning"]["value"] == threshold(variable), tile


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("help", ""),
        ("unit", "furlongs"),
        ("warning", "80 %"),
        ("colour", "red"),
        ("words", {0: "no"}),
    ],
)
def test_a_wrong_panel_is_refused(key, value):
    panel = {
        "title": "T",
        "question": "Q?",
        "help": "H.",
        "unit": "count",
        "expr": "up",
        key: value,
    }
    with pytest.raises(SystemExit, match="T"):
        build_dashboards.check_panel(panel, build_dashboards.TILE, {"expr"}, "test")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "pie"}, "kind pie is unknown"),
        ({"queries": [{"expr": "min(up)", "legend": "up"}]}, "incidents are those of a metric"),
    ],
)
def test_a_wrong_list_of_incidents_is_refused(changes, words):
    panel = {
        "title": "T",
        "question": "Q?",
        "help": "H.",
        "unit": "state",
        "words": {0: "down", 1: "up"},
        "kind": "incidents",
        "queries": [{"expr": 'up{job="node"}', "legend": "up"}],
    }
    build_dashboards.check_panel(dict(panel), build_dashboards.PANEL, {"queries"}, "test")
    with pytest.raises(SystemExit, match=words):
        build_dashboards.check_panel(panel | changes, build_dashboards.PANEL, {"queries"}, "test")


@pytest.mark.parametrize("name", NAMES)
def test_grafana_dashboard_is_sane(built, name):
    dashboard = json.loads(built[f"grafana/{name}.json"])
    assert dashboard["uid"] == f"jewelry-{name}"
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(numbers) == len(set(numbers))
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = set(
            itertools.product(
                range(place["x"], place["x"] + place["w"]),
                range(place["y"], place["y"] + place["h"]),
            )
        )
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"stat", "timeseries", "state-timeline"}
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values)
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["expr"]
            used = set(re.findall(r"\$(\w+)", target["expr"])) - {"__rate_interval"}
            assert used <= set(variables), panel["title"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=NAMES)
def test_grafana_dashboard_asks_what_the_page_asks(built, dashboard):
    shown = [
        panel
        for panel in json.loads(built[f"grafana/{dashboard['name']}.json"])["panels"]
        if panel["type"] != "row"
    ]
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in shown:
        assert panel["datasource"] == source, panel["title"]
        assert [target["datasource"] for target in panel["targets"]] == [source] * len(
            panel["targets"]
        )
        letters = [target["refId"] for target in panel["targets"]]
        assert len(letters) == len(set(letters)), panel["title"]
    asked = [
        (panel["title"], target["expr"].replace("$__rate_interval", "$window"))
        for panel in shown
        for target in panel["targets"]
    ]
    assert asked == [
        (panel["title"], query["expr"])
        for panel in build_dashboards.panels(dashboard)
        for query in build_dashboards.queries(panel)
    ]


def test_grafana_marks_what_the_pages_mark(built):
    marks = build_dashboards.load_marks()
    assert {mark["name"] for mark in marks} == {"release", "restart"}
    for name in NAMES:
        shown = json.loads(built[f"grafana/{name}.json"])["annotations"]["list"]
        assert [one["expr"] for one in shown] == [f"1000 * ({one['expr']})" for one in marks]


def test_the_interval_between_scrapes_reaches_the_pages():
    assert json.loads(build_dashboards.build()["dashboards.json"])["interval"] == 15
    built = build_dashboards.build(interval="1m30s")
    assert json.loads(built["dashboards.json"])["interval"] == 90
    with pytest.raises(SystemExit, match="not like 15s: soon"):
        build_dashboards.build(interval="soon")


def test_places_on_a_page_have_addresses_of_their_own():
    for dashboard in DASHBOARDS:
        sections = {build_dashboards.slug(one["title"]) for one in dashboard["sections"]}
        assert len(sections) == len(dashboard["sections"]), dashboard["name"]
        panels = [
            build_dashboards.slug(panel["title"])
            for section in dashboard["sections"]
            for panel in section["panels"]
        ]
        assert len(panels) == len(set(panels)), dashboard["name"]


def test_grafana_has_a_dashboard_for_each(built):
    found = {name: json.loads(text) for name, text in built.items() if name.startswith("grafana/")}
    assert set(found) == {f"grafana/{name}.json" for name in NAMES}
    for key in ("uid", "title"):
        assert len({dashboard[key] for dashboard in found.values()}) == len(NAMES)


@pytest.mark.parametrize("kind", ["datasources", "dashboards"])
def test_grafana_is_told_of_it(kind):
    role = FILES.parents[1] / "grafana"
    settings = {
        "grafana_prometheus_url": "http://[::1]:9999",
        "grafana_dashboards": "/pages/grafana",
        "grafana_prometheus_interval": "30s",
    }
    template = role / f"templates/etc/grafana/provisioning/{kind}/jewelry.yml.j2"
    told = yaml.safe_load(Template(template.read_text()).render(settings, ansible_managed="-"))
    assert told.pop("apiVersion") == 1
    (entry,) = told["datasources" if kind == "datasources" else "providers"]
    if kind == "datasources":
        assert (entry["type"], entry["uid"], entry["isDefault"]) == ("prometheus", "jewelry", True)
        assert entry["url"] == settings["grafana_prometheus_url"]
    else:
        assert entry["options"]["path"] == settings["grafana_dashboards"]


def test_pages_need_nothing_from_elsewhere_and_no_inline_code(built):
    ours = {name: text for name, text in built.items() if not name.startswith("uplot-")}
    pages = {name: text for name, text in ours.items() if name.endswith(".html")}
    assert set(pages) >= {f"{name}.html" for name in [*NAMES, "index", "runbooks/index"]}
    for name, text in pages.items():
        loaded = re.findall(r"<(?:script|link|img)\b[^>]*?(?:src|href)=\"([^\"]+)\"", text)
        assert loaded, name
        for address in loaded:
            assert re.fullmatch(r"(\.\./)?[\w./-]+(\?v=\w+)?", address), f"{name}: {address}"
            target = (Path(name).parent / address.split("?")[0]).as_posix()
            target = target.removeprefix("runbooks/../")
            assert target in built, f"{name}: {address}"
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", text), name
    code = "".join(text for name, text in ours.items() if name.endswith((".js", ".css", ".svg")))
    assert set(re.findall(r"https?://[\w.]+", code)) == {"http://www.w3.org"}  # SVG's namespace
    assert not re.search(r"innerHTML|eval\(|new Function", code)


def test_links_between_pages_lead_somewhere(built):
    for name, text in built.items():
        if not name.endswith(".html"):
            continue
        for address in re.findall(r"<a [^>]*href=\"([^\"#?]+\.html)", text):
            if "://" not in address:
                target = (Path(name).parent / address).as_posix().removeprefix("runbooks/../")
                assert target in built, f"{name}: {address}"


def test_the_vendored_library_has_its_licence_and_version(built):
    assert "MIT" in built[f"{build_dashboards.VENDOR.name}/LICENSE"]
    version = build_dashboards.VENDOR.name.removeprefix("uplot-")
    script = built[f"{build_dashboards.VENDOR.name}/uPlot.iife.min.js"]
    assert f"(v{version})" in script[:200]


def test_runbooks_become_pages(tmp_path):
    (tmp_path / "DiskFull.md").write_text(
        "# DiskFull\n\nSee [other](Other.md#now).\n\n| a | b |\n|---|---|\n| 1 | `x` |\n\n"
        "## What to do\n\n    df -h\n\n<script>alert(1)</script>\n"
    )
    (tmp_path / "Other.md").write_text("# Other\n")
    made = build_dashboards.build(tmp_path)
    page = made["runbooks/DiskFull.html"]
    assert 'href="Other.html#now"' in page
    assert "<table>" in page
    assert '<h2 id="what-to-do">' in page
    assert "<script>alert" not in page
    assert 'href="DiskFull.html"' in made["runbooks/index.html"]


def test_same_source_same_bytes_and_nothing_is_left_over(tmp_path, built):
    runbooks = Path(__file__).parents[1] / "docs/runbooks"
    assert build_dashboards.build(runbooks) == built
    (tmp_path / "old").mkdir()
    (tmp_path / "old/page.html").write_text("gone")
    kept = build_dashboards.write(built, tmp_path)
    assert kept == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert build_dashboards.write(built, tmp_path) == kept
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
