"""Periodic work on the stock. Run twice, each task does no more than once."""

import logging
from datetime import date
from smtplib import SMTPRecipientsRefused, SMTPResponseException

from django.core.mail import EmailMessage, get_connection
from django.db import transaction
from django.utils import timezone

from apps.core.models import Tenant
from apps.inventory.models import LOW_STOCK, STOCK_VALUE, Item, LowStockMail, StockValuation
from config.celery import app

logger = logging.getLogger(__name__)


@app.task
def low_stock_scan() -> None:
    """Queue a task for each active tenant, so that no shop waits for all others."""
    day = timezone.localdate().isoformat()
    for tenant in Tenant.objects.filter(status=Tenant.Status.ACTIVE):
        tell_of_low_stock.apply_async((tenant.pk, day), expires=6 * 3600)


# For most of an hour: smtplib's errors are OSErrors too.
@app.task(autoretry_for=(OSError,), retry_backoff=60, retry_backoff_max=600, max_retries=7)
def tell_of_low_stock(tenant_id: int, day: str) -> None:
    """Mail the tenant's staff what to order again, at most once for each day."""
    tenant = Tenant.objects.get(pk=tenant_id)
    items = tenant.items.filter(LOW_STOCK)
    people = tenant.users.filter(is_active=True).exclude(email="")
    addresses = list(people.values_list("email", flat=True))
    if not items or not addresses:
        return
    with get_connection() as server:  # first: a mail server that is away costs no claim
        if not _claim(tenant_id, date.fromisoformat(day)):
            return
        mail = EmailMessage(
            f"{len(items)} items are low in stock",
            "\n".join(f"{item}: {item.stock} left" for item in items),
            to=addresses,
        )
        try:
            server.send_messages([mail])
        except (SMTPResponseException, SMTPRecipientsRefused):  # so nothing went out
            LowStockMail.objects.filter(tenant=tenant_id).update(day=date.min)
            raise
    logger.info("%s: %d items are low in stock", tenant.slug, len(items))


def _claim(tenant_id: int, day: date) -> bool:
    """Whether the mail of that day is this worker's to send."""
    with transaction.atomic(durable=True):  # committed, or there is no mail
        LowStockMail.objects.get_or_create(tenant_id=tenant_id, defaults={"day": date.min})
        return bool(LowStockMail.objects.filter(tenant=tenant_id, day__lt=day).update(day=day))


@app.task
def daily_stock_valuation() -> None:
    """Write down, for each active tenant, what its stock is worth today; two statements for all."""
    by_tenant = Item.objects.order_by().values("tenant").annotate(**STOCK_VALUE)
    totals = {row.pop("tenant"): row for row in by_tenant}
    nothing = {"items": 0, "pieces": 0, "value": 0}
    day = timezone.localdate()
    rows = [
        StockValuation(tenant=tenant, day=day, **totals.get(tenant.pk, nothing))
        for tenant in Tenant.objects.filter(status=Tenant.Status.ACTIVE)
    ]
    StockValuation.objects.bulk_create(
        rows,
        batch_size=1000,
        update_conflicts=True,
        unique_fields=["tenant", "day"],
        update_fields=list(nothing),
    )
