#!/usr/bin/env python3
"""Make pages, Grafana's dashboards and runbook pages of the files in `dashboards/`.

build_dashboards.py OUT [RUNBOOKS [INTERVAL]]

RUNBOOKS is a folder of Markdown files, INTERVAL the time between two scrapes, by default 15s.
Standard input has, as JSON, those variables of role alerts that are not its defaults.
Writes what has changed into the folder OUT, removes from it what no longer belongs there, and
prints the paths in it as JSON. The same sources give the same bytes.
"""

import html
import json
import re
import sys
from pathlib import Path

import alerts
import yaml
from markdown_it import MarkdownIt

HERE = Path(__file__).parent
ORDER = [
    "system",
    "services",
    "slo",
    "web",
    "database",
    "cache",
    "celery",
    "nginx",
    "business",
    "monitoring",
]
PAGES = HERE / "pages"
ENTRIES = {"page.js", "runbook.js"}  # all other modules are theirs
VENDOR = next((HERE / "vendor").glob("uplot-*"))

# Our units, and what Grafana calls them.
UNITS = {
    "percent": "percentunit",  # 1 is 100 %
    "seconds": "s",
    "days": "d",
    "bytes": "bytes",
    "bytes/s": "binBps",
    "per second": "cps",
    "per hour": "none",
    "cores": "none",
    "count": "none",
    "number": "none",
    "factor": "none",
    "money": "none",
    "state": "none",  # with `words`: what 0 and 1 are called
}
TEXTS = {"title", "question", "help", "unit"}
TILE = TEXTS | {"expr", "legend", "warning", "critical", "alerts", "words", "empty"}
PANEL = TEXTS | {"queries", "warning", "critical", "words", "empty", "kind", "wide"}
MARK = {"name", "expr", "text"}
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
THRESHOLD = re.compile(r"([<>]) (1 - )?(-?\d+(?:\.\d+)?)")


def check(part, allowed, required, where):
    """Refuse a mapping with unknown, missing or empty keys."""
    wrong = set(part) - allowed or required - {key for key, value in part.items() if value}
    if wrong:
        raise SystemExit(f"{where}: {', '.join(sorted(wrong))} unknown, missing or empty")


def check_panel(panel, allowed, required, where):
    """Refuse a tile or panel that is not complete; put its thresholds into numbers."""
    where = f"{where}: {panel.get('title')}"
    check(panel, allowed, TEXTS | required, where)
    if panel["unit"] not in UNITS:
        raise SystemExit(f"{where}: unit {panel['unit']} is unknown")
    if (panel["unit"] == "state") != ("words" in panel):
        raise SystemExit(f"{where}: words belong to unit state, and to no other")
    if panel.get("kind", "incidents") != "incidents":
        raise SystemExit(f"{where}: kind {panel['kind']} is unknown")
    for query in panel.get("queries", ()):
        check(query, {"expr", "legend"}, {"expr", "legend"}, where)
        if "kind" in panel and not re.fullmatch(r"[\w:]+(\{.*\})?", query["expr"]):
            raise SystemExit(f"{where}: incidents are those of a metric: {query['expr']}")
    levels = {}
    for level in ("warning", "critical"):
        if text := panel.pop(level, None):
            if not (found := THRESHOLD.fullmatch(text)):
                raise SystemExit(f"{where}: {level} is not like '> 0.8': {text}")
            value = round(1 - float(found[3]), 9) if found[2] else float(found[3])
            levels[level] = {"above": found[1] == ">", "value": value}
    if len({level["above"] for level in levels.values()}) == 2:
        raise SystemExit(f"{where}: warning and critical lie on opposite sides")
    panel["thresholds"] = levels


def check_alerts(tile, known, where):
    """Refuse a tile that is not as bad as its alerts: critical is a page, warning a ticket."""
    named = tile.get("alerts", [])
    if unknown := set(named) - set(known):
        raise SystemExit(f"{where}: {tile['title']}: no such alert: {', '.join(sorted(unknown))}")
    levels = {"page": "critical", "ticket": "warning"}
    if set(tile["thresholds"]) != {levels.get(known[name]["severity"]) for name in named}:
        raise SystemExit(
            f"{where}: {tile['title']}: critical is for an alert that pages, warning for a ticket;"
            f" name them: `alerts: [...]`"
        )


