"""Periodic work on logins: tokens, sessions, limits."""

import logging

from django.contrib.sessions.models import Session
from django.db import connection
from django.utils import timezone
from knox.models import AuthToken

from apps.core.models import RateLimit
from config.celery import app

logger = logging.getLogger(__name__)


@app.task
def clean_tokens() -> None:
    """Delete the tokens that have expired, and those in clear that an older release left."""
    AuthToken.objects.filter(expiry__lt=timezone.now()).delete()
    # Here and not in a migration: until that release has drained, it answers requests with them.
    with connection.cursor() as cursor:
        if "authtoken_token" in connection.introspection.table_names(cursor):
            cursor.execute("DELETE FROM authtoken_token")
            if cursor.rowcount:
                logger.info("deleted %d tokens in clear", cursor.rowcount)


@app.task
def clean_logins() -> None:
    """Delete the sessions that have expired, and the limits of which nothing is taken any more."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    RateLimit.objects.filter(until__lt=timezone.now()).delete()
