"""Sales in the admin: to look at."""

from django.contrib import admin

from apps.core.admin import ReadOnly
from apps.sales.models import Sale, SaleLine


class SaleLineInline(ReadOnly, admin.TabularInline):
    """The lines, below their sale."""

    model = SaleLine


@admin.register(Sale)
class SaleAdmin(ReadOnly, admin.ModelAdmin):
    """All tenants' sales."""

    list_display = ["id", "tenant", "sold_by", "total", "created_at", "receipt_sent_at"]
    list_filter = ["tenant"]
    list_select_related = ["tenant", "sold_by"]
    date_hierarchy = "created_at"
    inlines = [SaleLineInline]
