"""Start-up of the inventory."""

from django.apps import AppConfig


class InventoryConfig(AppConfig):
    """Connects the catalogue's cache to changes of items."""

    name = "apps.inventory"

    def ready(self) -> None:
        """Connect the signals."""
        from apps.inventory import catalog

        catalog.connect()
