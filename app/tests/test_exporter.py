"""What the exporter serves, and the numbers that it asks others for."""

import gzip
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from apps.core.metrics import OTHER, tenants
from apps.core.models import Tenant
from apps.inventory.metrics import stock
from apps.inventory.tasks import low_stock_scan
from apps.monitoring import exporter, registry
from apps.monitoring.management.commands import export_metrics
from apps.sales import metrics
from apps.sales.services import sell
from tests.conftest import make_item, make_tenant, make_user
from tests.processes import APP, Service, eventually
from tests.services import free_port


def values(families, name: str) -> dict[tuple, float]:
    """The samples of that name: values of their labels → value."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def ports(tmp_path):
    """The exporter, with a database that does not exist; its ports by job."""
    ports = {"django": free_port(), "celery": free_port()}
    addresses = [f"--{job}=127.0.0.1:{port}" for job, port in ports.items()]
    command = [sys.executable, "manage.py", "export_metrics", "--directory", tmp_path]
    with (tmp_path / "exporter.log").open("w") as log:
        exporter = subprocess.Popen(
            [*command, "--node=worker@here", *addresses], cwd=APP, stdout=log, stderr=log
        )
    yield ports
    exporter.kill()
    exporter.wait()


def scrape(port: int) -> list:
    """A job's families; waits while the exporter starts."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                return list(text_string_to_metric_families(answer.read().decode()))
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_both_jobs_answer_without_database_and_without_processes(ports, tmp_path):
    django, celery = scrape(ports["django"]), scrape(ports["celery"])
    success = "jewelry_metrics_source_success"
    assert values(django, success) == {("migrations",): 0, ("business",): 0}
    assert values(celery, success) == {("queues",): 1}
    assert values(django, "gunicorn_workers_alive") == {(): 0}
    assert values(celery, "celery_worker_up") == {("worker@here",): 0}
    assert values(celery, "celery_queue_length") == {(name,): 0 for name in exporter.queue_names()}
    assert not values(django, "django_migrations_applied_total")
    log = (tmp_path / "exporter.log").read_text()
    assert "migrations fails: OperationalError: connection failed" in log


def test_the_release_that_is_served_and_since_when(tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "LIVE", tmp_path / "live")
    assert exporter.release().samples == []
    (tmp_path / "live").symlink_to("releases/0123abcd")
    os.utime(tmp_path / "live", (5, 1000), follow_symlinks=False)
    (sample,) = exporter.release().samples
    assert (sample.name, sample.labels, sample.value) == (
        "jewelry_release_timestamp_seconds",
        {"release": "0123abcd"},
        1000,
    )


def test_both_jobs_export_processes_that_count(ports, tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "confirmed").mkdir()
    scrape(ports["django"])
    service = Service(tmp_path / "web", tmp_path / "confirmed")
    try:
        service.fork("idle")
        django = scrape(ports["django"])
        assert sum(values(django, "things_total").values()) == 1
        assert values(django, "gunicorn_workers_alive") == {(): 1}
        resident = values(django, "process_resident_memory_bytes")
        assert set(resident) == {
            ("main", "web", "0"),
            ("child", "web", "0"),
            ("main", "metrics", "0"),
        }
        (tmp_path / "web/counter_child-7.db").write_bytes(b"nonsense")
        assert values(scrape(ports["django"]), "jewelry_metrics_broken_files_total") == {
            ("web",): 1
        }
        assert sum(values(scrape(ports["django"]), "things_total").values()) == 1
    finally:
        service.end()


