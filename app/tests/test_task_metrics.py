"""Tasks are counted by what a real worker does with them, and beat by what it sends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, Metric

from apps.monitoring import beat, files, slots, tasks
from config.celery import app
from tests.processes import APP, eventually
from tests.tasks import again, deaf, fine, unwanted, wrong

pytestmark = pytest.mark.usefixtures("clean")
NODE = "worker@here"
COUNTERS = ("received", "started", "succeeded", "failed", "retried", "revoked", "rejected")


class Worker:
    """A Celery worker with a pool of two processes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        celery = [sys.executable, "-m", "celery", "--app", "config", "worker", "--concurrency=2"]
        with directory.with_suffix(".log").open("w") as log:
            self.process = subprocess.Popen(
                [*celery, "--include=tests.tasks", f"--hostname={NODE}", "--without-gossip"],
                cwd=APP,
                env={
                    **os.environ,
                    files.VARIABLE: str(directory),
                    "TMPDIR": str(directory.parent),
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def families(self) -> dict[str, Metric]:
        return files.total(self.directory, slots.holders(self.directory)).families

    def value(self, name: str, task=None, **labels: str) -> float:
        """The sum over all samples of that name, of one task."""
        wanted = labels | ({"name": task.name} if task else {})
        return sum(
            sample.value
            for family in self.families().values()
            for sample in family.samples
            if sample.name == name and wanted.items() <= sample.labels.items()
        )

    def pool(self) -> list[int]:
        """The pids of the pool's processes."""
        return [h.pid for h in slots.holders(self.directory) if h.role == "child" and h.pid]

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def worker(tmp_path_factory, redis_servers) -> Iterator[Worker]:
    started = Worker(tmp_path_factory.mktemp("worker"))
    beats = "celery_worker_last_heartbeat_timestamp_seconds"
    eventually(lambda: started.value(beats) > 0 and len(started.pool()) == 2, seconds=30)
    yield started
    started.end()


@pytest.fixture
def counted(worker):
    """A function: how far the counters of a task have risen since the test began."""

    def now(task) -> dict[str, float]:
        return {name: worker.value(f"celery_task_{name}_total", task) for name in COUNTERS}

    before = {task.name: now(task) for task in (fine, wrong, again, deaf, unwanted)}

    def risen(task) -> dict[str, float]:
        rise = {name: count - before[task.name][name] for name, count in now(task).items()}
        return {name: count for name, count in rise.items() if count}

    return risen


def test_samples_are_there_before_the_first_task(worker):
    families = worker.families()
    labels = {"name": fine.name, "hostname": NODE, "queue_name": "celery"}
    for name in COUNTERS:
        expected = labels | ({"exception": ""} if name == "failed" else {})
        found = {tuple(s.labels.items()): s.value for s in families[f"celery_task_{name}"].samples}
        assert found[tuple(sorted(expected.items()))] == 0, name
    assert worker.value("celery_task_runtime_count", fine) == 0
    assert worker.value("celery_task_queue_wait_seconds_count", fine) == 0
    assert worker.value("celery_worker_tasks_active", hostname=NODE) == 0


def test_tasks_that_succeed(worker, counted):
    runtime = worker.value("celery_task_runtime_sum", fine)
    for _ in range(4):
        fine.delay(0.1)
    eventually(lambda: counted(fine) == {"received": 4, "started": 4, "succeeded": 4})
    assert 0.4 <= worker.value("celery_task_runtime_sum", fine) - runtime < 2
    eventually(lambda: worker.value("celery_worker_tasks_active", hostname=NODE) == 0)


def test_a_task_that_fails(worker, counted):
    wrong.delay()
    eventually(lambda: counted(wrong) == {"received": 1, "started": 1, "failed": 1})
    assert worker.value("celery_task_failed_total", wrong, exception="KeyError") == 1


def test_a_task_that_is_stopped_at_its_time_limit(worker, counted):
    deaf.apply_async([30], soft_time_limit=0.5, time_limit=1)
    eventually(lambda: counted(deaf).get("failed"))
    time.sleep(0.5)  # Celery reports it twice
    assert counted(deaf) == {"received": 1, "started": 1, "failed": 1}
    eventually(lambda: len(worker.pool()) == 2)


def test_a_task_that_is_rejected(counted):
    unwanted.delay()
    # It never runs again, so it failed too.
    expected = {"received": 1, "started": 1, "rejected": 1, "failed": 1}
    eventually(lambda: counted(unwanted) == expected)


def test_tasks_that_the_worker_does_not_know_or_cannot_read(worker):
    """The name that a message has makes no series: anybody could have invented it."""

    def refused() -> list[tuple[dict[str, str], float]]:
        samples = worker.families()["celery_task_rejected"].samples
        own = ("apps.", "tests.")
        return [(s.labels, s.value) for s in samples if not s.labels["name"].startswith(own)]

    labels = {"name": "unknown", "hostname": NODE, "queue_name": "celery"}
    assert refused() == [(labels, 0)]
    app.send_task("of.an.older.release")
    eventually(lambda: refused() == [(labels, 1)])
    with app.producer_pool.acquire(block=True) as producer:
        producer.publish({"no": "task"}, routing_key="celery")
    eventually(lambda: refused() == [(labels, 2)])
    with app.producer_pool.acquire(block=True) as producer:
        headers = {"task": fine.name, "id": "x"}
        producer.publish("no arguments", routing_key="celery", headers=headers)
    eventually(lambda: refused() == [(labels, 3)])


def test_a_task_that_is_tried_again(counted):
    again.delay()
    expected = {"received": 3, "started": 3, "retried": 2, "succeeded": 1}
    eventually(lambda: counted(again) == expected)


def test_tasks_that_run_are_active_and_one_that_waits_too_long_is_revoked(worker, counted):
    fine.delay(1)
    fine.delay(1)
    eventually(lambda: worker.value("celery_worker_tasks_active") == 2)
    fine.apply_async(expires=0.3)
    expected = {"received": 2, "started": 2, "succeeded": 2, "revoked": 1}
    eventually(lambda: counted(fine) == expected)
    eventually(lambda: worker.value("celery_worker_tasks_active") == 0)


def test_the_wait_in_the_queue_is_from_publishing_or_from_the_eta(worker, counted):
    def waited():
        return worker.value("celery_task_queue_wait_seconds_sum", fine)

    before = waited()
    for _ in range(3):
        fine.delay(0.5)  # the third waits for one of two processes
    eventually(lambda: counted(fine).get("succeeded") == 3)
    in_queue = waited() - before
    assert 0.3 < in_queue < 5
    fine.apply_async(eta=app.now() + timedelta(seconds=2))
    eventually(lambda: counted(fine).get("succeeded") == 4)
    assert waited() - before - in_queue < 1.5


def test_the_pool_process_of_a_running_task_is_killed(worker, counted):
    before = worker.pool()
    fine.delay(1)
    eventually(lambda: worker.value("celery_worker_tasks_active") == 1)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: counted(fine).get("succeeded") == 1)
    assert counted(fine) == {"received": 2, "started": 2, "succeeded": 1, "rejected": 1}
    eventually(lambda: worker.value("celery_worker_tasks_active") == 0)
    eventually(lambda: len(worker.pool()) == 2)
    assert not set(before) & set(worker.pool())
    assert len(slots.holders(worker.directory)) == 3


def test_a_worker_that_dies_is_remembered(tmp_path, redis_servers):
    (tmp_path / "worker").mkdir()
    started = Worker(tmp_path / "worker")
    beats = "celery_worker_last_heartbeat_timestamp_seconds"
    try:
        eventually(lambda: started.value(beats, hostname=NODE) > 0, seconds=30)
    finally:
        started.end()
    eventually(lambda: not any(holder.pid for holder in slots.holders(started.directory)))
    assert time.time() - started.value(beats, hostname=NODE) < 30


def test_publishers_count_what_they_send():
    def sent() -> float:
        return sum(
            s.value for s in tasks.sent.collect()[0].samples if s.labels["name"] == fine.name
        )

    before = sent()
    fine.delay()
    assert sent() == before + 1


@pytest.fixture
def scheduler(tmp_path):
    own = app.conf.beat_schedule
    app.conf.beat_schedule = {"entry": {"task": fine.name, "schedule": 0.2}}
    made = beat.Scheduler(app, schedule_filename=str(tmp_path / "schedule"))
    yield made
    made.close()
    app.conf.beat_schedule = own


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"celery_beat_{name}_timestamp_seconds", labels)


def run(scheduler, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(max(scheduler.tick(), 0), 0.05))


def test_beat_exports_its_last_and_next_run(scheduler):
    assert gauge("last_run", entry="entry") == 0
    run(scheduler, 0.5)
    assert abs(time.time() - gauge("last_run", entry="entry")) < 0.5
    assert abs(time.time() - gauge("next_run", entry="entry")) < 0.5
    assert abs(time.time() - gauge("last_tick")) < 0.5


def test_beat_that_cannot_send_falls_behind(scheduler, redis_servers, stuck):
    run(scheduler, 0.3)
    ran = gauge("last_run", entry="entry")
    with stuck("broker"):
        run(scheduler, 3)
    assert gauge("last_run", entry="entry") == ran
    assert time.time() - gauge("next_run", entry="entry") > 2
    assert abs(time.time() - gauge("last_tick")) < 3
