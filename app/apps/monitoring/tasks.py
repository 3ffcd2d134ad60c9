"""Celery's numbers, counted where they happen: in publishers, in the worker, in its pool.

Names and labels are those of danihodovic's celery-exporter, so that its dashboards and alerts
work, with more of our own. `hostname` is the full node name (worker@shop1), for tasks sent the
host name of the sender. A task that is redelivered because its process died is received and
started again.
"""

import platform
import time
from collections import deque
from datetime import datetime
from typing import Any

from celery import Task, signals
from prometheus_client import Counter, Gauge, Histogram

from apps.monitoring import sharing

LABELS = ("name", "hostname", "queue_name")
UNKNOWN = "unknown"  # the name of all tasks that the worker does not know or cannot read
SENT_AT = "jewelry_sent_at"  # message header: when it was published, seconds since the epoch
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

sent = Counter("celery_task_sent", "Tasks published.", LABELS)
received = Counter("celery_task_received", "Tasks that the worker took from its queue.", LABELS)
started = Counter("celery_task_started", "Runs of tasks that were started.", LABELS)
succeeded = Counter("celery_task_succeeded", "Tasks that ended well.", LABELS)
failed = Counter(
    "celery_task_failed", "Tasks that ended with an exception.", (*LABELS, "exception")
)
retried = Counter("celery_task_retried", "Runs that ended in a retry.", LABELS)
revoked = Counter("celery_task_revoked", "Tasks cancelled or expired before they ended.", LABELS)
rejected = Counter(
    "celery_task_rejected",
    "Tasks given back to the broker: by themselves, because their process died, or as unknown.",
    LABELS,
)
runtime = Histogram(
    "celery_task_runtime", "Seconds that runs of tasks took, whatever their end.", LABELS,
    buckets=SECONDS,
)  # fmt: skip
queue_wait = Histogram(
    "celery_task_queue_wait_seconds", "From publishing (or the ETA) to the begin of the run.",
    LABELS, buckets=SECONDS,
)  # fmt: skip
active = Gauge(
    "celery_worker_tasks_active", "Tasks that run now.", ["hostname"], multiprocess_mode="livesum"
)
heartbeat = Gauge(
    "celery_worker_last_heartbeat_timestamp_seconds",
    "When the worker, connected to its broker, last went through its event loop.",
    ["hostname"],
    multiprocess_mode="mostrecent",
)

_node = ""  # this worker's name, which its pool inherits
_failures: deque[str] = deque(maxlen=100)  # ids of the newest
_began: dict[str, float] = {}  # task id → monotonic seconds; empty or one in a pool process


def connect() -> None:
    """Count from now on what Celery's signals tell."""
    for signal, receiver in (
        (signals.before_task_publish, _stamp),
        (signals.after_task_publish, _sent),
        (signals.celeryd_after_setup, _worker_set_up),
        (signals.worker_process_init, _process_started),
        (signals.heartbeat_sent, _heartbeat),
        (signals.task_received, _received),
        (signals.task_prerun, _started),
        (signals.task_success, _succeeded),
        (signals.task_failure, _failed),
        (signals.task_retry, _retried),
        (signals.task_revoked, _revoked),
        (signals.task_unknown, _refused),
        (signals.task_rejected, _refused),
        (signals.task_postrun, _ended),
    ):
        signal.connect(receiver, dispatch_uid=f"metrics-{receiver.__name__}")


def labels_of(name: str, request: Any) -> tuple[str, str, str]:
    """The labels of a task; its queue is the default one where the request does not tell."""
    queue = (getattr(request, "delivery_info", None) or {}).get("routing_key")
    return name, _node, queue or "celery"


def _stamp(headers: dict, **kwargs) -> None:
    headers[SENT_AT] = time.time()


def _sent(sender: str, routing_key: str, **kwargs) -> None:
    sent.labels(sender, platform.node(), routing_key).inc()


def _worker_set_up(sender: str, instance: Any, **kwargs) -> None:
    """Make the samples of all tasks, before the pool is forked."""
    global _node
    _node = sender
    active.labels(_node).set(0)
    for name in instance.app.tasks:
        if name.startswith("celery."):  # Celery's own, which nobody uses here
            continue
        queue = instance.app.amqp.router.route({}, name)["queue"].name
        labels = name, _node, queue
        for metric in (
            received,
            started,
            succeeded,
            retried,
            revoked,
            rejected,
            runtime,
            queue_wait,
        ):
            metric.labels(*labels)
        failed.labels(*labels, "")
        sent.labels(name, platform.node(), queue)
    for queue in instance.app.amqp.queues:
        rejected.labels(UNKNOWN, _node, queue)


def _process_started(**kwargs) -> None:
    sharing.join()


def _heartbeat(**kwargs) -> None:
    heartbeat.labels(_node).set_to_current_time()


def _received(request: Any, **kwargs) -> None:
    received.labels(*labels_of(request.name, request)).inc()


def _started(sender: Task, task_id: str, **kwargs) -> None:
    labels = labels_of(sender.name, sender.request)
    started.labels(*labels).inc()
    active.labels(_node).set(1)
    due, eta = sender.request.get(SENT_AT), sender.request.get("eta")
    if due and eta:
        due = max(due, datetime.fromisoformat(eta).timestamp())
    if due:
        # The clocks of two machines differ: nothing begins before it was sent.
        queue_wait.labels(*labels).observe(max(0.0, time.time() - due))
    _began[task_id] = time.monotonic()


def _succeeded(sender: Task, **kwargs) -> None:
    succeeded.labels(*labels_of(sender.name, sender.request)).inc()


def _failed(sender: Task, task_id: str, exception: BaseException, **kwargs) -> None:
    if task_id in _failures:  # Celery reports twice a task that was stopped at its time limit
        return
    _failures.append(task_id)
    failed.labels(*labels_of(sender.name, sender.request), type(exception).__name__).inc()


def _retried(sender: Task, request: Any, **kwargs) -> None:
    retried.labels(*labels_of(sender.name, request)).inc()


def _revoked(sender: Task, request: Any, **kwargs) -> None:
    revoked.labels(*labels_of(sender.name, request)).inc()


def _refused(message: Any, **kwargs) -> None:
    rejected.labels(*labels_of(UNKNOWN, message)).inc()


def _ended(sender: Task, task_id: str, **kwargs) -> None:
    active.labels(_node).set(0)
    if began := _began.pop(task_id, None):
        runtime.labels(*labels_of(sender.name, sender.request)).observe(time.monotonic() - began)
