"""The dashboards' source is whole; what is made of it for browsers and for Grafana is sane."""

import itertools
import json
import re
from pathlib import Path

import build_dashboards
import pytest
import yaml
from jinja2 import Template

REPOSITORY = Path(__file__).parents[1]
FILES = REPOSITORY / "roles/dashboards/files"
ALERTS = REPOSITORY / "roles/alerts"
DASHBOARDS = build_dashboards.load()
NAMES = [dashboard["name"] for dashboard in DASHBOARDS]
KNOWN = build_dashboards.alerts.load(build_dashboards.alerts.settings())


@pytest.fixture(scope="module")
def built():
    return build_dashboards.build(REPOSITORY / "docs/runbooks")


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
            assert set(re.findall(r"\$\w+", expression)) <= {"$host", "$step", "$window"}
            assert by_host == ("$host" in expression), f"{panel['title']} ignores the chosen host"
            assert "queries" in panel or not re.search(r"\$[sw]", expression), panel["title"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=NAMES)
def test_a_tile_and_a_panel_of_one_name_are_equally_bad(dashboard):
    tiles = {tile["title"]: tile for tile in dashboard["tiles"]}
    for section in dashboard["sections"]:
        for panel in section["panels"]:
            tile = tiles.get(panel["title"], panel)
            if tile["unit"] == panel["unit"]:
                assert panel["thresholds"] == tile["thresholds"], panel["title"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=NAMES)
def test_a_0_without_a_name_is_shown_only_when_there_is_nothing_else(dashboard):
    for panel in build_dashboards.panels(dashboard):
        for query in build_dashboards.queries(panel):
            bare = re.search(r"\bor (?!on \(\))(vector\(|0 \* count\()", query["expr"])
            assert not ("{{" in query["legend"] and bare), panel["title"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=NAMES)
def test_no_graph_of_states_misses_what_is_shorter_than_its_step(dashboard):
    """A step of a month is two hours. Of two units that take turns, neither is up all the time."""
    for panel in build_dashboards.panels(dashboard):
        if panel["unit"] == "state" and "queries" in panel and "kind" not in panel:
            for query in panel["queries"]:
                assert "[$step]" in query["expr"] or "blue" in query["legend"], panel["title"]


def test_every_alert_that_pages_has_a_tile_on_its_dashboard():
    shown = {
        (name, dashboard["name"])
        for dashboard in DASHBOARDS
        for tile in dashboard["tiles"]
        for name in tile.get("alerts", ())
    }
    pages = {
        (alert["alert"], alert["dashboard"])
        for alert in KNOWN.values()
        if alert["severity"] == "page"
    }
    assert pages <= shown


def metrics(expression):
    """Return the names of series in an expression."""
    bare = re.sub(r'"[^"]*"|\{alerts_\w+\}|\b(by|without|on) \([^)]*\)', " ", expression)
    return set(re.findall(r"[a-z_]+[_:][\w:]+\b(?! ?\()", bare))


def sources(names):
    """Return these metrics, and those of which they are recorded."""
    text = (ALERTS / "templates/etc/prometheus/rules/recording.yml.j2").read_text()
    macros = dict(re.findall(r"macro (\w+)\(.*?%}\n(.*?){%", text, re.DOTALL))
    text = re.sub(r"\[\[ (\w+)\(.*?\) \]\]", lambda one: macros[one[1]], text)
    rules = re.findall(r"record: ([\w:]+)\S*\s+expr:(.*?)(?=- record:|\Z)", text, re.DOTALL)
    recorded = [metrics(rule) for record, rule in rules for one in names if one.startswith(record)]
    return names.union(*recorded)


def numbers(expression):
    """Return the numbers that something is compared with or taken from, as `1 - 0.999`."""
    bare = re.sub(r'"[^"]*"|\[[^]]*\]|histogram_quantile\([^,]*,', " ", expression)
    return set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", bare))


def test_no_number_of_an_alert_is_written_in_a_dashboard():
    """Otherwise a changed threshold would change one of both."""
    values = build_dashboards.alerts.settings()
    numbers_of = {}  # by metric: the thresholds of its alerts
    for alert in KNOWN.values():
        named = [values[name] for name in re.findall(r"\{(alerts_\w+)\}", alert["expr"])]
        found = {float(one) for one in named if isinstance(one, int | float)}
        for metric in sources(metrics(alert["expr"])):
            numbers_of.setdefault(metric, set()).update(found, {round(1 - one, 9) for one in found})
    every = set().union(*numbers_of.values())
    striking = {one for one in every if one >= 100 or (one > 0.95 and not one.is_integer())}
    for path in sorted((FILES / "dashboards").glob("*.yml")):
        dashboard = yaml.safe_load(path.read_text())
        for panel in build_dashboards.panels(dashboard):
            expressions = [query["expr"] for query in build_dashboards.queries(panel)]
            levels = [panel[level] for level in ("warning", "critical") if level in panel]
            written = set().union(*map(numbers, expressions)) - {"0", "1"}
            if panel["unit"] != "state":
                written |= set().union(*map(numbers, levels))
            found = metrics(str(expressions))
            thresholds = set().union(*(numbers_of.get(one, set()) for one in found))
            typed = {float(one) for one in written} & (thresholds | striking)
            assert not typed, f"{path.name}: {panel['title']}: name the variable of {typed}"


