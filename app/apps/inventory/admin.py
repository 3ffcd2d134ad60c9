"""The stock in the admin."""

from django.contrib import admin

from apps.core.admin import ReadOnly
from apps.inventory.models import Item, StockValuation


@admin.register(Item)
class ItemAdmin(admin.ModelAdmin):
    """All tenants' items."""

    list_display = ["sku", "name", "tenant", "metal", "karat", "price", "stock", "low_stock_level"]
    list_filter = ["metal"]
    list_select_related = ["tenant"]
    search_fields = ["sku", "name", "=tenant__slug"]
    search_help_text = "SKU, name or, in full, the shop's slug."
    autocomplete_fields = ["tenant"]

    def get_readonly_fields(self, request, obj=None) -> list[str]:
        """An item that is there stays its tenant's."""
        return ["tenant"] if obj else []

    def save_model(self, request, obj, form, change) -> None:
        """Write only what was changed in the form: pieces may have been sold since."""
        obj.save(update_fields=form.changed_data if change else None)


@admin.register(StockValuation)
class StockValuationAdmin(ReadOnly, admin.ModelAdmin):
    """Written by a task, read by people."""

    list_display = ["day", "tenant", "items", "pieces", "value"]
    list_select_related = ["tenant"]
    search_fields = ["=tenant__slug"]
    search_help_text = "The shop's slug, in full."
    date_hierarchy = "day"
