"""The project: settings, routes, and the entry points of gunicorn and Celery."""

# Web processes publish tasks too: `shared_task` finds the application only once it is made.
from config.celery import app as celery_app

__all__ = ["celery_app"]
