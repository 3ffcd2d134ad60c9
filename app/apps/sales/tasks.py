"""Receipts by e-mail, and what is kept for a time only."""

import logging
from datetime import timedelta
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from zoneinfo import ZoneInfo

from celery import Task
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import DatabaseError, transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, QuerySet
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from apps.sales.models import IdempotencyKey, Sale
from config.celery import app

logger = logging.getLogger(__name__)

OVERDUE = timedelta(minutes=5)  # until then, the task of the sale itself is probably on its way
HOPELESS = timedelta(days=7)  # an address that failed that long is not tried again
AT_ONCE = 500  # overdue receipts in the queue
CLAIM = timedelta(minutes=10)  # longer than a task may take: an older claim is a dead worker's
ATTEMPTS = 2  # mails that may go out for one sale
NOTE_AGAIN = 60  # seconds
KEPT = timedelta(hours=24)  # answers to requests with a key


def unsent() -> QuerySet[Sale]:
    """The sales whose receipt has to go out."""
    sales = Sale.objects.filter(
        receipt_sent_at=None, receipt_attempts__lt=ATTEMPTS, void__isnull=True
    )
    return sales.exclude(customer_email="")


@app.task(bind=True, max_retries=None)
def send_receipt(self: Task, sale_id: int, sent_at: str | None = None) -> None:
    """Send a sale's receipt unless it was sent. With `sent_at`, it was: only note it.

    A worker commits its claim before the mail goes out. If it dies before it has noted that, the
    claim ends, and the receipt goes out once more, with the same Message-ID, and never again.
    """
    if sent_at:
        return _note(self, sale_id, sent_at)
    sale = unsent().filter(pk=sale_id).first()
    if sale is None:
        return None
    with get_connection() as server:  # first: a mail server that is away costs no attempt
        if not _claim(sale_id):
            return None
        try:
            server.send_messages([receipt(sale)])
        except (SMTPResponseException, SMTPRecipientsRefused):
            # Refused, so nothing went out. After any other error, nobody knows.
            Sale.objects.filter(pk=sale_id).update(
                receipt_claimed_at=None, receipt_attempts=F("receipt_attempts") - 1
            )
            raise
        _note(self, sale_id, timezone.now().isoformat())
    logger.info("sent the receipt of sale %d", sale_id)


def _claim(sale_id: int) -> bool:
    """Whether this worker, and no other, may mail the receipt now."""
    now = timezone.now()
    free = Q(receipt_claimed_at=None) | Q(receipt_claimed_at__lt=now - CLAIM)
    with transaction.atomic(durable=True):  # committed, or there is no mail
        # No joins: of two updates, the second looks at the row again when it gets it.
        return bool(
            Sale.objects.filter(
                free, pk=sale_id, receipt_sent_at=None, receipt_attempts__lt=ATTEMPTS
            ).update(receipt_claimed_at=now, receipt_attempts=F("receipt_attempts") + 1)
        )


def _note(task: Task, sale_id: int, sent_at: str) -> None:
    """Write down that the mail went out; later, if the database does not take it now."""
    try:
        Sale.objects.filter(pk=sale_id).update(receipt_sent_at=sent_at, receipt_claimed_at=None)
    except DatabaseError as error:
        raise task.retry(args=(sale_id, sent_at), countdown=NOTE_AGAIN, exc=error) from error


def receipt(sale: Sale) -> EmailMessage:
    """The receipt, made of what the sale itself says: the shop may have changed since."""
    zone = ZoneInfo(sale.shop_time_zone or settings.TIME_ZONE)
    lines = [
        f"{line.quantity} x {line.name} ({line.sku}): {line.unit_price} {sale.currency} each"
        for line in sale.lines.all()
    ]
    body = [
        sale.shop_name,
        *sale.shop_address.splitlines(),
        "",
        f"Receipt {sale.number}",
        f"Date: {timezone.localtime(sale.created_at, zone):%Y-%m-%d %H:%M %Z}",
        "",
        *lines,
        f"Total: {sale.total} {sale.currency}",
        "",
        "Thank you for your purchase!",
    ]
    # parseaddr knows no domain such as [192.0.2.1], which a shop without a name has.
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">")
    return EmailMessage(
        " ".join(f"Your receipt {sale.number} from {sale.shop_name}".split()),
        "\n".join(body),
        to=[sale.customer_email],
        headers={"Message-ID": f"<receipt.{sale.pk}.{sale.created_at:%Y%m%d%H%M%S}@{domain}>"},
    )


@app.task
def send_unsent_receipts() -> None:
    """Queue the receipts that did not go out: the broker or the mail server was down.

    The oldest come first. Each is due again later and later, so those that fail again and again do
    not keep the others from going out.
    """
    now = timezone.now()
    later = ExpressionWrapper(Now() + (Now() - F("created_at")) / 4, DateTimeField())
    with transaction.atomic():
        overdue = unsent().filter(created_at__gte=now - HOPELESS, receipt_due_at__lte=now)
        overdue = overdue.order_by("created_at").select_for_update(
            skip_locked=True, of=("self",), no_key=True
        )
        sale_ids = list(overdue.values_list("pk", flat=True)[:AT_ONCE])
        Sale.objects.filter(pk__in=sale_ids).update(receipt_due_at=Greatest(later, now + OVERDUE))
    for sale_id in sale_ids:
        send_receipt.delay(sale_id)
    if sale_ids:
        logger.warning("queued %d overdue receipts", len(sale_ids))
    if len(sale_ids) == AT_ONCE:
        # Behind them in the queue: the next ones follow as fast as the worker sends these.
        send_unsent_receipts.delay()


@app.task
def clean_idempotency_keys() -> None:
    """Forget the answers that nobody asks for again."""
    IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
