"""Every number that a web process counts is there, and moves when it should (seen at /metrics)."""

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from prometheus_client import REGISTRY

from apps.monitoring import files
from tests.conftest import make_item, make_tenant
from tests.scraping import Samples, rises, scrape, value
from tests.services import free_port

pytestmark = pytest.mark.django_db

DATABASE = {"alias": "default", "vendor": "postgresql"}
REDIS = {"backend": "redis"}

COUNTERS = {
    "django_http_requests_total_by_method_total": {"method": "GET"},
    "django_http_requests_total_by_view_transport_method_total": {
        "view": "home",
        "transport": "http",
        "method": "GET",
    },
    "django_http_responses_total_by_status_total": {"status": "200"},
    "django_db_execute_total": DATABASE,
    "django_db_execute_many_total": DATABASE,
    "django_db_errors_total": DATABASE | {"type": "OperationalError"},
    "django_db_new_connections_total": DATABASE,
    "django_cache_get_total": REDIS,
    "django_cache_get_hits_total": REDIS,
    "django_cache_get_misses_total": REDIS,
    "django_cache_get_fail_total": REDIS,
    "django_model_inserts_total": {"model": "item"},
    "django_model_updates_total": {"model": "sale"},
    "django_model_deletes_total": {"model": "tenant"},
    "python_gc_objects_collected_total": {"generation": "0"},
    "python_gc_collections_total": {"generation": "0"},
    "process_cpu_seconds_total": {},
}
GAUGES = ["process_virtual_memory_bytes", "process_resident_memory_bytes", "process_open_fds"]
HISTOGRAMS = {
    "django_http_requests_latency_seconds_by_view_method": {"view": "home", "method": "GET"},
    "django_http_requests_body_total_bytes": {},
    "django_http_responses_body_total_bytes": {},
    "django_db_query_duration_seconds": DATABASE,
}


@pytest.fixture
def samples(client) -> Samples:
    client.get("/")
    return scrape(client)


def test_the_endpoint_speaks_prometheus(client):
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert b"# TYPE django_http_requests_total_by_method_total counter" in response.content


@pytest.mark.parametrize(("name", "labels"), COUNTERS.items())
def test_promised_counters_have_values(samples, name, labels):
    assert value(samples, name, **labels) >= 0


@pytest.mark.parametrize("name", GAUGES)
def test_promised_gauges_have_values(samples, name):
    assert value(samples, name) > 0


@pytest.mark.parametrize(("name", "labels"), HISTOGRAMS.items())
def test_promised_histograms_have_values(samples, name, labels):
    count = value(samples, f"{name}_count", **labels)
    assert count > 0
    assert value(samples, f"{name}_sum", **labels) >= 0
    assert value(samples, f"{name}_bucket", **labels, le="+Inf") == count


def test_python_is_named(samples):
    assert any(name == "python_info" for name, _ in samples)


@pytest.mark.parametrize("bucket", ["0.001", "0.0025", "0.005", "0.1", "0.5", "1.0", "+Inf"])
@pytest.mark.parametrize(
    "name",
    [
        "django_http_requests_latency_seconds_by_view_method",
        "django_db_query_duration_seconds",
    ],
)
def test_latencies_have_the_buckets_that_queries_use(samples, name, bucket):
    assert value(samples, f"{name}_bucket", **HISTOGRAMS[name], le=bucket) is not None


def test_migrations_are_counted(samples):
    default = {"connection": "default"}
    assert value(samples, "django_migrations_applied_total", **default) > 20
    assert value(samples, "django_migrations_unapplied_total", **default) == 0


@pytest.mark.django_db(transaction=True)
def test_migrations_have_no_samples_without_the_database(client, monkeypatch):
    assert value(scrape(client), "django_migrations_applied_total", connection="default")
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", free_port())
    try:
        found = scrape(client)
    finally:
        connection.close()
    assert not any(name.startswith("django_migrations") for name, _ in found)


def test_web_processes_leave_migrations_to_the_exporter(client, monkeypatch, tmp_path):
    monkeypatch.setenv(files.VARIABLE, str(tmp_path))
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/metrics").status_code == 200
    assert len(queries) == 0


def test_requests_are_counted(client):
    view = {"view": "healthz", "method": "GET"}
    by_view = "django_http_requests_total_by_view_transport_method_total"
    client.get("/healthz")
    with (
        rises(client, 3, by_view, **view, transport="http"),
        rises(client, 3, "django_http_requests_latency_seconds_by_view_method_count", **view),
    ):
        for _ in range(3):
            client.get("/healthz")


@pytest.mark.parametrize(("path", "status"), [("/nowhere", "404"), ("/api/v1/items/", "401")])
def test_failures_are_counted_by_status(client, path, status):
    with rises(client, 1, "django_http_responses_total_by_status_total", status=status):
        client.get(path)


def test_invented_methods_make_no_series(client):
    before = len(scrape(client))
    for number in range(20):
        client.generic(f"BREW{number}", "/healthz")
    assert len(scrape(client)) == before


def test_queries_are_counted_and_timed(tenant):
    def counted() -> list[float]:  # not by /metrics, which asks the database too
        names = "django_db_execute_total", "django_db_query_duration_seconds_count"
        return [REGISTRY.get_sample_value(name, DATABASE) for name in names]

    before = counted()
    tenant.refresh_from_db()
    tenant.refresh_from_db()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 2]


def test_query_errors_are_counted(client, tenant):
    with (
        rises(client, 1, "django_db_errors_total", **DATABASE, type="UniqueViolation"),
        pytest.raises(IntegrityError),
        transaction.atomic(),
    ):
        make_tenant(tenant.slug)


def test_cache_hits_and_misses_are_counted(client):
    with (
        rises(client, 3, "django_cache_get_total", **REDIS),
        rises(client, 2, "django_cache_get_hits_total", **REDIS),
        rises(client, 1, "django_cache_get_misses_total", **REDIS),
    ):
        cache.get("name")
        cache.set("name", "value")
        cache.get("name")
        cache.get("name")


def test_the_catalogue_counts_one_get_per_read(client, api, item):
    with (
        rises(client, 2, "django_cache_get_total", **REDIS),
        rises(client, 1, "django_cache_get_hits_total", **REDIS),
    ):
        api.get("/api/v1/items/")
        api.get("/api/v1/items/")


def test_failures_of_the_cache_are_counted(client, dead_cache):
    with rises(client, 1, "django_cache_get_fail_total", **REDIS):
        assert cache.get("name") is None


def test_models_are_counted(client, tenant):
    with (
        rises(client, 1, "django_model_inserts_total", model="item"),
        rises(client, 1, "django_model_updates_total", model="item"),
        rises(client, 1, "django_model_deletes_total", model="item"),
    ):
        item = make_item(tenant)
        item.name = "Silver ring"
        item.save()
        item.delete()


@pytest.mark.parametrize(
    "model", ["tenant", "user", "item", "stock_valuation", "sale", "sale_line"]
)
def test_every_model_is_exported(samples, model):
    assert value(samples, "django_model_inserts_total", model=model) is not None
