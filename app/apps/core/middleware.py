"""Middleware of our own."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from apps.monitoring.priming import METHODS, prime_requests


def refuse_unknown_methods(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Answer 405 to methods that HTTP does not know.

    django-prometheus labels latencies with the method as it was sent: a stranger who invents
    methods would make as many new series.
    """

    prime_requests()  # here, because worker and beat, which load no middleware, have no requests

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.method not in METHODS:
            return HttpResponseNotAllowed(METHODS)
        return get_response(request)

    return middleware
