"""The exporter: a process of its own that serves the numbers of all others.

There is a collector for each of Prometheus's jobs: `django` (what the web processes count, the
database's migrations, the business) and `celery` (what publishers, worker and beat count, the
queues). A scrape waits for nothing that can hang: threads (`Source`) ask the database and the
broker, so a scrape takes as long as reading the files takes.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import redis
from django.conf import settings
from django.db import connection
from prometheus_client import PROCESS_COLLECTOR, CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from typing_extensions import override

from apps.monitoring import files, registry, schema, slots
from apps.monitoring.tasks import SENT_AT

logger = logging.getLogger(__name__)

PATIENCE = 2  # seconds that the first scrape waits for the first results
LIVE = Path("/srv/jewelry/live")  # a link to the release that is served
HEARTBEAT = 30  # seconds after which a worker without heartbeat counts as down; it beats every 2
EXPORTER_LABELS = {"role": "main", "service": "metrics", "slot": "0"}


class Source(threading.Thread):
    """Families that something else must be asked for, asked for every `interval` seconds.

    Old results are not served: after a failure, or when no answer has come for three intervals,
    there are none until the next success.
    """

    def __init__(self, name: str, ask: registry.Query, interval: float) -> None:
        super().__init__(name=name, daemon=True)
        self._ask, self._interval = ask, interval
        self._result: list[Metric] = []
        self._since = 0.0  # monotonic; when the result was asked for
        self._first = threading.Event()
        self._deadline = time.monotonic() + PATIENCE
        self._problem = ""

    def run(self) -> None:
        """Ask for ever."""
        while True:
            began = time.monotonic()
            try:
                self._result, problem = self._ask(), ""
                self._since = began
            except Exception as error:
                self._result, problem = [], f"{type(error).__name__}: {error}".strip()
            if problem != self._problem:
                state = f"fails: {problem}" if problem else "works again"
                logger.warning("%s %s", self.name, state.replace("\n", " "))
                self._problem = problem
            self._first.set()
            time.sleep(self._interval)

    def families(self) -> list[Metric]:
        """The last result; empty while there is none."""
        self._first.wait(max(0.0, self._deadline - time.monotonic()))
        fresh = time.monotonic() - self._since < 3 * self._interval
        return self._result if fresh else []


class JobCollector:
    """What one of Prometheus's jobs scrapes: the files of services, and sources."""

    def __init__(self, directory: Path, services: list[str], sources: list[Source]) -> None:
        self._directory, self._services, self._sources = directory, services, sources
        self._broken = dict.fromkeys(services, 0)

    def collect(self) -> Iterator[Metric]:
        """All families; called by prometheus_client at each scrape."""
        holders, totals = {}, {}
        for service in self._services:
            holders[service] = slots.holders(self._directory / service)
            totals[service] = files.total(self._directory / service, holders[service])
            self._broken[service] += totals[service].broken
        found = {source.name: source.families() for source in self._sources}
        yield from self.families(holders, totals, found)
        yield from self._own_metrics(totals, found)

    def families(self, holders: dict, totals: dict, found: dict) -> Iterable[Metric]:
        """The job's families: what it takes of the files and of the sources' results."""
        raise NotImplementedError

    def _own_metrics(self, totals: dict, found: dict) -> Iterator[Metric]:
        number = GaugeMetricFamily(
            "jewelry_metrics_files", "Files of metrics that were read.", labels=["service"]
        )
        broken = CounterMetricFamily(
            "jewelry_metrics_broken_files",
            "Files of metrics that could not be read and were set aside.",
            labels=["service"],
        )
        for service, total in totals.items():
            number.add_metric([service], total.files)
            broken.add_metric([service], self._broken[service])
        success = GaugeMetricFamily(
            "jewelry_metrics_source_success",
            "Whether the numbers that come from elsewhere could be had.",
            labels=["source"],
        )
        for source, families in found.items():
            success.add_metric([source], bool(families))
        yield from (number, broken, success)


class DjangoCollector(JobCollector):
    """What the web processes count, migrations, the business."""

    @override
    def families(self, holders: dict, totals: dict, found: dict) -> Iterable[Metric]:
        families = totals["web"].families
        registry.add_zeros(families, [family for source in found.values() for family in source])
        for family in PROCESS_COLLECTOR.collect():
            family.samples = [s._replace(labels=EXPORTER_LABELS) for s in family.samples]
            _merge(families, family)
        alive = sum(holder.role == "child" and bool(holder.pid) for holder in holders["web"])
        yield GaugeMetricFamily("gunicorn_workers_alive", "Web processes that live.", alive)
        yield release()
        yield from (family for name, family in families.items() if not name.startswith("celery_"))
        for source in found.values():
            yield from source


