"""The project: settings, routes, and the entry points of gunicorn and Celery."""

from apps.monitoring import sharing

sharing.share()  # here, before any metric is made
