"""Sales and their lines."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django_prometheus.models import ExportModelOperationsMixin

from apps.core.models import Tenant
from apps.inventory.models import Item


class Sale(ExportModelOperationsMixin("sale"), models.Model):
    """Something was sold. Made by apps.sales.services.sell, and never changed afterwards."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="sales")
    sold_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    customer_email = models.EmailField(blank=True, help_text="Where the receipt goes, if anywhere.")
    total = models.DecimalField(max_digits=20, decimal_places=2)
    created_at = models.DateTimeField(auto_now_add=True)
    receipt_sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [
            models.Index(name="sale_newest_of_tenant", fields=["tenant", "-created_at", "-id"]),
            models.Index(
                name="sale_receipt_unsent",
                fields=["created_at"],
                condition=Q(receipt_sent_at=None) & ~Q(customer_email=""),
            ),
        ]

    def __str__(self) -> str:
        return f"Sale {self.pk}"


class SaleLine(ExportModelOperationsMixin("sale_line"), models.Model):
    """So many pieces of one item, at the price of that moment."""

    sale = models.ForeignKey(Sale, on_delete=models.CASCADE, related_name="lines")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="sale_lines")
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="line_quantity_positive", condition=Q(quantity__gt=0)),
            models.UniqueConstraint(name="line_unique_item_of_sale", fields=["sale", "item"]),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.item}"
