"""Receipts go out once, whatever breaks, and soon after it was mended."""

import os
import signal
import smtplib
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path

import pytest
from django.core import mail
from django.db import DatabaseError, connection
from django.utils import timezone

from apps.sales import tasks
from apps.sales.models import Sale
from apps.sales.services import sell, void
from apps.sales.tasks import receipt, send_receipt, send_unsent_receipts
from tests.conftest import make_item, queued, work_off, worker
from tests.processes import eventually
from tests.services import free_port

CUSTOMER = "customer@example.com"
APP = Path(__file__).resolve().parents[1]


@pytest.fixture
def sale(user, item) -> Sale:
    return sell(user, {item.sku: 1}, CUSTOMER)


def test_a_receipt_is_sent_once(sale, mailoutbox):
    send_receipt(sale.pk)
    send_receipt(sale.pk)
    (message,) = mailoutbox
    assert message.to == [CUSTOMER]
    assert message.subject == "Your receipt 1 from Aurum"
    sale.refresh_from_db()
    assert sale.receipt_sent_at is not None


def test_what_stands_on_a_receipt(user, tenant, item):
    tenant.address, tenant.currency = "Goldgasse 1\n5020 Salzburg", "CHF"
    tenant.time_zone = "America/New_York"
    tenant.save()
    sale = sell(user, {item.sku: 2}, CUSTOMER)
    sale.created_at = datetime(2026, 1, 1, 3, 30, tzinfo=UTC)
    assert receipt(sale).body.splitlines() == [
        "Aurum",
        "Goldgasse 1",
        "5020 Salzburg",
        "",
        "Receipt 1",
        "Date: 2025-12-31 22:30 EST",
        "",
        "2 x Gold ring (RING-1): 100.00 CHF each",
        "Total: 200.00 CHF",
        "",
        "Thank you for your purchase!",
    ]


@pytest.mark.parametrize("domain", ["shop.test", "[192.0.2.1]"])
def test_the_message_id_names_sale_and_domain(sale, settings, domain):
    for settings.DEFAULT_FROM_EMAIL in (f"no-reply@{domain}", f"Shop <no-reply@{domain}>"):
        sent = receipt(sale).message()["Message-ID"]
        assert sent.startswith(f"<receipt.{sale.pk}.")
        assert sent.endswith(f"@{domain}>")


def test_the_subject_is_one_line(sale):
    sale.shop_name = "Aurum\r\nBcc: everybody@example.com"
    assert receipt(sale).message()["Subject"].endswith("Aurum Bcc: everybody@example.com")


