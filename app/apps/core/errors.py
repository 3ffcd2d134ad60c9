"""What is said when something goes wrong.

Below /api/ it is a problem of RFC 9457 (application/problem+json), whether it comes from a view,
Django's own handlers or the middleware. nginx answers in the same shape. Elsewhere it is a page.
"""

import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, InternalError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views import defaults
from psycopg import errors as postgresql
from rest_framework.exceptions import ValidationError
from rest_framework.views import exception_handler

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "5"}  # seconds until a client may ask a database again that failed


def is_api(request: HttpRequest) -> bool:
    """Whether a program asks, not a person."""
    return request.path_info.startswith("/api/")


def _problem(status: int, detail: str, headers: Mapping[str, str], **more: Any) -> JsonResponse:
    """A problem as RFC 9457 wants it, with further members."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JsonResponse(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def answer(
    request: HttpRequest,
    status: int,
    detail: str,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> HttpResponse:
    """The answer to a request that no view could answer: a problem, or a page."""
    if is_api(request):
        return _problem(status, detail, headers)
    context = {"title": HTTPStatus(status).phrase, "detail": detail}
    # Without the request: the context processors would ask the database who it is.
    response = render(None, "error.html", context, status=status)
    for name, value in headers.items():
        response[name] = value
    return response


# -- Views of the API


def handle(error: Exception, context: dict) -> HttpResponse | None:
    """REST framework's EXCEPTION_HANDLER; what it does not know is left to the handlers below."""
    response = exception_handler(error, context)
    if response is None:
        return None
    data, more = response.data, getattr(error, "more", {})
    if isinstance(error, ValidationError) or set(data) != {"detail"}:
        data, more = {"detail": "Some values are not valid."}, {"errors": dict(_errors(data))}
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    headers |= getattr(error, "headers", {})
    return _problem(response.status_code, data["detail"], headers, **more)


def _errors(data: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Each field that is wrong (`lines.0.quantity`) with what is wrong about it."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    nested = [(str(key), value) for key, value in items if isinstance(value, dict | list)]
    for key, value in nested:
        yield from _errors(value, (*path, key))
    if not isinstance(data, dict) and (words := [word for word in data if isinstance(word, str)]):
        yield ".".join(path) or "non_field_errors", words


# -- Everything else: Django's handlers (config/urls.py)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400: Django refused the request, for its host name or its form; 413 for its size."""
    if isinstance(exception, RequestDataTooBig):
        return answer(request, 413, "The request is too large.")
    if is_api(request):
        return answer(request, 400, "The request cannot be understood.")
    return defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if is_api(request):
        return answer(request, 403, "You may not do this.")
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404: no route."""
    if is_api(request):
        return answer(request, 404, "There is nothing at this address.")
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """503 when the database did not do its part, for that ends; otherwise 500."""
    error = sys.exc_info()[1]
    if _canceled(error):
        return answer(request, 503, "This took too long and was given up.", RETRY_AFTER)
    if _unavailable(error):
        detail = "The database does not answer just now. Try again in a moment."
        return answer(request, 503, detail, RETRY_AFTER)
    if is_api(request):
        return answer(request, 500, "Something went wrong here, and it is in our log.")
    return defaults.server_error(request)


def _canceled(error: BaseException | None) -> bool:
    """Whether the statement ran into the limit of time that web processes have."""
    return isinstance(error, OperationalError) and isinstance(
        error.__cause__, postgresql.QueryCanceled
    )


def _unavailable(error: BaseException | None) -> bool:
    """Whether the database is down, full, locked, or only to be read from."""
    if isinstance(error, InternalError):
        return isinstance(error.__cause__, postgresql.ReadOnlySqlTransaction)
    # Class 54, a statement beyond PostgreSQL's limits, is also an OperationalError, and our fault.
    state = getattr(error.__cause__, "sqlstate", None) if error else None
    ours = (state or "").startswith("54")
    return isinstance(error, OperationalError | InterfaceError) and not ours