@pytest.mark.parametrize(
    ("levels", "named"),
    [
        (("critical",), ["DiskSpaceLow"]),
        (("warning",), ["DiskSpaceCritical"]),
        (("warning",), ["DiskSpaceLow", "DiskSpaceCritical"]),
        (("warning",), []),
        ((), ["DiskSpaceLow"]),
        (("warning",), ["DiskSpaceLow", "DiskSpaceTall"]),
    ],
)
def test_a_tile_that_is_not_as_bad_as_its_alerts_is_refused(levels, named):
    tile = {"title": "T", "thresholds": dict.fromkeys(levels), "alerts": named}
    with pytest.raises(SystemExit, match="test: T: "):
        build_dashboards.check_alerts(tile, KNOWN, "test")


def test_an_unknown_variable_is_refused():
    with pytest.raises(SystemExit, match="test: role alerts has no variable alerts_nothing"):
        build_dashboards.alerts.fill("> {alerts_nothing}", {}, "test")


def test_an_operators_settings_move_tiles_and_runbooks():
    extra = {"alert": "SalesStopped", "when": "nothing is sold", "severity": "ticket"}
    extra |= {"service": "business", "dashboard": "business", "description": "Ask a shop."}
    made = build_dashboards.build(
        REPOSITORY / "docs/runbooks",
        given={
            "alerts_disk_free_low": 0.25,
            "alerts_slo_availability": 0.9995,
            "alerts_for": {"DiskSpaceLow": "3h"},
            "alerts_extra": [extra],
        },
    )
    dashboards = {one["name"]: one for one in json.loads(made["dashboards.json"])["dashboards"]}
    levels = {tile["title"]: tile["thresholds"] for tile in dashboards["system"]["tiles"]}
    assert levels["Fullest disk"]["warning"] == {"above": True, "value": 0.75}
    assert levels["Fullest disk"]["critical"] == {"above": True, "value": 0.95}
    assert "objective 99.95 %" in made["dashboards.json"]
    steps = json.loads(made["grafana/system.json"])["panels"][2]["fieldConfig"]["defaults"]
    assert steps["thresholds"]["steps"][1]["value"] == pytest.approx(0.75)
    page = made["runbooks/DiskSpaceLow.html"]
    assert "Fires when less than 25 % of a file system is free. This must last for 3 h." in page
    assert '<a href="../system.html">system</a>' in page
    assert "Ask a shop." in made["runbooks/SalesStopped.html"]
    assert "<td>nothing is sold</td>" in made["runbooks/index.html"]


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
    asked = [(panel["title"], target["expr"]) for panel in shown for target in panel["targets"]]
    assert asked == [
        (panel["title"], re.sub(r"\$(step|window)", "$__rate_interval", query["expr"]))
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
def test_grafana_finds_it(kind):
    role = FILES.parents[1] / "grafana"
    settings = {
        "grafana_prometheus_url": "http://[::1]:9999",
        "grafana_dashboards": "/pages/grafana",
        "grafana_prometheus_interval": "30s",
    }
    template = role / f"templates/etc/grafana/provisioning/{kind}/jewelry.yml.j2"
    made = yaml.safe_load(Template(template.read_text()).render(settings, ansible_managed="-"))
    assert made.pop("apiVersion") == 1
    (entry,) = made["datasources" if kind == "datasources" else "providers"]
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
        "# DiskFull\n\nSee [other](Other.md#now).\n\n| a | |\n|---|---|\n| 1 | `x` |\n\n"
        "## What to do\n\n    df -h\n\n<script>alert(1)</script>\n"
    )
    (tmp_path / "Other.md").write_text("# Other\n")
    made = build_dashboards.build(tmp_path)
    page = made["runbooks/DiskFull.html"]
    assert 'href="Other.html#now"' in page
    assert '<table tabindex="0">' in page
    assert '<pre tabindex="0">' in page
    assert "<th></th>" not in page
    assert '<h2 id="what-to-do">' in page
    assert "<script>alert" not in page
    assert 'href="DiskFull.html"' in made["runbooks/index.html"]


def test_same_source_same_bytes_and_nothing_is_left_over(tmp_path, built):
    runbooks = REPOSITORY / "docs/runbooks"
    assert build_dashboards.build(runbooks) == built
    (tmp_path / "old").mkdir()
    (tmp_path / "old/page.html").write_text("gone")
    kept = build_dashboards.write(built, tmp_path)
    assert kept == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert build_dashboards.write(built, tmp_path) == kept
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