def test_no_address_no_receipt(user, item, mailoutbox, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        sale = sell(user, {item.sku: 1})
    send_receipt(sale.pk)
    send_receipt(sale.pk + 1)
    assert (queued(), mailoutbox) == (0, [])


def test_a_sale_that_was_voided_has_no_receipt(user, sale, mailoutbox):
    void(sale, user, "typing error")
    send_receipt(sale.pk)
    assert mailoutbox == []


# -- When something breaks


def test_a_mail_server_that_is_away_costs_no_attempt(sale, settings, mailoutbox):
    backend = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    for _ in range(5):
        with pytest.raises(ConnectionRefusedError):
            send_receipt(sale.pk)
    settings.EMAIL_BACKEND = backend
    send_receipt(sale.pk)
    assert len(mailoutbox) == 1


@pytest.mark.parametrize(
    ("error", "after"),
    [
        (smtplib.SMTPRecipientsRefused({CUSTOMER: (550, b"unknown")}), 1),
        (smtplib.SMTPDataError(451, b"try later"), 1),
        (smtplib.SMTPServerDisconnected("while it took the mail"), 0),
        (TimeoutError(), 0),
    ],
)
def test_a_mail_that_may_have_gone_out_is_not_repeated_at_once(
    sale, monkeypatch, mailoutbox, error, after
):
    def fail(*args):
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", fail)
        for _ in range(5 if after else 1):
            with pytest.raises(type(error)):
                send_receipt(sale.pk)
    send_receipt(sale.pk)
    assert len(mailoutbox) == after


@pytest.fixture
def note_blocked(transactional_db):
    """A function: what happens when a transaction that notes a receipt as sent is committed."""

    def block(statement: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE FUNCTION block() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN {statement}; RETURN NULL; END $$"
            )
            cursor.execute(
                "CREATE CONSTRAINT TRIGGER block AFTER UPDATE ON sales_sale"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
                " WHEN (NEW.receipt_sent_at IS NOT NULL) EXECUTE FUNCTION block()"
            )

    def unblock() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP FUNCTION IF EXISTS block CASCADE")

    block.end = unblock
    yield block
    unblock()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_refuses_the_commit_after_the_mail(sale, note_blocked, mailoutbox):
    note_blocked("RAISE disk_full")
    with pytest.raises(DatabaseError):
        send_receipt(sale.pk)
    for _ in range(3):  # as often as it is queued
        send_receipt(sale.pk)
    note_blocked.end()
    assert len(mailoutbox) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("default")  # the worker's own
def test_a_worker_keeps_trying_to_note_a_receipt(sale, note_blocked, mailoutbox, monkeypatch):
    monkeypatch.setattr(tasks, "NOTE_AGAIN", 0.2)
    note_blocked("RAISE disk_full")
    send_receipt.delay(sale.pk)
    with worker():
        eventually(lambda: mailoutbox)
        time.sleep(1)
        note_blocked.end()
        eventually(lambda: Sale.objects.get().receipt_sent_at)
    assert len(mailoutbox) == 1
    assert queued() == 0


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_between_mail_and_note(sale, note_blocked, tmp_path):
    note_blocked("PERFORM pg_sleep(60)")
    database = connection.settings_dict
    url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format_map(database)
    environment = os.environ | {"DATABASE_URL": url, "EMAIL_URL": f"filemail:///{tmp_path}"}

    def work() -> subprocess.Popen:
        script = f"from apps.sales.tasks import send_receipt; send_receipt({sale.pk})"
        words = [sys.executable, "manage.py", "shell", "--no-imports", f"--command={script}"]
        return subprocess.Popen(words, cwd=APP, env=environment)

    def messages() -> list:
        files = sorted(tmp_path.iterdir())
        return [message_from_bytes(file.read_bytes()) for file in files if file.stat().st_size]

    def killed_after(number: int) -> None:
        worker = work()
        for _ in range(200):
            if len(messages()) == number:
                break
            time.sleep(0.1)
        time.sleep(0.3)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        with connection.cursor() as cursor:  # PostgreSQL notices, in the end
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE wait_event = 'PgSleep' AND datname = current_database()"
            )

    killed_after(1)
    work().wait()  # redelivered at once: the claim holds
    assert len(messages()) == 1
    Sale.objects.update(receipt_claimed_at=timezone.now() - tasks.CLAIM - timedelta(seconds=1))
    killed_after(2)
    note_blocked.end()
    Sale.objects.update(receipt_claimed_at=timezone.now() - tasks.CLAIM - timedelta(seconds=1))
    work().wait()
    first, second = messages()
    assert first["Message-ID"] == second["Message-ID"]
    assert str(sale.pk) in first["Message-ID"]


# -- The backlog


def make_overdue(user, item, minutes: int) -> Sale:
    sale = sell(user, {item.sku: 1}, CUSTOMER)
    then = timezone.now() - timedelta(minutes=minutes)
    Sale.objects.filter(pk=sale.pk).update(created_at=then, receipt_due_at=then + tasks.OVERDUE)
    return sale


def test_overdue_receipts_are_queued_again(user, item):
    sales = {age: make_overdue(user, item, age) for age in (0, 10, 20, 30, 60 * 24 * 8)}
    Sale.objects.filter(pk=sales[20].pk).update(receipt_sent_at=timezone.now())
    Sale.objects.filter(pk=sales[30].pk).update(receipt_attempts=tasks.ATTEMPTS)
    send_unsent_receipts()
    assert queued() == 1  # not the new one, not those sent or tried twice, not the hopeless one
    send_unsent_receipts()
    assert queued() == 1  # it waits in the queue


def test_a_backlog_is_worked_off_without_waiting_for_the_schedule(
    user, tenant, mailoutbox, monkeypatch
):
    monkeypatch.setattr(tasks, "AT_ONCE", 10)
    item = make_item(tenant, "MANY", stock=100)
    sales = [make_overdue(user, item, 60 - age) for age in range(35)]
    send_unsent_receipts()
    assert queued() == 11  # never all of them
    assert work_off() == 35 + 3
    numbers = [int(message.subject.split()[2]) for message in mailoutbox]
    assert numbers == [sale.number for sale in sales]  # the oldest first


def test_receipts_that_fail_again_and_again_are_tried_less_and_less(user, item):
    sale = make_overdue(user, item, 60 * 24)
    send_unsent_receipts()
    sale.refresh_from_db()
    assert sale.receipt_due_at - timezone.now() > timedelta(hours=5)
    assert mail.outbox == []
