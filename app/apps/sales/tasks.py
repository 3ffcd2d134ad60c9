"""Receipts by e-mail."""

import logging
from datetime import timedelta

from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from apps.sales.models import Sale
from config.celery import app

logger = logging.getLogger(__name__)

OVERDUE = timedelta(minutes=5)  # until then, the task of the sale itself is probably on its way
HOPELESS = timedelta(days=7)  # an address that failed that long is not tried again
AT_ONCE = 200  # receipts


@app.task
@transaction.atomic
def send_receipt(sale_id: int) -> None:
    """Send a sale's receipt unless it was sent.

    The lock makes a second run at the same time wait and then find it sent. Only a worker that
    dies between the mail and the commit makes the customer get two.
    """
    sale = (
        Sale.objects.select_for_update(of=["self"])
        .select_related("tenant")
        .filter(pk=sale_id, receipt_sent_at=None)
        .exclude(customer_email="")
        .first()
    )
    if sale is None:
        return
    lines = [
        f"{line.quantity} x {line.item.name} ({line.item.sku}): {line.unit_price} each"
        for line in sale.lines.select_related("item")
    ]
    send_mail(
        f"Your receipt from {sale.tenant.company_name}".replace("\n", " ").replace("\r", " "),
        "\n".join([*lines, f"Total: {sale.total}", "", "Thank you for your purchase!"]),
        from_email=None,
        recipient_list=[sale.customer_email],
    )
    sale.receipt_sent_at = timezone.now()
    sale.save(update_fields=["receipt_sent_at"])
    logger.info("sent the receipt of sale %d", sale_id)


@app.task
def send_unsent_receipts() -> None:
    """Queue the receipts that did not go out: the broker or the mail server was down."""
    now = timezone.now()
    overdue = Sale.objects.filter(
        receipt_sent_at=None, created_at__range=(now - HOPELESS, now - OVERDUE)
    ).exclude(customer_email="")
    # The newest first: those that fail again and again must not keep the others from going out.
    sale_ids = list(overdue.values_list("pk", flat=True)[:AT_ONCE])
    for sale_id in sale_ids:
        send_receipt.delay(sale_id)
    if sale_ids:
        logger.warning("queued %d overdue receipts", len(sale_ids))
