"""Sales, stock and tenants as numbers.

Labelled by tenant for the `METRICS_TENANTS` tenants that were made first, a set that does not
change as the platform grows; all others together are `(other)`, which no slug can be.
"""

from collections.abc import Iterable
from decimal import Decimal

from django.conf import settings
from django.db.models import Count, F, Sum
from prometheus_client import Counter, Metric
from prometheus_client.core import GaugeMetricFamily

from apps.core.models import Tenant
from apps.inventory.models import LOW_STOCK, Item

OTHER = "(other)"
sales = Counter("jewelry_sales", "Sales made.", ["tenant"])
sales_value = Counter(
    "jewelry_sales_value", "What was sold for, in the shops' currency.", ["tenant"]
)
voided = Counter("jewelry_sales_voided", "Sales voided.", ["tenant"])
voided_value = Counter(
    "jewelry_sales_voided_value", "What they had been sold for, in the shops' currency.", ["tenant"]
)

_labels: dict[int, str] = {}  # of the tenants that have sold something, by primary key


def labelled_tenants() -> list[Tenant]:
    """The tenants that have labels of their own."""
    return list(Tenant.objects.order_by("pk")[: settings.METRICS_TENANTS])


def count_sale(tenant: Tenant, value: Decimal) -> None:
    """Count a sale that was committed."""
    label = _label(tenant)
    sales.labels(label).inc()
    sales_value.labels(label).inc(float(value))


def count_void(tenant: Tenant, value: Decimal) -> None:
    """Count a sale whose void was committed. It was counted as a sale when it was made."""
    label = _label(tenant)
    voided.labels(label).inc()
    voided_value.labels(label).inc(float(value))


def _label(tenant: Tenant) -> str:
    """The tenant's label. Asks the database at the first in this process."""
    if tenant.pk not in _labels:
        older = Tenant.objects.filter(pk__lt=tenant.pk).count()
        _labels[tenant.pk] = tenant.slug if older < settings.METRICS_TENANTS else OTHER
    return _labels[tenant.pk]


def start_at_zero(families: dict[str, Metric], tenants: Iterable[str]) -> None:
    """Add zeros for tenants that have sold nothing since boot, so that `rate()` sees the first."""
    for counter in (sales, sales_value, voided, voided_value):
        (described,) = counter.describe()
        family = families.setdefault(described.name, described)
        missing = set(tenants) - {sample.labels["tenant"] for sample in family.samples}
        for tenant in sorted(missing):
            family.add_sample(f"{described.name}_total", {"tenant": tenant}, 0.0)


def gauges() -> list[Metric]:
    """What is in stock and how many tenants there are; three queries."""
    labels = {tenant.pk: tenant.slug for tenant in labelled_tenants()}
    stock = {
        "items": GaugeMetricFamily("jewelry_items", "Different items on offer.", labels=["tenant"]),
        "pieces": GaugeMetricFamily("jewelry_stock_pieces", "Pieces in stock.", labels=["tenant"]),
        "value": GaugeMetricFamily(
            "jewelry_stock_value",
            "Price of all pieces in stock, in the shops' currency.",
            labels=["tenant"],
        ),
        "low": GaugeMetricFamily(
            "jewelry_low_stock_items", "Items at or below their low stock level.", labels=["tenant"]
        ),
    }
    totals = {name: dict.fromkeys([*labels.values(), OTHER], 0.0) for name in stock}
    for row in (
        Item.objects.order_by()
        .values("tenant")
        .annotate(
            items=Count("pk"),
            pieces=Sum("stock"),
            value=Sum(F("stock") * F("price")),
            low=Count("pk", filter=LOW_STOCK),
        )
    ):
        label = labels.get(row.pop("tenant"), OTHER)
        for name, value in row.items():
            totals[name][label] += float(value)
    for name, family in stock.items():
        for label, value in totals[name].items():
            family.add_metric([label], value)

    tenants = GaugeMetricFamily("jewelry_tenants", "Tenants by status.", labels=["status"])
    counts = dict(Tenant.objects.order_by().values_list("status").annotate(Count("pk")))
    for status in Tenant.Status.values:
        tenants.add_metric([status], counts.get(status, 0))
    return [*stock.values(), tenants]
