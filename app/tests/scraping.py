"""What /metrics of the test's process says."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, frozenset], float]


def scrape(client) -> Samples:
    """All samples of /metrics, as Prometheus would read them."""
    families = text_string_to_metric_families(client.get("/metrics").content.decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


@contextmanager
def rises(client, by: float, name: str, **labels: str) -> Iterator[None]:
    """The sample is there before the block, and higher by that much after it."""
    before = value(scrape(client), name, **labels)
    assert before is not None, name
    yield
    assert value(scrape(client), name, **labels) - before == by, name
