"""Start-up of the core application."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    """Gives Prometheus zeros where nothing has happened yet."""

    name = "apps.core"

    def ready(self) -> None:
        """Make the samples whose absence would leave ratios and alerts empty."""
        from apps.core.metrics import prime

        prime()
