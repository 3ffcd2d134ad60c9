"""Periodic work on users' tokens."""

import logging

from django.db import connection
from django.utils import timezone
from knox.models import AuthToken

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
