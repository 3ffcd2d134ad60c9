"""Celery's application: `celery -A config worker`, `celery -A config beat`.

Modules that define tasks import it from here.
"""

import os

from celery import Celery, Task
from celery.schedules import crontab
from celery.signals import before_task_publish, setup_logging, task_postrun, task_prerun

from apps.monitoring import tasks
from config import log

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("jewelry")
app.Task.Request = "apps.monitoring.worker:CountedRequest"
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
tasks.connect()

app.conf.beat_schedule = {
    # What runs every few minutes or hours has an interval, in seconds: a crontab pauses for an hour
    # when summer time ends. `expires`, in seconds: while no worker runs, old runs must not pile up.
    "send-unsent-receipts": {
        "task": "apps.sales.tasks.send_unsent_receipts",
        "schedule": 300,
        "options": {"expires": 240},
    },
    "clean-tokens": {
        "task": "apps.core.tasks.clean_tokens",
        "schedule": 3600,
        "options": {"expires": 1800},
    },
    "clean-logins": {
        "task": "apps.core.tasks.clean_logins",
        "schedule": 3600,
        "options": {"expires": 1800},
    },
    "clean-idempotency-keys": {
        "task": "apps.sales.tasks.clean_idempotency_keys",
        "schedule": 3600,
        "options": {"expires": 1800},
    },
    "low-stock-scan": {
        "task": "apps.inventory.tasks.low_stock_scan",
        "schedule": crontab(hour=7, minute=0),
        "options": {"expires": 6 * 3600},
    },
    "daily-stock-valuation": {
        "task": "apps.inventory.tasks.daily_stock_valuation",
        "schedule": crontab(hour=23, minute=30),
        "options": {"expires": 20 * 60},  # the row is that day's
    },
}


# -- Log lines of a task have the id of the request that caused it: config/log.py


@before_task_publish.connect
def send_request_id(headers: dict, **kwargs) -> None:
    """Send along the id of the request, or that of the task which sends this one."""
    headers["request_id"] = log.request_id.get()


@task_prerun.connect
def begin_task(task: Task, task_id: str, **kwargs) -> None:
    """Remember the ids while the task runs."""
    log.request_id.set(task.request.get("request_id") or "")
    log.task_id.set(task_id)


@task_postrun.connect
def end_task(**kwargs) -> None:
    """Forget them."""
    log.request_id.set("")
    log.task_id.set("")


@setup_logging.connect
def keep_django_logging(**kwargs) -> None:
    """Being connected is all: Celery then leaves alone what settings.LOGGING has set up."""