def get(port: int, path: str = "/metrics", method: str = "GET", **headers: str):
    """The answer, with its body in `content`."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers=names)
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as refused:
        answer = refused
    with answer:
        answer.content = answer.read()
    return answer


def write_histogram(path: Path, family: str) -> None:
    """What a process has counted of tasks `a` and `b`, written as the library writes it."""
    file = MmapedDict(str(path))
    ends = {f"{family}_bucket": ("0.5", "1.0", "+Inf"), f"{family}_sum": (None,)}
    for name, task, le in ((n, t, e) for n, es in ends.items() for e in es for t in "ab"):
        labels = {"name": task} | ({"le": le} if le else {})
        file.write_value(mmap_key(family, name, list(labels), list(labels.values()), ""), 2.0, 0.0)
    file.close()


def test_a_job_is_the_same_in_both_of_prometheus_formats(ports, tmp_path):
    """Strict parsers want the samples of one label set together, whichever process wrote them."""
    scrape(ports["django"])
    for job, service, family in (("django", "web", "answers"), ("celery", "worker", "celery_runs")):
        (tmp_path / service).mkdir()
        for slot in range(2):
            write_histogram(tmp_path / service / f"histogram_child-{slot}.db", family)
        plain = get(ports[job], Accept="text/plain")
        strict = get(ports[job], Accept="application/openmetrics-text; version=1.0.0")
        assert plain.headers["Content-Type"].startswith("text/plain")
        assert strict.headers["Content-Type"].startswith("application/openmetrics-text")
        expected = list(text_string_to_metric_families(plain.content.decode()))
        found = list(openmetrics.text_string_to_metric_families(strict.content.decode()))
        names = {family.name for family in found}
        assert family in names
        assert names == {family.name for family in expected}
        assert values(found, f"{family}_count") == {("a",): 12, ("b",): 12}
        assert values(found, f"{family}_bucket") == values(expected, f"{family}_bucket")


def test_what_two_services_count_is_added_in_order():
    """Both know both tasks, in different orders."""
    families = {}
    for tasks in ("ab", "ba"):
        counted = HistogramMetricFamily("runs", "Runs.", labels=["name"])
        for task in tasks:
            counted.add_metric([task], [("1.0", 1), ("+Inf", 2)], sum_value=3)
        counted.samples.sort(key=lambda sample: sample.name)
        exporter._merge(families, counted)
    registry = CollectorRegistry()
    registry.collect = families.values
    text = openmetrics_exposition.generate_latest(registry).decode()
    (found,) = openmetrics.text_string_to_metric_families(text)
    assert values([found], "runs_count") == {("a",): 4, ("b",): 4}


def test_the_exporter_answers_as_prometheus_clients_do(ports):
    scrape(ports["django"])
    for port in ports.values():
        packed = get(port, Accept_Encoding="gzip")
        assert packed.headers["Content-Encoding"] == "gzip"
        assert b"# TYPE jewelry_metrics_files gauge\n" in gzip.decompress(packed.content)

        head = get(port, method="HEAD")
        assert (head.status, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) > 1000
        assert get(port, method="POST").status == 405
        for path in ("/", "/metrics/x", "/favicon.ico"):
            assert get(port, path).status == 404

        name = "jewelry_metrics_source_success"
        chosen = get(port, f"/metrics?name[]={name}&name[]=nothing").content.decode()
        assert [family.name for family in text_string_to_metric_families(chosen)] == [name]


def test_a_scrape_that_fails_is_one_record(caplog):
    registry = CollectorRegistry()
    registry.collect = lambda: 1 / 0
    answers = []
    environment = {"PATH_INFO": "/metrics", "REQUEST_METHOD": "GET"}
    export_metrics.application(registry)(environment, lambda *said: answers.append(said[0]))
    assert answers == ["500 Internal Server Error"]
    (record,) = caplog.records
    assert record.exc_info[0] is ZeroDivisionError


def test_migrations(db):
    families = exporter.migration_counts()
    assert values(families, "django_migrations_unapplied_total") == {("default",): 0}
    assert values(families, "django_migrations_applied_total")["default",] > 20


def test_stock_and_tenants_with_a_label_for_the_first_tenants_only(db, settings):
    settings.METRICS_TENANTS = 2
    first, second, third, fourth = (make_tenant(slug) for slug in ("d", "c", "b", "a"))
    Tenant.objects.filter(pk=second.pk).update(status=Tenant.Status.SUSPENDED)
    make_item(first, "A", price=Decimal("2.50"), stock=2, low_stock_level=2)
    make_item(first, "B", price=Decimal("10.00"), stock=3)
    make_item(third, "A", price=Decimal("1.00"), stock=7)
    make_item(fourth, "A", price=Decimal("1.00"), stock=0)
    families = [*stock(), *tenants()]
    assert values(families, "jewelry_items") == {("d",): 2, ("c",): 0, ("(other)",): 2}
    assert values(families, "jewelry_stock_pieces") == {("d",): 5, ("c",): 0, ("(other)",): 7}
    assert values(families, "jewelry_stock_value") == {("d",): 35, ("c",): 0, ("(other)",): 7}
    assert values(families, "jewelry_low_stock_items") == {("d",): 1, ("c",): 0, ("(other)",): 1}
    expected = {("ACTIVE",): 3, ("SUSPENDED",): 1, ("CLOSED",): 0}
    assert values(families, "jewelry_tenants") == expected


@pytest.mark.django_db(transaction=True)
def test_sales_are_counted_when_they_are_committed(user, item, settings, monkeypatch):
    monkeypatch.setattr("apps.core.metrics._labels", {})

    def sold(tenant):
        counted = values(metrics.sales.collect(), "jewelry_sales_total").get((tenant,), 0)
        return counted, values(metrics.sales_value.collect(), "jewelry_sales_value_total").get(
            (tenant,), 0
        )

    settings.METRICS_TENANTS = 1
    before, others = sold("aurum"), sold(OTHER)
    sell(user, {item.sku: 2})
    assert sold("aurum") == (before[0] + 1, before[1] + 200)
    luna = make_user(make_tenant("luna"), "lena")
    make_item(luna.tenant, item.sku)
    sell(luna, {item.sku: 1})
    assert sold(OTHER) == (others[0] + 1, others[1] + 100)


def test_tenants_that_sold_nothing_are_zeros():
    families = {}
    gauge = GaugeMetricFamily("jewelry_items", "", labels=["tenant"])
    gauge.add_metric(["a"], 1)
    registry.add_zeros(families, [gauge])
    families["jewelry_sales"].add_sample("jewelry_sales_total", {"tenant": "b"}, 3.0)
    for tenant in "bc":
        gauge.add_metric([tenant], 1)
    registry.add_zeros(families, [gauge, GaugeMetricFamily("jewelry_tenants", "", value=1)])
    expected = {("a",): 0, ("b",): 3, ("c",): 0}
    assert values(families.values(), "jewelry_sales_total") == expected
    assert set(values(families.values(), "jewelry_sales_value_total")) == {("a",), ("b",), ("c",)}


def test_the_queue_is_counted():
    age = "celery_queue_oldest_task_age_seconds"
    assert values(exporter.queues(), age)["celery",] == pytest.approx(0, abs=0.1)
    low_stock_scan.delay()
    time.sleep(1)
    for _ in range(2):
        low_stock_scan.delay()
    assert values(exporter.queues(), "celery_queue_length")["celery",] == 3
    assert 1 <= values(exporter.queues(), age)["celery",] < 3


def test_every_queue_to_which_a_task_is_routed_is_counted(settings):
    settings.CELERY_TASK_ROUTES = {low_stock_scan.name: {"queue": "scans"}}
    low_stock_scan.apply_async(queue="scans")
    lengths = values(exporter.queues(), "celery_queue_length")
    assert set(lengths) == {("celery",), ("scans",)}
    assert lengths["scans",] == 1


def test_a_source_serves_what_is_new_and_nothing_else(caplog):
    answers = [
        [GaugeMetricFamily("a", "", value=1)],
        RuntimeError("down"),
        [GaugeMetricFamily("b", "")],
    ]
    now, hang = [0], []

    def ask():
        while hang:
            time.sleep(0.01)
        answer = answers[now[0]]
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = exporter.Source("source", ask, 0.3)
    source.start()
    assert source.families() == answers[0]  # waits for the first
    now[0] = 1
    eventually(lambda: source.families() == [])
    now[0] = 2
    eventually(lambda: source.families() == answers[2])
    hang.append(True)
    eventually(lambda: source.families() == [])
    hang.clear()
    eventually(lambda: source.families() == answers[2])
    said = [record.getMessage() for record in caplog.records]
    assert said == ["source fails: RuntimeError: down", "source works again"]
