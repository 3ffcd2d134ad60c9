"""The numbers of one process."""

import os

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django_prometheus import migrations as gauges
from django_prometheus.exports import ExportToDjangoView

from apps.monitoring import files, schema


def metrics(request: HttpRequest) -> HttpResponse:
    """django-prometheus' /metrics, for `manage runserver`: nginx sends /metrics to the exporter.

    Migrations are counted here, and not when Django starts, as django-prometheus would: a database
    that is down would keep Django from starting.
    """
    if files.VARIABLE not in os.environ:
        gauges.applied_migrations.clear()
        gauges.unapplied_migrations.clear()
        try:
            state = schema.migrations()
        except DatabaseError:
            pass  # no sample is better than an old one
        else:
            gauges.applied_migrations.labels(connection.alias).set(len(state.applied))
            gauges.unapplied_migrations.labels(connection.alias).set(len(state.unapplied))
    return ExportToDjangoView(request)
