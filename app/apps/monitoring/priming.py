"""The first samples of django-prometheus' counters.

A counter with labels has no sample before its first event: until then a ratio such as hits by
reads is empty, and `rate()` never sees the step from nothing to the first error.
"""

from django.views import View
from django_prometheus.cache import metrics as cache
from django_prometheus.db import metrics as db
from django_prometheus.middleware import Metrics

METHODS = [name.upper() for name in View.http_method_names]
STATUSES = (200, 201, 204, 302, 400, 401, 403, 404, 405, 409, 429, 500, 503)
PROBED_VIEWS = ("home", "healthz", "readyz")
PROBED_STATUSES = (200, 500, 503)
DATABASE_ERRORS = ("OperationalError", "UniqueViolation", "DeadlockDetected")


def prime_database_and_cache() -> None:
    """Make the counters of queries and cache reads start at 0."""
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


def prime_requests() -> None:
    """Make the counters of requests start at 0; views beyond the probed ones start when used."""
    metrics = Metrics.get_instance()
    for method in METHODS:
        metrics.requests_by_method.labels(method=method)
    for transport in ("http", "https"):
        metrics.requests_by_transport.labels(transport=transport)
        for view in PROBED_VIEWS:
            metrics.requests_by_view_transport_method.labels(
                view=view, transport=transport, method="GET"
            )
    for view in PROBED_VIEWS:
        metrics.requests_latency_by_view_method.labels(view=view, method="GET")
        for status in PROBED_STATUSES:
            metrics.responses_by_status_view_method.labels(
                status=str(status), view=view, method="GET"
            )
    for status in STATUSES:
        metrics.responses_by_status.labels(status=str(status))
