"""The middleware that counts requests."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django_prometheus.middleware import PrometheusBeforeMiddleware

from apps.monitoring.priming import prime_requests


class CountRequests(PrometheusBeforeMiddleware):
    """django-prometheus' own, whose counters start at 0.

    Here, and not where Django starts: worker and beat, which load no middleware, have no requests.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        prime_requests()