class CeleryCollector(JobCollector):
    """What is counted of tasks, wherever it happens, the worker, beat and the queues."""

    def __init__(self, *args, nodes: list[str]) -> None:
        super().__init__(*args)
        self._nodes = nodes  # workers that should be there

    @override
    def families(self, holders: dict, totals: dict, found: dict) -> Iterable[Metric]:
        families = totals["worker"].families
        for service, prefix in (("web", "celery_"), ("beat", ("celery_", *files.PER_PROCESS))):
            for name, family in totals[service].families.items():
                if name.startswith(prefix):
                    _merge(families, family)
        yield from self._workers(families, holders["worker"])
        yield from families.values()
        for source in found.values():
            yield from source

    def _workers(self, families: dict[str, Metric], holders: list) -> Iterator[Metric]:
        alive = any(holder.role == "main" and holder.pid for holder in holders)
        beats = families.get("celery_worker_last_heartbeat_timestamp_seconds")
        last = dict.fromkeys(self._nodes, 0.0)
        last |= {s.labels["hostname"]: s.value for s in (beats.samples if beats else ())}
        up = GaugeMetricFamily(
            "celery_worker_up", "Whether the worker lives and beats.", labels=["hostname"]
        )
        for node, seconds in last.items():
            beats_now = alive and abs(time.time() - seconds) < HEARTBEAT
            if beats_now or node in self._nodes or not self._nodes:  # else a name of the past
                up.add_metric([node], beats_now)
        yield up
        processes = sum(holder.role == "child" and bool(holder.pid) for holder in holders)
        for name, text, value in (
            ("worker", "Workers that are up and read the queue.", sum(s.value for s in up.samples)),
            ("process", "Processes that run tasks of the queue.", processes),
        ):
            family = GaugeMetricFamily(f"celery_active_{name}_count", text, labels=["queue_name"])
            for queue in queue_names():
                family.add_metric([queue], value)
            yield family


def _merge(families: dict[str, Metric], more: Metric) -> None:
    """Add a family of another service; what both have of the same series is added up."""
    family = families.get(more.name)
    if family is None:
        families[more.name] = more
        return
    values: dict[tuple, float] = {}
    for sample in (*family.samples, *more.samples):
        key = sample.name, tuple(sample.labels.items())
        values[key] = values.get(key, 0.0) + sample.value
    family.samples = files.in_order(values)


def _of_database(*queries: registry.Query) -> registry.Query:
    """All of the queries, on a connection of their own and of limited time."""

    def limited() -> list[Metric]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = '20s'")
            return [family for query in queries for family in query()]
        finally:
            connection.close()

    return limited


def release() -> Metric:
    """When the release that is served was switched to; no sample where there is none."""
    family = GaugeMetricFamily(
        "jewelry_release_timestamp_seconds",
        "When the release that is served was switched to.",
        labels=["release"],
    )
    with suppress(OSError):
        family.add_metric([LIVE.readlink().name], LIVE.lstat().st_mtime)
    return family


def migration_counts() -> list[Metric]:
    """Gauges named as django-prometheus names them; it would ask in every process at its start."""
    state = schema.migrations()
    families: list[Metric] = []
    for name, migrations in state._asdict().items():
        family = GaugeMetricFamily(
            f"django_migrations_{name}_total",
            f"Count of {name} migrations by database connection",
            labels=["connection"],
        )
        family.add_metric([connection.alias], len(migrations))
        families.append(family)
    return families


def queue_names() -> list[str]:
    """The queues to which the settings send tasks."""
    routed = {route["queue"] for route in settings.CELERY_TASK_ROUTES.values()}
    return sorted({settings.CELERY_TASK_DEFAULT_QUEUE, *routed})


def queues() -> list[Metric]:
    """How many tasks wait in each queue, a list in the broker, and how long the oldest has."""
    length = GaugeMetricFamily(
        "celery_queue_length", "Tasks that wait in the queue.", labels=["queue_name"]
    )
    age = GaugeMetricFamily(
        "celery_queue_oldest_task_age_seconds",
        "Seconds since the oldest task in the queue was sent; 0 if none waits.",
        labels=["queue_name"],
    )
    with redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=1, socket_timeout=1
    ) as broker:
        for queue in queue_names():
            length.add_metric([queue], broker.llen(queue))
            oldest = broker.lindex(queue, -1)  # new tasks are put before it
            sent_at = json.loads(oldest)["headers"].get(SENT_AT) if oldest else time.time()
            if sent_at is not None:
                age.add_metric([queue], max(0.0, time.time() - sent_at))
    return [length, age]


def registries(directory: Path, nodes: list[str]) -> dict[str, CollectorRegistry]:
    """Start the sources, and return what each job scrapes.

    `nodes` are the names of the Celery workers that should run here.
    """
    of_database = [Source("migrations", _of_database(migration_counts), 30)]
    for name, queries in registry.queries.items():
        of_database.append(Source(name, _of_database(*queries), 30))
    of_broker = [Source("queues", queues, 5)]
    for source in (*of_database, *of_broker):
        source.start()
    collectors = {
        "django": DjangoCollector(directory, ["web"], of_database),
        "celery": CeleryCollector(directory, ["web", "worker", "beat"], of_broker, nodes=nodes),
    }
    result = {}
    for job, collector in collectors.items():
        # What a job has is known when it is scraped; `?name[]=` chooses from that.
        result[job] = CollectorRegistry(support_collectors_without_names=True)
        result[job].register(collector)
    return result
