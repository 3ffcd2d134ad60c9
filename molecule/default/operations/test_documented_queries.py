"""Every query of the documentation has an answer; every metric stands there. After test_counting,
whose load is what the queries see.
"""

import re
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://monitoring"]

TEXT = (Path(__file__).parents[3] / "docs/PROMETHEUS_MONITORING.md").read_text()
QUERIES = re.findall(r"^```promql\n(.+?)\n```$", TEXT, re.MULTILINE | re.DOTALL)


def test_there_are_many():
    assert len(QUERIES) >= 25


@pytest.mark.parametrize("query", QUERIES)
def test_query_has_an_answer(prometheus, eventually, query):
    def answer():
        return prometheus("query", query=query)["result"]

    result = eventually(answer, seconds=20)  # a restarted exporter may have missed its last scrape
    values = [one["value"][1] for one in result] if isinstance(result[0], dict) else [result[1]]
    assert "NaN" not in values


@pytest.mark.parametrize("job", ["django", "celery"])
def test_every_metric_of_the_application_is_explained(page, job):
    explained = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", page(job), re.MULTILINE))
    assert set(kinds) - explained == set()
