"""Periodic work on the stock. Run twice, each task does no more than once."""

import logging

from django.core.cache import cache
from django.core.mail import send_mail
from django.utils import timezone

from apps.core.models import Tenant
from apps.inventory.models import LOW_STOCK, StockValuation, stock_value
from config.celery import app

logger = logging.getLogger(__name__)


@app.task
def low_stock_scan() -> None:
    """Mail each active tenant's staff what to order again, once a day."""
    for tenant in Tenant.objects.filter(status=Tenant.Status.ACTIVE):
        items = tenant.items.filter(LOW_STOCK)
        people = tenant.users.filter(is_active=True).exclude(email="")
        addresses = list(people.values_list("email", flat=True))
        told = f"low-stock-told:{tenant.pk}:{timezone.localdate()}"
        if not items or not addresses or cache.get(told):
            continue
        try:
            send_mail(
                f"{len(items)} items are low in stock",
                "\n".join(f"{item}: {item.stock} left" for item in items),
                from_email=None,
                recipient_list=addresses,
            )
        except OSError:  # smtplib's errors too; the next scan tries again
            logger.exception("%s: the mail on low stock was not sent", tenant.slug)
            continue
        # Afterwards: a scan that dies in between mails twice rather than never.
        cache.set(told, True, timeout=86400)
        logger.info("%s: %d items are low in stock", tenant.slug, len(items))


@app.task
def daily_stock_valuation() -> None:
    """Write down, for each active tenant, what its stock is worth today."""
    for tenant in Tenant.objects.filter(status=Tenant.Status.ACTIVE):
        StockValuation.objects.update_or_create(
            tenant=tenant, day=timezone.localdate(), defaults=stock_value(tenant)
        )
