"""Django's settings as they would be if nothing were counted.

Models still count what is written, and prometheus_client is loaded.
"""

from config.settings import *  # noqa: F403
from config.settings import CACHES, DATABASES, INSTALLED_APPS, MIDDLEWARE

INSTALLED_APPS = [
    name for name in INSTALLED_APPS if name not in ("django_prometheus", "apps.monitoring")
]
MIDDLEWARE = [
    name for name in MIDDLEWARE if not name.startswith(("django_prometheus.", "apps.monitoring."))
]
DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
CACHES["default"]["BACKEND"] = "django_redis.cache.RedisCache"
