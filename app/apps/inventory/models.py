"""Items in stock and the daily value of all of them."""

from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Count, F, Q, Sum
from django_prometheus.models import ExportModelOperationsMixin

from apps.core.models import Tenant

KARATS = (8, 9, 10, 14, 18, 20, 21, 22, 24)
LOW_STOCK = Q(stock__lte=F("low_stock_level"))  # the items that shops should order again


class Item(ExportModelOperationsMixin("item"), models.Model):
    """A piece of jewelry that a tenant sells, with the number of equal pieces in stock.

    Its rules are constraints of the database; forms and the API read their messages from here.
    """

    class Metal(models.TextChoices):
        """What it is made of, mostly."""

        GOLD = "GOLD"
        SILVER = "SILVER"
        PLATINUM = "PLATINUM"
        PALLADIUM = "PALLADIUM"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="items")
    sku = models.CharField(
        "SKU",
        max_length=40,
        validators=[RegexValidator(r"\A[A-Za-z0-9._-]+\Z", "Only letters, digits, '.', '_', '-'.")],
    )
    name = models.CharField(max_length=200)
    metal = models.CharField(max_length=10, choices=Metal)
    karat = models.PositiveSmallIntegerField(null=True, blank=True, help_text="Gold only.")
    weight_grams = models.DecimalField(
        max_digits=9, decimal_places=3, validators=[MinValueValidator(Decimal("0.001"))]
    )
    price = models.DecimalField(
        max_digits=12, decimal_places=2, validators=[MinValueValidator(Decimal(0))]
    )
    stock = models.IntegerField(default=0, validators=[MinValueValidator(0)])
    low_stock_level = models.PositiveIntegerField(
        default=0, help_text="At this stock or below, the shop is told."
    )

    class Meta:
        ordering = ["sku", "pk"]
        constraints = [
            models.UniqueConstraint(
                name="item_sku_unique_in_tenant",
                fields=["tenant", "sku"],
                violation_error_message="There is already an item with this SKU.",
            ),
            models.CheckConstraint(
                name="item_gold_has_karat",
                condition=(
                    # The database takes "unknown" for fulfilled, and NULL IN (…) is unknown.
                    Q(metal="GOLD", karat__isnull=False, karat__in=KARATS)
                    | (~Q(metal="GOLD") & Q(karat=None))
                ),
                violation_error_message="Gold, and only gold, has a karat: "
                + ", ".join(map(str, KARATS)),
            ),
            models.CheckConstraint(
                name="item_weight_positive",
                condition=Q(weight_grams__gt=0),
                violation_error_message="The weight must be above zero.",
            ),
            models.CheckConstraint(
                name="item_price_not_negative",
                condition=Q(price__gte=0),
                violation_error_message="The price must not be negative.",
            ),
            models.CheckConstraint(
                name="item_stock_not_negative",
                condition=Q(stock__gte=0),
                violation_error_message="The stock must not be negative.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


def stock_value(tenant: Tenant) -> dict[str, Decimal | int]:
    """What the tenant's stock is worth now: items, pieces and value."""
    total = tenant.items.aggregate(
        items=Count("pk"), pieces=Sum("stock"), value=Sum(F("stock") * F("price"))
    )
    return {name: number or 0 for name, number in total.items()}


class StockValuation(ExportModelOperationsMixin("stock_valuation"), models.Model):
    """What a tenant's stock was worth at the end of a day."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="valuations")
    day = models.DateField()
    items = models.PositiveIntegerField()
    pieces = models.PositiveBigIntegerField()
    value = models.DecimalField(max_digits=30, decimal_places=2)

    class Meta:
        ordering = ["-day", "tenant_id"]
        constraints = [
            models.UniqueConstraint(name="valuation_unique_per_day", fields=["tenant", "day"])
        ]

    def __str__(self) -> str:
        return f"{self.tenant}, {self.day}"