def load(settings=None):
    """Return the dashboards, in the order of the navigation, each with its name."""
    settings = settings or alerts.settings()
    known = alerts.load(settings)
    names = {path.stem for path in (HERE / "dashboards").glob("*.yml")}
    dashboards = []
    for name in [*(name for name in ORDER if name in names), *sorted(names - set(ORDER))]:
        text = (HERE / "dashboards" / f"{name}.yml").read_text()
        dashboard = yaml.safe_load(alerts.fill(text, settings, name))
        keys = {"title", "question", "tiles", "sections"}
        check(dashboard, keys, keys, name)
        for tile in dashboard["tiles"]:
            check_panel(tile, TILE, {"expr"}, name)
            check_alerts(tile, known, name)
        for section in dashboard["sections"]:
            check(section, {"title", "panels"}, {"title", "panels"}, name)
            for panel in section["panels"]:
                check_panel(panel, PANEL, {"queries"}, name)
        dashboards.append({"name": name, **dashboard})
    return dashboards


def load_marks():
    """Return what the graphs mark besides alerts: see marks.yml."""
    marks = yaml.safe_load((HERE / "marks.yml").read_text())
    for mark in marks:
        check(mark, MARK, MARK, f"marks.yml: {mark.get('name')}")
    return marks


def seconds(interval):
    """Return the seconds of a time such as Prometheus has it: 15s, 1m30s."""
    parts = re.findall(r"(\d+)(ms|[smhd])", interval)
    if not parts or "".join(map("".join, parts)) != interval:
        raise SystemExit(f"the interval is not like 15s: {interval}")
    return sum(int(number) * SECONDS[unit] for number, unit in parts)


def panels(dashboard):
    """Return the tiles of a dashboard and the panels of all its sections."""
    return [
        *dashboard["tiles"],
        *(panel for section in dashboard["sections"] for panel in section["panels"]),
    ]


def queries(panel):
    """Return expression and legend of each query of a tile or panel."""
    own = [{"expr": panel.get("expr"), "legend": panel.get("legend", "")}]
    return panel.get("queries", own)


# Pages


def page(title, body, base="", dashboard=None):
    """Return an HTML page; `base` leads from it to the folder of the files."""
    data = f' data-dashboard="{dashboard}"' if dashboard else ""
    modules = sorted(path.name for path in PAGES.glob("*.js") if path.name not in ENTRIES)
    graphs = "\n".join(
        [
            f'<link rel="stylesheet" href="{VENDOR.name}/uPlot.min.css">',
            f'<script src="{VENDOR.name}/uPlot.iife.min.js" defer></script>',
            *(f'<link rel="modulepreload" href="{name}">' for name in modules),
            '<script src="page.js" type="module"></script>',
        ]
    )
    runbook = f'<script src="{base}runbook.js" type="module"></script>'
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; form-action 'none'">
<link rel="icon" href="{base}icon.svg">
<link rel="stylesheet" href="{base}dashboards.css">
{graphs if dashboard else runbook}
</head>
<body{data}>
{body}
</body>
</html>
"""


def links(dashboards, current=None, base=""):
    """Return the navigation."""
    entries = [("index", "Overview"), *((one["name"], one["title"]) for one in dashboards)]
    return "\n".join(
        '<li><a data-page href="{}{}"{}>{}</a></li>'.format(
            base,
            "./" if name == "index" and not base else "" if name == "index" else f"{name}.html",
            ' aria-current="page"' if name == current else "",
            html.escape(title),
        )
        for name, title in [*entries, ("runbooks/index", "Runbooks")]
    )


def slug(text):
    """Return the name of a section or panel in addresses; panel.js makes the same."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def dashboard_page(name, title, question, dashboards):
    """Return the page of a dashboard, which page.js fills, or of the overview."""
    found = [one for one in dashboards if one["name"] == name]
    sections = found[0]["sections"] if found else []
    jumps = [("alerts", "Alerts"), ("state", "State")]
    jumps += [(f"section-{slug(one['title'])}", one["title"]) for one in sections]
    jump = "\n".join(
        f'<li><a href="#{place}">{html.escape(words)}</a></li>' for place, words in jumps
    )
    events = """<details id="events">
<summary>Marked on the graphs: <span id="events-count">…</span></summary>
<div class="scroll" tabindex="0" role="region" aria-label="What happened">
<table id="events-list"></table></div>
</details>"""
    body = f"""<a class="skip" href="#main">To the content</a>
<header>
<nav aria-label="Dashboards"><ul>
{links(dashboards, name)}
</ul></nav>
<div id="controls" class="controls" role="group" aria-label="What is shown"></div>
</header>
<main id="main" tabindex="-1">
<h1>{html.escape(title)}</h1>
<p class="question">{html.escape(question)}</p>
<noscript><p class="message error">These pages need JavaScript. Prometheus's own are at
<a href="../classic/graph">graph</a> and <a href="../classic/alerts">alerts</a>.</p></noscript>
<nav class="jump" aria-label="On this page"><ul>
{jump}
</ul></nav>
<div id="news" class="hidden" role="status"></div>
<section id="alerts" aria-label="Firing and pending alerts">
<h2 class="hidden">Alerts</h2>
<ul id="alerts-list" class="alerts"></ul>
</section>
<h2 id="state" class="hidden">State</h2>
<ul id="tiles" class="tiles" aria-label="State"></ul>
{events if sections else ""}
<div id="sections"></div>
</main>"""
    return page(f"{title} · Jewelry", body, dashboard=name)


