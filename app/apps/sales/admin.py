"""Sales in the admin: to look at, and to void."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html

from apps.core.admin import ReadOnly
from apps.sales.models import Sale, SaleLine, SaleVoid
from apps.sales.services import VoidAlready, void


class SaleLineInline(ReadOnly, admin.TabularInline):
    """The lines, below their sale."""

    model = SaleLine
    fields = readonly_fields = ("sku", "name", "quantity", "unit_price")


@admin.register(Sale)
class SaleAdmin(ReadOnly, admin.ModelAdmin):
    """All tenants' sales."""

    list_display = [
        "id",
        "tenant",
        "number",
        "sold_by",
        "total",
        "currency",
        "created_at",
        "receipt_sent_at",
        "is_void",
    ]
    search_fields = ["=tenant__slug", "=id", "=number"]
    search_help_text = "The shop's slug or the number of the sale or its receipt, in full."
    list_select_related = ["tenant", "sold_by", "void"]
    date_hierarchy = "created_at"
    inlines = [SaleLineInline]
    readonly_fields = ["voided"]

    @admin.display(boolean=True, description="void")
    def is_void(self, sale: Sale) -> bool:
        """Whether it counts no more."""
        return hasattr(sale, "void")

    @admin.display(description="void")
    def voided(self, sale: Sale) -> str:
        """A link to the reason, or to the form that asks for one."""
        if self.is_void(sale):
            url = reverse("admin:sales_salevoid_change", args=[sale.pk])
            return format_html('<a href="{}">{}</a>', url, sale.void.reason)
        url = reverse("admin:sales_salevoid_add")
        return format_html('<a href="{}?sale={}">Void this sale</a>', url, sale.pk)


@admin.register(SaleVoid)
class SaleVoidAdmin(ReadOnly, admin.ModelAdmin):
    """What was voided; adding one voids the sale."""

    list_display = ["sale", "tenant", "voided_by", "reason", "created_at"]
    list_select_related = ["sale__tenant", "voided_by"]
    search_fields = ["=sale__tenant__slug", "=sale__id"]
    search_help_text = "The shop's slug or the sale's number, in full."
    date_hierarchy = "created_at"
    raw_id_fields = ["sale"]
    fields = ["sale", "reason"]

    @admin.display(ordering="sale__tenant")
    def tenant(self, sale_void: SaleVoid) -> str:
        """Whose sale it was."""
        return str(sale_void.sale.tenant)

    def has_add_permission(self, request, obj=None) -> bool:
        """As Django's permissions say."""
        return admin.ModelAdmin.has_add_permission(self, request)

    def save_model(self, request, obj, form, change) -> None:
        """Void the sale. If somebody was quicker, it is void all the same, once."""
        try:
            obj.created_at = void(obj.sale, request.user, obj.reason).created_at
        except VoidAlready:
            self.message_user(request, "The sale was voided before.", "WARNING")
