"""Stock as numbers."""

from django.db.models import Count
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from apps.core.metrics import OTHER, tenant_labels
from apps.inventory.models import LOW_STOCK, STOCK_VALUE, Item
from apps.monitoring import registry

GAUGES = {
    "items": ("jewelry_items", "Different items on offer."),
    "pieces": ("jewelry_stock_pieces", "Pieces in stock."),
    "value": ("jewelry_stock_value", "Price of all pieces in stock, in the shops' currency."),
    "low": ("jewelry_low_stock_items", "Items at or below their low stock level."),
}


@registry.gauges("business")
def stock() -> list[Metric]:
    """What is in stock, by tenant; two queries."""
    labels = tenant_labels()
    totals = {name: dict.fromkeys([*labels.values(), OTHER], 0.0) for name in GAUGES}
    by_tenant = Item.objects.order_by().values("tenant")
    for row in by_tenant.annotate(**STOCK_VALUE, low=Count("pk", filter=LOW_STOCK)):
        label = labels.get(row["tenant"], OTHER)
        for name in GAUGES:
            totals[name][label] += float(row[name])
    families: list[Metric] = []
    for name, description in GAUGES.items():
        family = GaugeMetricFamily(*description, labels=["tenant"])
        for label, value in totals[name].items():
            family.add_metric([label], value)
        families.append(family)
    return families
