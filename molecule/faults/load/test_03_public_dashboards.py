"""Public dashboards find what they ask for, after test_01_counting, whose load they show."""

from pathlib import Path

import pytest
import yaml

testinfra_hosts = ["ansible://monitoring"]

DASHBOARDS = yaml.safe_load(Path(__file__).with_name("public_dashboards.yml").read_text())


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one["dashboard"].split(",")[0])
def test_metrics_are_there(prometheus, dashboard):
    """With the labels by which such dashboards choose."""
    wanted = set(dashboard["answered"].split())
    labels = f'__name__=~"{"|".join(sorted(wanted))}", job="{dashboard["job"]}", cluster!=""'

    series = prometheus("query", query=f"group by (__name__) ({{{labels}}})")["result"]
    assert wanted - {one["metric"]["__name__"] for one in series} == set()


def test_prometheus_is_where_tools_expect_it(host):
    for path in ("-/healthy", "-/ready", "api/v1/query?query=up"):
        host.check_output(f"curl -sSf 'http://127.0.0.1:9090/{path}'")
