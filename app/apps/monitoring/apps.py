"""Start-up of the monitoring."""

from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    """Gives Prometheus zeros where nothing has happened yet."""

    name = "apps.monitoring"

    def ready(self) -> None:
        """Make the first samples."""
        from apps.monitoring import priming

        priming.prime_database_and_cache()
