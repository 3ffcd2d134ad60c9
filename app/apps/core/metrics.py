"""The first samples of django-prometheus' counters."""

from django_prometheus.cache import metrics as cache
from django_prometheus.db import metrics as db
from django_prometheus.middleware import Metrics

STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 409, 429, 500, 503)
DATABASE_ERRORS = ("OperationalError", "UniqueViolation", "DeadlockDetected")


def prime() -> None:
    """Make labelled counters start at 0.

    A counter with labels has no sample before its first event: until then a ratio such as hits by
    reads is empty, and `rate()` never sees the step from nothing to the first error.
    """
    for counter in (
        cache.django_cache_get_total,
        cache.django_cache_hits_total,
        cache.django_cache_misses_total,
        cache.django_cache_get_fail_total,
    ):
        counter.labels(backend="redis")
    database = {"alias": "default", "vendor": "postgresql"}
    for metric in (
        db.connections_total,
        db.connection_errors_total,
        db.execute_total,
        db.execute_many_total,
        db.query_duration_seconds,
    ):
        metric.labels(**database)
    for name in DATABASE_ERRORS:
        db.errors_total.labels(**database, type=name)
    for status in STATUSES:
        Metrics.get_instance().responses_by_status.labels(status=str(status))
