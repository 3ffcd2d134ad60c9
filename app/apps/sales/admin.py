"""Sales in the admin: to look at."""

from django.contrib import admin
from django.db.models import QuerySet

from apps.core.admin import ReadOnly
from apps.sales.models import Sale, SaleLine


class SaleLineInline(ReadOnly, admin.TabularInline):
    """The lines, below their sale."""

    model = SaleLine

    def get_queryset(self, request) -> QuerySet[SaleLine]:
        """The lines with their items, which they are shown by."""
        return super().get_queryset(request).select_related("item")


@admin.register(Sale)
class SaleAdmin(ReadOnly, admin.ModelAdmin):
    """All tenants' sales."""

    list_display = ["id", "tenant", "sold_by", "total", "created_at", "receipt_sent_at"]
    search_fields = ["=tenant__slug", "=id"]
    search_help_text = "The shop's slug or the sale's number, in full."
    list_select_related = ["tenant", "sold_by"]
    date_hierarchy = "created_at"
    inlines = [SaleLineInline]
