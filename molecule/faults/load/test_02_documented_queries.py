"""Every documented query has an answer. After test_01_counting, whose load the queries see."""

import re
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://monitoring"]

PAGES = (Path(__file__).parents[3] / "docs/monitoring").glob("*.md")
TEXT = "\n".join(path.read_text() for path in sorted(PAGES))
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
