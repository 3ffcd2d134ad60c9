"""Middleware of our own."""

from collections.abc import Callable
from urllib.parse import unquote

from django.http import HttpRequest, HttpResponse

from apps.core import errors, login, metrics
from apps.monitoring.priming import METHODS


def refuse_malformed_requests(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Refuse what no view could do anything with.

    Methods that HTTP does not know: django-prometheus labels latencies with the method as it was
    sent, so a stranger who invents methods would make as many new series. Null characters, which
    PostgreSQL cannot hold. Encodings other than UTF-8, by which Django would read the address too.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        if request.method not in METHODS:
            allowed = {"Allow": ", ".join(METHODS)}
            return errors.answer(request, 405, "HTTP knows no such method.", allowed)
        charset = (request.content_params or {}).get("charset", "utf-8")
        if charset.lower() not in ("utf-8", "utf8"):
            return errors.answer(request, 415, "Only UTF-8 is understood.")
        sent = (request.path, unquote(request.META.get("QUERY_STRING", "")))
        if any("\0" in text for text in (*sent, *request.COOKIES.values())):
            return errors.answer(request, 400, "Null characters are not allowed.")
        return get_response(request)

    return middleware


class RefusedLogins:
    """Answers for views that are no API's, such as the admin's login, when a login is refused."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        metrics.prime_logins()
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer the request."""
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Answer a refused login; None leaves any other error to Django."""
        if not isinstance(error, login.TooManyLogins | login.Busy):
            return None
        return errors.answer(request, error.status_code, str(error.detail), error.headers)
