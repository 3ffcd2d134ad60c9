"""Sales, their lines, and what was voided."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django_prometheus.models import ExportModelOperationsMixin

from apps.core.models import Tenant
from apps.inventory.models import MOST_PIECES, Item


class Sale(
    ExportModelOperationsMixin("sale"),  # type: ignore[misc]  # a class made by a call
    models.Model,
):
    """Something was sold. Made by apps.sales.services.sell; only its receipt's state changes.

    Number, currency and shop are filled by a trigger (migration 0003), so that an older release,
    which does not know them, writes whole rows too. What the tenant changes later does not change
    what was sold.
    """

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="sales")
    sold_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    customer_email = models.EmailField(blank=True, help_text="Where the receipt goes, if anywhere.")
    total = models.DecimalField(max_digits=20, decimal_places=2)
    created_at = models.DateTimeField(auto_now_add=True)
    # Not Positive…: to add such a column, the database would read the whole table.
    number = models.BigIntegerField(
        db_default=0, editable=False, help_text="Of the receipt: 1, 2, 3, … in each tenant."
    )
    currency = models.CharField(max_length=3, db_default="EUR", editable=False)
    shop_name = models.CharField(max_length=200, db_default="", editable=False)
    shop_address = models.TextField(db_default="", editable=False)
    shop_time_zone = models.CharField(max_length=64, db_default="", editable=False)

    receipt_sent_at = models.DateTimeField(null=True, blank=True)
    receipt_claimed_at = models.DateTimeField(
        null=True, editable=False, help_text="A worker is mailing it, or died while it was."
    )
    receipt_attempts = models.SmallIntegerField(
        db_default=0, editable=False, help_text="How many mails may have gone out."
    )
    receipt_due_at = models.DateTimeField(
        db_default=Now(), editable=False, help_text="When it is queued, unless it was sent."
    )

    class Meta:
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="sale_number_unique_in_tenant",
                fields=["tenant", "number"],
                condition=Q(number__gt=0),
            )
        ]
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


class SaleLine(
    ExportModelOperationsMixin("sale_line"),  # type: ignore[misc]  # a class made by a call
    models.Model,
):
    """So many pieces of one item, as it was called and priced at that moment.

    SKU and name are filled by a trigger, as in Sale.
    """

    sale = models.ForeignKey(Sale, on_delete=models.CASCADE, related_name="lines")
    item = models.ForeignKey(Item, on_delete=models.PROTECT, related_name="sale_lines")
    sku = models.CharField("SKU", max_length=40, db_default="", editable=False)
    name = models.CharField(max_length=200, db_default="", editable=False)
    quantity = models.PositiveIntegerField()
    unit_price = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="line_quantity_positive", condition=Q(quantity__gt=0)),
            models.UniqueConstraint(name="line_unique_item_of_sale", fields=["sale", "item"]),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.sku} {self.name}"


class SaleVoid(
    ExportModelOperationsMixin("sale_void"),  # type: ignore[misc]  # a class made by a call
    models.Model,
):
    """A sale that does not count: who said so, when and why. Made by apps.sales.services.void."""

    sale = models.OneToOneField(
        Sale, on_delete=models.PROTECT, primary_key=True, related_name="void"
    )
    voided_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.sale}, void"

    def clean(self) -> None:
        """Refuse a void whose pieces the stock has no room for."""
        lines = SaleLine.objects.filter(sale=self.sale_id)
        if full := lines.filter(item__stock__gt=MOST_PIECES - F("quantity")):
            raise ValidationError(
                f"The stock of {', '.join(line.sku for line in full)} would be more than"
                f" {MOST_PIECES} pieces: lower it first."
            )


class ReceiptCounter(models.Model):
    """The last number that a tenant's receipts reached. Only the trigger of Sale writes it."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, primary_key=True)
    last = models.PositiveBigIntegerField()

    def __str__(self) -> str:
        return f"{self.tenant}: {self.last}"


class IdempotencyKey(models.Model):
    """A request that was carried out, and the answer that a repetition of it gets."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request = models.CharField(max_length=64, help_text="SHA-256 of method, path and body.")
    status = models.PositiveSmallIntegerField(null=True)
    body = models.TextField(default="", help_text="JSON, in its order.")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(name="key_unique_in_tenant", fields=["tenant", "key"])
        ]

    def __str__(self) -> str:
        return self.key
