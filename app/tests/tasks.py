"""Tasks that the tests let a real worker run: `celery … worker --include tests.tasks`."""

import time
from contextlib import suppress

from celery.exceptions import Reject, SoftTimeLimitExceeded

from config.celery import app


@app.task
def fine(seconds: float = 0) -> None:
    """Take so long, and succeed."""
    time.sleep(seconds)


@app.task
def deaf(seconds: float) -> None:
    """Keep running after the soft time limit."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(SoftTimeLimitExceeded):
            time.sleep(0.1)


@app.task
def wrong() -> None:
    """Fail."""
    raise KeyError("x")


@app.task
def unwanted() -> None:
    """Reject itself."""
    raise Reject("not wanted", requeue=False)


@app.task(bind=True, max_retries=2, default_retry_delay=0)
def again(self) -> None:
    """Succeed at the third time."""
    if self.request.retries < 2:
        raise self.retry()
