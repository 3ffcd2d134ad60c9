"""The front page and the probes."""

import logging
from collections.abc import Callable

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.decorators.vary import vary_on_headers
from django_redis import get_redis_connection

from apps.monitoring import schema

logger = logging.getLogger(__name__)


@require_safe
@vary_on_headers("Accept")
def home(request: HttpRequest) -> HttpResponse:
    """What this is and where to continue: a page, or JSON for programs that prefer it."""
    routes = {"admin": "admin:index", "api": "api-root"}
    routes |= {name: name for name in ("docs", "schema", "token")}
    links = {name: reverse(route) for name, route in routes.items()}
    if request.get_preferred_type(["text/html", "application/json"]) == "application/json":
        return JsonResponse({"name": "Jewelry SaaS Platform", **links})
    return render(None, "home.html", links)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process is alive. Touches nothing else, so that a lost database restarts nobody."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests can be served, otherwise 503 and what failed."""
    checks = {"cache": _result(cache), "database": _result(database)}
    if checks["database"] == "ok":  # otherwise it would only wait for the same connection again
        checks["migrations"] = _result(migrations)
    if checks.get("migrations") == "ok":  # otherwise there may be no table to write to
        checks["writes"] = _result(writes)
    failed = any(result != "ok" for result in checks.values())
    return JsonResponse(
        {"status": "failed" if failed else "ok", "checks": checks}, status=503 if failed else 200
    )


def _result(check: Callable[[], None]) -> str:
    """`ok`, or the kind of error: its message may name hosts and users, so only the log has it."""
    try:
        check()
    except Exception as error:
        logger.warning("not ready: %s: %s", check.__name__, error)
        return type(error).__name__
    return "ok"


def database() -> None:
    """Raise when the database does not answer."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def cache() -> None:
    """Raise when Redis does not answer. (Django's cache API hides that, by our settings.)"""
    get_redis_connection("default").ping()


class UnappliedMigrations(Exception):
    """The database's tables are older than the code."""


def migrations() -> None:
    """Raise UnappliedMigrations, with their names."""
    if missing := schema.migrations().unapplied:
        raise UnappliedMigrations(", ".join(missing))


# One row, again and again, which a database that may only be read refuses; and a list of some
# hundred kB that does not fit into `work_mem`, for which a full disk has no room. Both are undone,
# overwritten or removed: nothing grows. Once a second is enough, however many ask.
WRITE = """
    INSERT INTO core_readiness AS row (id, written)
    SELECT 1, clock_timestamp()
    FROM (
        SELECT NOT EXISTS (
            SELECT FROM core_readiness WHERE written > clock_timestamp() - interval '1 second'
        ) AS due
    ) AS state, LATERAL (
        SELECT count(*) AS rows FROM generate_series(1, CASE WHEN due THEN 20000 ELSE 0 END)
    ) AS spilled
    WHERE due AND rows > 0
    ON CONFLICT (id) DO UPDATE SET written = excluded.written
"""


def writes() -> None:
    """Raise when the database cannot be written to: its disk is full, or it follows another."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64kB'")
        cursor.execute(WRITE)
