"""Sales as numbers."""

from decimal import Decimal

from prometheus_client import Counter

from apps.core.metrics import tenant_label
from apps.core.models import Tenant
from apps.monitoring import registry

sales = Counter("jewelry_sales", "Sales made.", ["tenant"])
sales_value = Counter(
    "jewelry_sales_value", "What was sold for, in the shops' currency.", ["tenant"]
)
voided = Counter("jewelry_sales_voided", "Sales voided.", ["tenant"])
voided_value = Counter(
    "jewelry_sales_voided_value", "What they had been sold for, in the shops' currency.", ["tenant"]
)
registry.start_at_zero("tenant", sales, sales_value, voided, voided_value)


def count_sale(tenant: Tenant, value: Decimal) -> None:
    """Count a sale that was committed."""
    label = tenant_label(tenant)
    sales.labels(label).inc()
    sales_value.labels(label).inc(float(value))


def count_void(tenant: Tenant, value: Decimal) -> None:
    """Count a sale whose void was committed. It was counted as a sale when it was made."""
    label = tenant_label(tenant)
    voided.labels(label).inc()
    voided_value.labels(label).inc(float(value))
