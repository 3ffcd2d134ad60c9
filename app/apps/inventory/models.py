"""Items in stock and the daily value of all of them."""

from decimal import Decimal

from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Count, F, Q, Sum
from django.dispatch import Signal
from django_prometheus.models import ExportModelOperationsMixin

from apps.core.models import Tenant

KARATS = (8, 9, 10, 14, 18, 20, 21, 22, 24)
NOT_MOVED = "An item cannot be moved to another tenant."
items_changed = Signal()  # with `tenant_ids`
MOST_PIECES = 2**31 - 1  # what a column of PostgreSQL's type integer holds
LOW_STOCK = Q(stock__lte=F("low_stock_level"))  # the items that shops should order again
STOCK_VALUE = {"items": Count("pk"), "pieces": Sum("stock"), "value": Sum(F("stock") * F("price"))}


class ItemQuerySet(models.QuerySet["Item"]):
    """Changes of many items at once send no signals, so they tell the catalogue's cache here."""

    def update(self, **values) -> int:
        """Change all items. None changes its tenant: see Item.save."""
        if values.keys() & {"tenant", "tenant_id"}:
            raise ValueError(NOT_MOVED)
        tenants = set(self.order_by().values_list("tenant", flat=True).distinct())
        changed = super().update(**values)
        items_changed.send(self.model, tenant_ids=tenants)
        return changed

    update.alters_data = True  # type: ignore[attr-defined]  # so no template calls it

    def bulk_create(self, objs, *args, **kwargs) -> list["Item"]:
        """Store the items."""
        created = super().bulk_create(objs, *args, **kwargs)
        items_changed.send(self.model, tenant_ids={item.tenant_id for item in created})
        return created


class Item(
    ExportModelOperationsMixin("item"),  # type: ignore[misc]  # a class made by a call
    models.Model,
):
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
        default=0, help_text="At this stock or below, the shop is notified."
    )

    objects = ItemQuerySet.as_manager()

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

    @classmethod
    def from_db(cls, db, field_names, values) -> "Item":
        """Remember the tenant as the database has it."""
        item = super().from_db(db, field_names, values)
        item._stored_tenant_id = item.__dict__.get("tenant_id")
        return item

    def save(self, *args, **kwargs) -> None:
        """Store. An item that was sold is on its tenant's receipts, so none changes its tenant."""
        if getattr(self, "_stored_tenant_id", None) not in (None, self.tenant_id):
            raise ValueError(NOT_MOVED)
        super().save(*args, **kwargs)


class LowStockMail(models.Model):
    """The day of the last mail on low stock to a tenant."""

    tenant = models.OneToOneField(Tenant, on_delete=models.CASCADE, primary_key=True)
    day = models.DateField()

    def __str__(self) -> str:
        return f"{self.tenant}, {self.day}"


def stock_value(tenant: Tenant) -> dict[str, Decimal | int]:
    """What the tenant's stock is worth now: items, pieces and value."""
    total = tenant.items.aggregate(**STOCK_VALUE)
    return {name: number or 0 for name, number in total.items()}


class StockValuation(
    ExportModelOperationsMixin("stock_valuation"),  # type: ignore[misc]  # a class made by a call
    models.Model,
):
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
