"""Each exporter has its own service's metrics, and Prometheus scrapes what the inventory says."""

import re
from collections import Counter

import pytest
from conftest import POSTGRESQL, SERVICES
from prometheus_client.openmetrics.parser import text_string_to_metric_families

testinfra_hosts = ["ansible://monitoring"]

# One machine: every exporter answers on its loopback.
FAMILIES = {
    "http://127.0.0.1:9100/metrics": [
        "node_uname_info{",
        'node_systemd_unit_state{name="nginx.service"',
        f'systemd_unit_cpu_seconds_total{{name="{POSTGRESQL}.service"}}',
        'systemd_unit_memory_bytes{name="redis-server@broker.service"}',
        'systemd_unit_memory_bytes{name="prometheus.service"}',
        'node_tcp_connection_states{state="listen"}',
        "node_processes_threads ",
        "node_interrupts_total{",
    ],
    "http://127.0.0.1:9187/metrics": ["pg_up 1", 'pg_database_size_bytes{datname="jewelry"}'],
    "http://127.0.0.1:9121/metrics": ["redis_up 1"],
    "http://127.0.0.1:9121/scrape?target=redis://127.0.0.1:6379": [
        "redis_up 1",
        "redis_commands_total{",
    ],
    "http://127.0.0.1:9121/scrape?target=redis://127.0.0.1:6380": [
        "redis_up 1",
        "redis_keyspace_hits_total",
    ],
    "http://127.0.0.1:9113/metrics": ["nginx_up 1", "nginx_http_requests_total"],
    "http://127.0.0.1:4040/metrics": [
        'nginx_http_responses_total{answered_by="application",status="200"}',
        'nginx_upstream_response_seconds_bucket{le="0.5"}',
    ],
    "http://127.0.0.1:9115/metrics": ["blackbox_exporter_build_info{"],
    "http://127.0.0.1:9090/metrics": [
        "prometheus_tsdb_head_series",
        "prometheus_build_info{",
    ],
    "http://127.0.0.1:9090/-/healthy": ["Prometheus Server is Healthy."],
    "http://127.0.0.1:9093/metrics": ["alertmanager_config_last_reload_successful 1"],
    "http://127.0.0.1:9807/metrics": ["gunicorn_workers_alive 2"],
    "http://127.0.0.1:9808/metrics": ["celery_worker_up{"],
}


@pytest.mark.parametrize("url", FAMILIES)
def test_port_answers_with_its_own_content(host, url):
    page = host.check_output(f"curl -sSf '{url}'")
    for family in FAMILIES[url]:
        assert family in page, family


@pytest.mark.parametrize("url", [url for url in FAMILIES if ":980" in url])
def test_page_of_the_application_is_strict_and_names_follow_conventions(host, url):
    accept = "-H 'Accept: application/openmetrics-text; version=1.0.0'"
    page = host.check_output(f"curl -sSf --compressed {accept} {url}")
    families = text_string_to_metric_families(f"{page}\n")
    assert "histogram" in {family.type for family in families}
    # Names of django-prometheus and celery-exporter, which others' dashboards ask for.
    known = r"django_migrations_(un)?applied_total|celery_active_(worker|process)_count"
    said = host.run(f"curl -sSf {url} | promtool check metrics").stderr
    assert [line for line in said.splitlines() if not re.match(known, line)] == []


def test_probe_of_the_site_succeeds(prometheus, eventually):
    def probes():
        return prometheus("query", query="probe_success")["result"]

    assert eventually(lambda: probes() and all(p["value"][1] == "1" for p in probes()))


def test_targets_are_those_of_the_inventory_and_all_are_up(host, prometheus, eventually):
    groups = host.ansible.get_variables()["groups"]
    targets = {
        (target["job"], machine, str(target))
        for service in SERVICES.values()
        for target in service.get("scrape", [])
        for group in service["groups"]
        for machine in groups[group]
    }
    wanted = Counter((job, machine) for job, machine, _ in targets)

    def found(*health):
        active = prometheus("targets", state="active")["activeTargets"]
        labels = [target["labels"] for target in active if target["health"] in health]
        return Counter((label["job"], label["host"]) for label in labels)

    assert found("up", "down", "unknown") == wanted
    assert eventually(lambda: found("up") == wanted)


def test_every_target_has_host_site_and_cluster(prometheus):
    labels = [target["labels"] for target in prometheus("targets", state="active")["activeTargets"]]
    assert {(one["site"], one["cluster"]) for one in labels} == {("main", "main")}
    assert all(one["host"] for one in labels)


def test_prometheus_keeps_thirty_days_and_ten_gigabytes(prometheus):
    flags = prometheus("status/flags")
    assert flags["storage.tsdb.retention.time"] == "30d"
    assert flags["storage.tsdb.retention.size"] in ("10GB", "10GiB")
    assert "scrape_interval: 15s" in prometheus("status/config")["yaml"]


def test_slow_statements_have_texts_without_values(prometheus):
    """Quotation marks would be values, for those of names are left out."""
    ranked = prometheus("query", query="group by (queryid, query) (pg_stat_statements_query_id)")
    texts = {one["metric"]["queryid"]: one["metric"]["query"] for one in ranked["result"]}
    assert len(texts) == len(ranked["result"]) <= 100
    assert any(re.search(r"\bFROM \w+ ", text) for text in texts.values())
    assert not [text for text in texts.values() if "'" in text or len(text) > 200]
