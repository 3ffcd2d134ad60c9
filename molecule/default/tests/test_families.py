"""The application's families: names, types, labels, and samples from the first scrape on."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

testinfra_hosts = ["ansible://web"]

REPOSITORY = Path(__file__).parents[3]
METRICS = (REPOSITORY / "docs/monitoring/metrics.md").read_text()


def documented(job):
    """Return the families of a job as documented: name, type and labels; then those with "†"."""
    promised, after_an_event = {}, {}
    for section in METRICS.split("\n## "):
        jobs = re.search(r"^Jobs? (.+?)\.\s", section, re.MULTILINE | re.DOTALL)
        if not jobs or f"`{job}`" not in jobs[1]:
            continue
        rows = re.findall(
            r"^\| `(\w+)` \| (\w+) \| ([^|]*)\|[^|]*\| (.*)\|$", section, re.MULTILINE
        )
        for name, kind, labels, meaning in rows:
            found = after_an_event if meaning.startswith("†") else promised
            found[name] = (kind, *sorted(labels.replace(",", " ").split()))
    return promised, after_an_event


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
        'celery_queue_oldest_task_age_seconds{queue_name="celery"}',
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
    promised, after_an_event = documented(job)
    assert found == promised | {n: kind for n, kind in after_an_event.items() if n in found}


def test_samples_are_there_before_the_first_event(host, page, job):
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
        shown = [
            line for line in lines
            if line.startswith("process_resident_memory_bytes") and f'service="{service}"' in line
        ]  # fmt: skip
        assert len(shown) == int(running), service
        assert all(1e7 < float(line.split()[-1]) < 2e8 for line in shown)


def test_the_machine_itself_sees_the_page_of_django(host, page):
    names = r"^# TYPE .+$"
    seen = host.check_output("curl -sS http://localhost:8000/metrics")
    assert re.findall(names, seen, re.MULTILINE) == re.findall(names, page("django"), re.MULTILINE)
