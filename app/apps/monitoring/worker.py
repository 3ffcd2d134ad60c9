"""What only the worker loads."""

from celery.worker.request import Request
from typing_extensions import override

from apps.monitoring.tasks import labels_of, rejected


class CountedRequest(Request):
    """A task in the worker. Celery has no signal for those that are rejected."""

    @override
    def reject(self, requeue: bool = False) -> None:
        if not self.acknowledged:
            rejected.labels(*labels_of(self.name, self)).inc()
        super().reject(requeue)
