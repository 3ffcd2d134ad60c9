"""Tenants and logins as numbers.

The `METRICS_TENANTS` tenants that were created first have labels of their own, a set that does not
change as the platform grows; all others together are `(other)`, which no slug can be.
"""

from django.conf import settings
from django.db.models import Count
from prometheus_client import Counter, Metric
from prometheus_client.core import GaugeMetricFamily

from apps.core.models import Tenant
from apps.monitoring import registry

OTHER = "(other)"
RESULTS = ("accepted", "wrong", "address_limit", "account_limit", "busy")

logins = Counter(
    "jewelry_logins",
    "Logins by what became of them: accepted, wrong, or refused without looking at the password.",
    ["result"],
)

_labels: dict[int, str] = {}  # of tenants that were counted in this process, by primary key


def prime_logins() -> None:
    """Start the counter at 0, in web processes; worker and beat load this module too."""
    for result in RESULTS:
        logins.labels(result)


def tenant_label(tenant: Tenant) -> str:
    """The tenant's label. Asks the database once in each process."""
    if tenant.pk not in _labels:
        older = Tenant.objects.filter(pk__lt=tenant.pk).count()
        _labels[tenant.pk] = tenant.slug if older < settings.METRICS_TENANTS else OTHER
    return _labels[tenant.pk]


def tenant_labels() -> dict[int, str]:
    """The labels of the tenants that have one of their own, by primary key."""
    tenants = Tenant.objects.order_by("pk").values_list("pk", "slug")
    return dict(tenants[: settings.METRICS_TENANTS])


@registry.gauges("business")
def tenants() -> list[Metric]:
    """How many tenants there are; one query."""
    family = GaugeMetricFamily("jewelry_tenants", "Tenants by status.", labels=["status"])
    counts = dict(Tenant.objects.order_by().values_list("status").annotate(Count("pk")))
    for status in Tenant.Status.values:
        family.add_metric([status], counts.get(status, 0))
    return [family]
