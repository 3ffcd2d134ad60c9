"""Start-up of the monitoring."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class MonitoringConfig(AppConfig):
    """Collects what the apps have counted, with zeros where nothing has happened yet."""

    name = "apps.monitoring"

    def ready(self) -> None:
        """Import the apps' modules `metrics`, and make the first samples."""
        from apps.monitoring import priming

        autodiscover_modules("metrics")
        priming.prime_database_and_cache()
