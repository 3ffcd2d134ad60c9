"""The application's families: names, types, labels, and samples from the first scrape on."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

testinfra_hosts = ["ansible://web"]

PROCESS = ("role", "service", "slot")
OF_ALL_PROCESSES = {
    "django_cache_get_fail_total": ("counter", "backend"),
    "django_cache_get_hits_total": ("counter", "backend"),
    "django_cache_get_misses_total": ("counter", "backend"),
    "django_cache_get_total": ("counter", "backend"),
    "django_db_errors_total": ("counter", "alias", "type", "vendor"),
    "django_db_execute_many_total": ("counter", "alias", "vendor"),
    "django_db_execute_total": ("counter", "alias", "vendor"),
    "django_db_new_connection_errors_total": ("counter", "alias", "vendor"),
    "django_db_new_connections_total": ("counter", "alias", "vendor"),
    "django_db_query_duration_seconds": ("histogram", "alias", "vendor"),
    "django_model_deletes_total": ("counter", "model"),
    "django_model_inserts_total": ("counter", "model"),
    "django_model_updates_total": ("counter", "model"),
    "jewelry_metrics_broken_files_total": ("counter", "service"),
    "jewelry_metrics_files": ("gauge", "service"),
    "jewelry_metrics_source_success": ("gauge", "source"),
    "process_cpu_seconds_total": ("counter", *PROCESS),
    "process_max_fds": ("gauge", *PROCESS),
    "process_open_fds": ("gauge", *PROCESS),
    "process_resident_memory_bytes": ("gauge", *PROCESS),
    "process_start_time_seconds": ("gauge", *PROCESS),
    "process_virtual_memory_bytes": ("gauge", *PROCESS),
    "python_gc_collections_total": ("counter", "generation", *PROCESS),
    "python_gc_objects_collected_total": ("counter", "generation", *PROCESS),
    "python_gc_objects_uncollectable_total": ("counter", "generation", *PROCESS),
    "python_info": (
        "gauge", "implementation", "major", "minor", "patchlevel", *PROCESS, "version",
    ),
}  # fmt: skip
TASK = ("hostname", "name", "queue_name")
PROMISED = {
    "django": OF_ALL_PROCESSES
    | {
        "django_http_ajax_requests_total": ("counter",),
        "django_http_requests_before_middlewares_total": ("counter",),
        "django_http_requests_body_total_bytes": ("histogram",),
        "django_http_requests_latency_including_middlewares_seconds": ("histogram",),
        "django_http_requests_latency_seconds_by_view_method": ("histogram", "method", "view"),
        "django_http_requests_total_by_method_total": ("counter", "method"),
        "django_http_requests_total_by_transport_total": ("counter", "transport"),
        "django_http_requests_total_by_view_transport_method_total": (
            "counter", "method", "transport", "view",
        ),
        "django_http_requests_unknown_latency_including_middlewares_total": ("counter",),
        "django_http_requests_unknown_latency_total": ("counter",),
        "django_http_responses_before_middlewares_total": ("counter",),
        "django_http_responses_body_total_bytes": ("histogram",),
        "django_http_responses_streaming_total": ("counter",),
        "django_http_responses_total_by_charset_total": ("counter", "charset"),
        "django_http_responses_total_by_status_total": ("counter", "status"),
        "django_http_responses_total_by_status_view_method_total": (
            "counter", "method", "status", "view",
        ),
        "django_migrations_applied_total": ("gauge", "connection"),
        "django_migrations_unapplied_total": ("gauge", "connection"),
        "gunicorn_workers_alive": ("gauge",),
        "jewelry_items": ("gauge", "tenant"),
        "jewelry_logins_total": ("counter", "result"),
        "jewelry_low_stock_items": ("gauge", "tenant"),
        "jewelry_release_timestamp_seconds": ("gauge", "release"),
        "jewelry_sales_total": ("counter", "tenant"),
        "jewelry_sales_value_total": ("counter", "tenant"),
        "jewelry_sales_voided_total": ("counter", "tenant"),
        "jewelry_sales_voided_value_total": ("counter", "tenant"),
        "jewelry_stock_pieces": ("gauge", "tenant"),
        "jewelry_stock_value": ("gauge", "tenant"),
        "jewelry_tenants": ("gauge", "status"),
    },
    "celery": OF_ALL_PROCESSES
    | {
        "celery_active_process_count": ("gauge", "queue_name"),
        "celery_active_worker_count": ("gauge", "queue_name"),
        "celery_beat_last_run_timestamp_seconds": ("gauge", "entry"),
        "celery_beat_last_tick_timestamp_seconds": ("gauge",),
        "celery_beat_next_run_timestamp_seconds": ("gauge", "entry"),
        "celery_queue_length": ("gauge", "queue_name"),
        "celery_task_failed_total": ("counter", "exception", *TASK),
        "celery_task_queue_wait_seconds": ("histogram", *TASK),
        "celery_task_received_total": ("counter", *TASK),
        "celery_task_retried_total": ("counter", *TASK),
        "celery_task_revoked_total": ("counter", *TASK),
        "celery_task_rejected_total": ("counter", *TASK),
        "celery_task_runtime": ("histogram", *TASK),
        "celery_task_sent_total": ("counter", *TASK),
        "celery_task_started_total": ("counter", *TASK),
        "celery_task_succeeded_total": ("counter", *TASK),
        "celery_worker_last_heartbeat_timestamp_seconds": ("gauge", "hostname"),
        "celery_worker_tasks_active": ("gauge", "hostname"),
        "celery_worker_up": ("gauge", "hostname"),
    },
}  # fmt: skip
# These have no sample before what they count has happened.
WITH_AN_EVENT = {
    "django": {
        "django_http_exceptions_total_by_type_total": ("counter", "type"),
        "django_http_exceptions_total_by_view_total": ("counter", "view"),
        "django_http_responses_total_by_templatename_total": ("counter", "templatename"),
    },
    "celery": {},
}
SAMPLES = {
    "django": [
        *(f'django_http_requests_total_by_method_total{{method="{m}"}}' for m in ("GET", "DELETE")),
        *(
            f'django_http_responses_total_by_status_total{{status="{status}"}}'
            for status in (200, 404, 500, 503)
        ),
        *(
            "django_http_responses_total_by_status_view_method_total"
            f'{{method="GET",status="503",view="{view}"}}'
            for view in ("healthz", "readyz")
        ),
        'django_db_errors_total{alias="default",type="OperationalError",vendor="postgresql"}',
        *(
            f'django_cache_get_{name}_total{{backend="redis"}}'
            for name in ("hits", "misses", "fail")
        ),
        *(
            f'django_model_{name}_total{{model="sale"}}'
            for name in ("inserts", "updates", "deletes")
        ),
        'jewelry_logins_total{result="address_limit"}',
        'jewelry_sales_total{tenant="demo-aurum"}',
        'jewelry_sales_total{tenant="(other)"}',
        'process_open_fds{role="main",service="web",slot="',
        'process_open_fds{role="child",service="web",slot="',
        'process_open_fds{role="main",service="metrics",slot="0"}',
        'python_gc_collections_total{generation="2",role="main",service="web",slot="',
    ],
    "celery": [
        *(
            f'celery_task_{name}_total{{hostname="worker@%H",name="apps.sales.tasks.send_receipt"'
            for name in ("received", "started", "succeeded", "retried", "revoked")
        ),
        'celery_task_failed_total{exception="",hostname="worker@%H"',
        'celery_worker_up{hostname="worker@%H"} 1.0',
        'celery_beat_last_run_timestamp_seconds{entry="send-unsent-receipts"}',
        'celery_queue_length{queue_name="celery"}',
        'process_resident_memory_bytes{role="main",service="worker",slot="0"}',
        'process_resident_memory_bytes{role="child",service="worker",slot="1"}',
        'process_resident_memory_bytes{role="main",service="beat",slot="0"}',
        'python_info{implementation="CPython"',
    ],
}


@pytest.fixture(params=["django", "celery"])
def job(request):
    return request.param


def test_families_are_exactly_those_promised_each_with_a_sample(page, job):
    found = {}
    for family in text_string_to_metric_families(page(job)):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {tuple(sorted(set(sample.labels) - {"le"})) for sample in family.samples}
        assert len(labels) == 1, name
        found[name] = (family.type, *labels.pop())
    promised = {name: (kind, *sorted(labels)) for name, (kind, *labels) in PROMISED[job].items()}
    events = {name: found[name] for name in WITH_AN_EVENT[job] if name in found}
    assert events.items() <= WITH_AN_EVENT[job].items()
    assert {name: found[name] for name in found if name not in events} == promised


def test_first_samples_stand(host, page, job):
    text = page(job)
    for sample in SAMPLES[job]:
        assert f"\n{sample.replace('%H', host.check_output('hostname'))}" in text, sample


def test_each_process_is_there(host, page):
    """As many as systemd sees in the units, each with its memory."""
    colour = host.check_output("readlink /run/jewelry-web/live")
    lines = (page("django") + page("celery")).splitlines()
    for service, unit in (
        ("web", f"jewelry-web@{colour}"),
        ("worker", "jewelry-worker"),
        ("beat", "jewelry-beat"),
        ("metrics", "jewelry-metrics"),
    ):
        running = host.check_output(
            f"wc -l < /sys/fs/cgroup$(systemctl show --value -p ControlGroup {unit})/cgroup.procs"
        )
        told = [
            line for line in lines
            if line.startswith("process_resident_memory_bytes") and f'service="{service}"' in line
        ]  # fmt: skip
        assert len(told) == int(running), service
        assert all(1e7 < float(line.split()[-1]) < 2e8 for line in told)


def test_the_machine_itself_sees_the_page_of_django(host, page):
    names = r"^# TYPE .+$"
    seen = host.check_output("curl -sS http://localhost:8000/metrics")
    assert re.findall(names, seen, re.MULTILINE) == re.findall(names, page("django"), re.MULTILINE)