def runbooks(folder, settings):
    """Return name and text of each runbook, its head as an operator has set its alert."""
    paths = sorted(folder.glob("*.md")) if folder and folder.is_dir() else ()
    texts = {path.stem: path.read_text() for path in paths}
    known = alerts.load(settings)
    if "README" in texts:
        texts["README"] = alerts.with_table(texts["README"], known)
    for name, alert in known.items():
        if name in texts or name in {one["alert"] for one in settings["alerts_extra"]}:
            own = texts.get(name, f"# {name}\n\n## What to do first\n\n{alert['description']}\n")
            texts[name] = alerts.with_head(own, alert, "[{0}](../{0}.html)")
    return texts


def runbook_pages(texts, dashboards):
    """Return path and text of a page for each runbook, and of a list of them."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    pages, titles = {}, []
    for stem, text in sorted(texts.items()):
        tokens = markdown.parse(text)
        title = stem
        for number, token in enumerate(tokens):
            if token.type == "heading_open":
                words = tokens[number + 1].content
                title = words if token.tag == "h1" else title
                token.attrSet("id", re.sub(r"[^\w -]", "", words.lower()).replace(" ", "-"))
            for child in token.children or ():
                target = str(child.attrs.get("href", ""))
                if child.type == "link_open" and re.match(r"[\w-]+\.md(#|$)", target):
                    child.attrSet("href", target.replace(".md", ".html", 1))
        text = markdown.renderer.render(tokens, markdown.options, {})
        # What may be wider than the page is scrolled, with the keyboard too.
        text = re.sub("<(pre|table)>", r'<\1 tabindex="0">', text)
        text = text.replace("<th></th>", "<td></td>")  # a heading without words is none
        name = "index" if stem in ("README", "index") else stem
        pages[name] = (title.replace("`", ""), text)
        if name != "index":
            titles.append((name, title.replace("`", "")))
    if "index" not in pages:
        entries = "".join(
            f'<li><a href="{name}.html">{html.escape(title)}</a></li>\n' for name, title in titles
        )
        none = "<p>There are none.</p>"
        pages["index"] = (
            "Runbooks",
            f"<h1>Runbooks</h1>\n{f'<ul>{entries}</ul>' if entries else none}",
        )
    nav = f"""<header><nav aria-label="Dashboards"><ul>
{links(dashboards, "runbooks/index", "../")}
</ul></nav></header>"""
    return {
        f"runbooks/{name}.html": page(
            title,
            f'{nav}\n<main class="runbook">\n{text}</main>',
            "../",
        )
        for name, (title, text) in pages.items()
    }


# Grafana


def grafana_field(panel):
    """Return unit, thresholds and words of a panel as Grafana wants them."""
    levels = panel["thresholds"]
    colors = {"warning": "yellow", "critical": "red"}
    steps = [{"color": "green" if levels else "blue", "value": None}]
    if any(not level["above"] for level in levels.values()):
        # From below: each level ends where the next better one begins.
        order = [name for name in ("critical", "warning") if name in levels]
        steps = [{"color": colors[order[0]], "value": None}]
        for number, name in enumerate(order):
            better = colors[order[number + 1]] if number + 1 < len(order) else "green"
            steps.append({"color": better, "value": levels[name]["value"]})
    else:
        # A step includes its value, and our "> 0" does not.
        steps += [
            {"color": colors[name], "value": levels[name]["value"] + 1e-9}
            for name in ("warning", "critical")
            if name in levels
        ]
    defaults: dict = {
        "unit": UNITS[panel["unit"]],
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [],
    }
    if panel["unit"] == "state":
        options = {str(value): {"text": word} for value, word in panel["words"].items()}
        defaults["mappings"] = [{"type": "value", "options": options}]
    if "expr" in panel and "empty" in panel:
        nothing = {"match": "nan", "result": {"text": panel["empty"]}}
        defaults["mappings"].append({"type": "special", "options": nothing})
    return defaults


def grafana_panel(panel, number, kind, place):
    """Return one panel of a Grafana dashboard."""
    source = {"type": "prometheus", "uid": "${datasource}"}
    field = grafana_field(panel)
    if kind == "timeseries":
        shown = "dashed" if panel["thresholds"] else "off"
        field["custom"] = {"fillOpacity": 10, "thresholdsStyle": {"mode": shown}}
    elif kind == "state-timeline":
        field["color"] = {"mode": "thresholds"}
    options = {
        "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background"},
        "timeseries": {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["last", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "state-timeline": {"mergeValues": True, "showValue": "never"},
    }
    return {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "description": f"{panel['question']} {panel['help']}",
        "gridPos": place,
        "datasource": source,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": source,
                "expr": re.sub(r"\$(window|step)\b", "$__rate_interval", query["expr"]),
                "legendFormat": query["legend"],
                "instant": kind == "stat",
                "range": kind != "stat",
            }
            for index, query in enumerate(queries(panel))
        ],
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options[kind],
    }


def grafana_mark(mark):
    """Return what Grafana marks on the graphs of a dashboard."""
    return {
        "name": f"{mark['name'].capitalize()}s",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "expr": f"1000 * ({mark['expr'].strip()})",
        "useValueForTime": True,
        "titleFormat": mark["text"],
        "iconColor": {"release": "blue"}.get(mark["name"], "gray"),
    }


def grafana_dashboard(dashboard):
    """Return a dashboard as Grafana imports it: tiles six in a row, then sections of two."""
    panels: list[dict] = []
    top = 0
    for index, tile in enumerate(dashboard["tiles"]):
        place = {"x": index % 6 * 4, "y": index // 6 * 4, "w": 4, "h": 4}
        panels.append(grafana_panel(tile, len(panels) + 1, "stat", place))
        top = place["y"] + 4
    for section in dashboard["sections"]:
        place = {"x": 0, "y": top, "w": 24, "h": 1}
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": section["title"],
                "collapsed": False,
                "gridPos": place,
                "panels": [],
            }
        )
        for index, panel in enumerate(section["panels"]):
            place = {"x": index % 2 * 12, "y": top + 1 + index // 2 * 8, "w": 12, "h": 8}
            kind = "state-timeline" if panel["unit"] == "state" else "timeseries"
            panels.append(grafana_panel(panel, len(panels) + 1, kind, place))
        top += 1 + (len(section["panels"]) + 1) // 2 * 8
    variables: list[dict] = [{"name": "datasource", "label": "Data source", "type": "datasource"}]
    variables[0] |= {"query": "prometheus"}
    if "$host" in json.dumps(panels):
        variables.append(
            {
                "name": "host",
                "label": "Host",
                "type": "query",
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "query": {"query": "label_values(up, host)", "refId": "host"},
                "refresh": 2,
                "includeAll": True,
                "allValue": ".+",
                "multi": True,
                "current": {"text": "All", "value": "$__all"},
            }
        )
    return {
        "uid": f"jewelry-{dashboard['name']}",
        "title": f"Jewelry / {dashboard['title']}",
        "description": dashboard["question"],
        "tags": ["jewelry"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": variables},
        "annotations": {"list": [grafana_mark(mark) for mark in load_marks()]},
        "panels": panels,
    }


def build(folder=None, interval="15s", given=None):
    """Return path and content of every file, with the runbooks of a folder, alerts as given."""
    settings = alerts.settings(given)
    dashboards = load(settings)
    files = {path.name: path.read_text() for path in sorted(PAGES.iterdir())}
    files |= {f"{VENDOR.name}/{path.name}": path.read_text() for path in sorted(VENDOR.iterdir())}
    source = {"interval": seconds(interval), "marks": load_marks(), "dashboards": dashboards}
    files["dashboards.json"] = json.dumps(source, ensure_ascii=False, indent=1) + "\n"
    overview = ("index", "Overview", "Is anything wrong, and where?")
    for name, title, question in [
        overview,
        *((one["name"], one["title"], one["question"]) for one in dashboards),
    ]:
        files[f"{name}.html"] = dashboard_page(name, title, question, dashboards)
    files |= runbook_pages(runbooks(folder, settings), dashboards)
    for one in dashboards:
        text = json.dumps(grafana_dashboard(one), ensure_ascii=False, indent=1)
        files[f"grafana/{one['name']}.json"] = text + "\n"
    return files


def write(files, out):
    """Make the folder hold just these files; return their paths, folders among them."""
    for name, text in files.items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)
    kept = set(files) | {
        str(parent) for name in files for parent in Path(name).parents if parent != Path()
    }
    for path in sorted(out.rglob("*"), reverse=True):
        if str(path.relative_to(out)) not in kept:
            path.rmdir() if path.is_dir() else path.unlink()
    return sorted(kept)


if __name__ == "__main__":
    source = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    given = {} if sys.stdin.isatty() else json.loads(sys.stdin.read() or "{}")
    made = build(source, sys.argv[3] if len(sys.argv) > 3 else "15s", given)
    print(json.dumps(write(made, Path(sys.argv[1]))))
