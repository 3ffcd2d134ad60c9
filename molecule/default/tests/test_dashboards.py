"""Every expression of the dashboards has an answer, and the pages are served with the password."""

import base64
import json
import re
import time
from pathlib import Path

import build_dashboards
import pytest

testinfra_hosts = ["ansible://monitoring"]

REPOSITORY = Path(__file__).parents[3]
PAGES = "/usr/share/jewelry-dashboards"

# What may have no answer on a young machine, with the reason: dashboard, panel, legend ("" is all).
MAY_BE_EMPTY = {
    ("business", "Sales of all shops", "a day before"): "is not that old",
    ("business", "Sales of all shops", "a week before"): "is not that old",
    ("business", "Average sale", "average"): "nothing was sold for five minutes",
    ("business", "Average sale", ""): "nothing was sold since it was booted",
    ("cache", "Hits", ""): "nobody read for five minutes",
    ("cache", "Hits", "the web's reads"): "nobody read for five minutes",
    ("celery", "Wait", "p50"): "no task started for five minutes",
    ("celery", "Wait", "p95"): "no task started for five minutes",
    ("celery", "Failures", ""): "no task ended for five minutes",
    ("celery", "Runtime, p95", "{{name}}"): "no task ended for five minutes",
    ("celery", "Schedule", "{{entry}}"): "nothing was due yet",
    ("database", "Connections by state", "{{state}}"): "nobody is connected",
    ("database", "Locks", "{{mode}}"): "no lock is held",
    ("database", "Found in memory", ""): "reads little",
    ("nginx", "Its own errors", ""): "hardly any request failed",
    ("services", "Server errors", ""): "hardly any request failed",
    ("slo", "Availability budget burns", ""): "hardly anybody came within the hour",
    ("slo", "Latency budget burns", ""): "hardly anybody came within the hour",
    ("slo", "Availability, 30 days", ""): "is counted every two minutes",
    ("slo", "Availability budget left", ""): "is counted every two minutes",
    ("slo", "Quick requests, 30 days", ""): "is counted every two minutes",
    ("slo", "Latency budget left", ""): "is counted every two minutes",
    ("system", "Swap used", ""): "has no swap",
    ("system", "Swap used", "{{host}}"): "has no swap",
    ("system", "Clock off by", ""): "a container has its host's clock",
    ("system", "Clock synchronised", ""): "a container has its host's clock",
    ("system", "Clock offset", "offset {{host}}"): "a container has its host's clock",
    ("system", "Clock offset", "largest error {{host}}"): "a container has its host's clock",
    ("system", "Clock synchronised", "{{host}}"): "a container has its host's clock",
    ("system", "Memory by unit, of its limit", "{{name}} {{host}}"): "may count no memory",
    ("web", "Availability budget burns", ""): "hardly anybody came within the hour",
    ("web", "Latency budget burns", ""): "hardly anybody came within the hour",
    ("web", "Server errors", ""): "hardly any request failed",
    ("web", "Pages with the most requests", "{{view}}"): "nobody came within the hour",
    ("monitoring", "Messages", "{{integration}}, failed"): "none failed",
}


@pytest.fixture(scope="module")
def dashboards(host):
    """Return the dashboards by name, with the thresholds that this machine's alerts have."""
    served = json.loads(host.file(f"{PAGES}/dashboards.json").content_string)["dashboards"]
    return {dashboard["name"]: dashboard for dashboard in served}


@pytest.mark.parametrize("name", build_dashboards.ORDER)
def test_every_expression_has_an_answer(prometheus, site, dashboards, name):
    dashboard = dashboards[name]

    def answer(query):
        expression = re.sub(r"\$(step|window)", "5m", query["expr"].replace("$host", ".+"))
        data = prometheus("query", query=expression)
        return [one["value"][1] for one in data["result"]]

    def unanswered():
        return {
            (dashboard["name"], panel["title"], query["legend"])
            for panel in build_dashboards.panels(dashboard)
            for query in build_dashboards.queries(panel)
            if not set(answer(query)) - {"NaN"}
        } - set(MAY_BE_EMPTY)

    deadline = time.monotonic() + 60  # a machine just booted has not been read often enough
    while (missing := unanswered()) and time.monotonic() < deadline:
        site("GET", "/")  # without visitors there is no share of errors
        time.sleep(5)
    assert missing == set()


@pytest.mark.parametrize("name", build_dashboards.ORDER)
def test_a_tile_without_a_legend_has_one_value(prometheus, dashboards, name):
    for tile in dashboards[name]["tiles"]:
        if "legend" not in tile:
            expression = tile["expr"].replace("$host", ".+")
            assert len(prometheus("query", query=expression)["result"]) <= 1, tile["title"]


def test_metrics_of_empty_panels_exist(dashboards):
    known = {
        (dashboard["name"], panel["title"], query["legend"])
        for dashboard in dashboards.values()
        for panel in build_dashboards.panels(dashboard)
        for query in build_dashboards.queries(panel)
    }
    assert set(MAY_BE_EMPTY) <= known


def test_pages_are_served_with_the_password_only(site, secret):
    credentials = base64.b64encode(f"admin:{secret('prometheus_password')}".encode()).decode()
    built = build_dashboards.build(REPOSITORY / "docs/runbooks")
    # nginx limits tries at the password, so two runbooks and one of Grafana's are enough.
    others = ("index", "uplot", "runbooks/", "grafana/")
    shown = [name for name in built if not name.startswith(others)]
    shown += ["runbooks/", "runbooks/Watchdog.html", "grafana/web.json", ""]
    shown += [f"{build_dashboards.VENDOR.name}/LICENSE"]
    for name in shown:
        path = f"/prometheus/user/{name}"
        assert site("GET", path)[0] == 401, path
        status, text = site("GET", path, Authorization=f"Basic {credentials}")
        assert status == 200, path
        if name.endswith((".js", ".css", ".html")) and "index" not in name:
            assert text == built[name], path


def test_only_these_pages_are_there(host):
    built = build_dashboards.build(REPOSITORY / "docs/runbooks")
    found = host.check_output(f"cd {PAGES} && find . -type f -printf '%P\\n'")
    assert set(found.splitlines()) == set(built)
    assert host.file(f"{PAGES}/index.html").mode == 0o644
