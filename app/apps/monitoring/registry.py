"""What other apps let the exporter serve: each registers it in a module `metrics` of its own.

Those modules are imported when Django starts (apps.py). Nothing here imports another app.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

from prometheus_client import Counter, Metric

Query = Callable[[], list[Metric]]

queries: dict[str, list[Query]] = defaultdict(list)  # by source
counters: list[tuple[Counter, str]] = []  # each with the label by which it starts at zero


def gauges(source: str) -> Callable[[Query], Query]:
    """Decorate a function that reads gauges from the database: job `django` serves them.

    Functions of one source succeed together or fail together.
    """

    def register(query: Query) -> Query:
        queries[source].append(query)
        return query

    return register


def start_at_zero(label: str, *counted: Counter) -> None:
    """Serve these counters as 0 for each value that the label has in gauges.

    A counter has no sample before its first event, so `rate()` would not see that event.
    """
    counters.extend((counter, label) for counter in counted)


def add_zeros(families: dict[str, Metric], found: Iterable[Metric]) -> None:
    """Add what `start_at_zero` promises to the counted families; `found` are the gauges."""
    samples = [sample for family in found for sample in family.samples]
    for counter, label in counters:
        (described,) = counter.describe()
        family = families.setdefault(described.name, described)
        expected = {sample.labels[label] for sample in samples if label in sample.labels}
        for value in sorted(expected - {sample.labels[label] for sample in family.samples}):
            family.add_sample(f"{described.name}_total", {label: value}, 0.0)
