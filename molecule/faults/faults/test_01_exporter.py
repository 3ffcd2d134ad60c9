"""The exporter answers and recovers, whatever is broken, and the application never notices."""

import re
import threading
import time
from contextlib import contextmanager

import pytest
from conftest import POSTGRESQL

testinfra_hosts = ["ansible://web"]

WEB = "/run/jewelry-metrics/web"
HOME = (
    'django_http_responses_total_by_status_view_method_total{method="GET",status="200",view="home"}'
)


@pytest.fixture
def value(page):
    """Return a function that reads one sample from a page, None if it is not there."""

    def read(job, sample):
        found = re.search(rf"^{re.escape(sample)} (\S+)$", page(job), re.MULTILINE)
        return found and float(found[1])

    return read


@pytest.fixture
def undisturbed(site):
    """A context: the site answers all the time."""

    @contextmanager
    def visit():
        answers, stop = [], threading.Event()

        def go():
            while not stop.is_set():
                answers.append(site("GET", "/")[0])
                time.sleep(0.1)

        visitor = threading.Thread(target=go)
        visitor.start()
        try:
            yield
        finally:
            stop.set()
            visitor.join()
        assert set(answers) == {200}

    return visit


@pytest.fixture
def logged(host):
    """Return a function that gives what a unit has logged since the test began."""
    since = host.check_output("date +%s")
    return lambda unit: host.check_output(f"journalctl --output cat -u '{unit}' --since @{since}")


def test_exporter_is_killed_and_no_scrape_is_refused(host, value, undisturbed):
    with undisturbed():
        before = value("django", HOME)
        main = "systemctl show --value -p MainPID jewelry-metrics"
        pid = host.check_output(main)
        host.check_output(f"kill -KILL {pid}")
        after = value("django", HOME)  # systemd has the socket
        assert host.check_output(main) not in ("0", pid)
    assert value("django", HOME) >= after >= before


def test_broken_file_in_place_of_a_living_one(host, page, value, undisturbed, logged, eventually):
    pages = [
        ('jewelry_metrics_broken_files_total{service="web"}', job) for job in ("django", "celery")
    ]
    with undisturbed():
        before = value("django", HOME)
        broken = sum(value(job, name) for name, job in pages)
        living = r'^process_open_fds{role="child",service="web",slot="(\d+)"}'
        slot = f"counter_child-{re.search(living, page('django'), re.MULTILINE)[1]}.db"
        host.check_output(
            f"head -c 5000 /dev/urandom > /run/garbage && chown jewelry: /run/garbage"
            f" && mv /run/garbage {WEB}/{slot}"
        )
        eventually(lambda: sum(value(job, name) for name, job in pages) == broken + 1)
        eventually(lambda: host.file(f"{WEB}/{slot}").exists)
        # What the process had counted is there again, and it continues.
        eventually(lambda: value("django", HOME) > before)
    assert f"{slot} cannot be read" in logged("jewelry-metrics")
    assert "were removed" in logged("jewelry-web@*")
    host.check_output(f"rm {WEB}/*.broken")


def test_directories_are_emptied(host, value, undisturbed, logged, eventually):
    with undisturbed():
        host.check_output("find /run/jewelry-metrics -mindepth 2 -delete")
        eventually(lambda: value("django", "gunicorn_workers_alive") == 2)
        eventually(lambda: value("celery", 'celery_active_process_count{queue_name="celery"}') == 2)
        name = host.check_output("hostname")
        eventually(lambda: value("celery", f'celery_worker_up{{hostname="worker@{name}"}}') == 1)
        before = value("django", HOME)
        eventually(lambda: value("django", HOME) >= before + 5)
    for unit in ("jewelry-web@*", "jewelry-worker", "jewelry-beat"):
        assert "were removed" in logged(unit)


def test_full_run_directory(host, value, undisturbed, logged, eventually):
    """A process that finds no room in a mapped file is killed: it must stop writing before."""
    processes = "pgrep -f '[b]in/gunicorn|[b]in/celery' | sort | tr '\\n' ' '"
    with undisturbed():
        before = value("django", HOME)
        running = host.check_output(processes)
        free = "df --output=avail --block-size=1 /run | tail -1"
        host.check_output(f"head -c $(( $({free}) - 500000 )) /dev/zero > /run/filler")
        try:
            eventually(lambda: logged("jewelry-*").count("there is no room") >= 7)
            time.sleep(3)
            assert value("django", HOME) >= before
        finally:
            host.check_output("rm /run/filler")
        eventually(lambda: value("django", HOME) >= before + 20)
        assert host.check_output(processes) == running


def test_page_is_served_while_every_web_process_is_busy(host, page, rows, eventually):
    host.check_output(
        "PGAPPNAME=holder runuser -u postgres -- psql -qX jewelry -c"
        " 'begin; lock table knox_authtoken; select pg_sleep(60)' > /dev/null 2>&1 &"
    )
    holder = "from pg_stat_activity where application_name = 'holder'"
    eventually(lambda: rows(f"select wait_event {holder}") == "PgSleep")
    try:
        waiting = "from pg_stat_activity where wait_event_type = 'Lock' and usename = 'jewelry'"

        def is_busy():
            """One process may have taken most requests: ask until both are busy."""
            host.check_output(
                "for n in $(seq 10); do curl -s -m 60 -o /dev/null -H 'Authorization: Token x'"
                " http://localhost:8000/api/v1/items/ & done > /dev/null 2>&1"
            )
            return rows(f"select count(*) {waiting}") == "16"  # two processes of eight threads

        eventually(is_busy)
        assert host.run("curl -sf -m 2 http://localhost:8000/healthz").rc == 28  # timed out
        began = time.monotonic()
        assert "gunicorn_workers_alive 2.0" in page("django")
        assert time.monotonic() - began < 1
    finally:
        rows(f"select pg_terminate_backend(pid) {holder}")
    eventually(lambda: host.run("curl -sf -m 2 http://localhost:8000/healthz").rc == 0)


def test_worker_that_is_stopped_is_shown_as_down(host, value, eventually):
    up = f'celery_worker_up{{hostname="worker@{host.check_output("hostname")}"}}'
    host.check_output("systemctl stop jewelry-worker")
    try:
        assert value("celery", up) == 0
    finally:
        host.check_output("systemctl start jewelry-worker")
    eventually(lambda: value("celery", up) == 1)


def test_database_and_broker_are_down(host, page, value, total, eventually):
    sources = {"migrations": "django", "business": "django", "queues": "celery"}

    def success():
        name = 'jewelry_metrics_source_success{{source="{}"}}'
        return {value(job, name.format(source)) for source, job in sources.items()}

    down = [POSTGRESQL, "redis-server@broker"]
    up = f'celery_worker_up{{hostname="worker@{host.check_output("hostname")}"}}'
    assert success() == {1}
    host.check_output(f"systemctl stop {' '.join(down)}")
    try:
        eventually(lambda: success() == {0})
        eventually(lambda: value("celery", up) == 0)
        for job in ("django", "celery"):
            began = time.monotonic()
            text = page(job)
            assert time.monotonic() - began < 1
            assert "django_migrations_applied_total{" not in text
            assert "celery_queue_length{" not in text
        assert total('min_over_time(up{job=~"django|celery"}[1m])') == 2
    finally:
        host.check_output(f"systemctl start {' '.join(down)}")
    eventually(lambda: success() == {1})
    eventually(lambda: value("celery", up) == 1)
    eventually(lambda: host.run("curl -sf http://localhost:8000/readyz").rc == 0)
