"""Periodic work on the stock, and how Celery is set up. (Receipts: test_sales.py.)"""

from decimal import Decimal
from smtplib import SMTPDataError, SMTPServerDisconnected
from unittest.mock import Mock

import pytest
from celery.schedules import crontab, maybe_schedule
from django.utils import timezone

from apps.core.models import Tenant
from apps.inventory.models import Item, StockValuation
from apps.inventory.tasks import daily_stock_valuation, low_stock_scan, tell_of_low_stock
from config.celery import app as celery_app
from tests.conftest import make_item, make_tenant, make_user, work_off


def test_the_stock_is_valued_once_a_day(tenant):
    make_tenant("empty")
    make_tenant("closed", status=Tenant.Status.CLOSED)
    make_item(tenant, "A", price="10.50", stock=2)
    make_item(tenant, "B", price="1.00", stock=3)
    daily_stock_valuation.apply(throw=True)
    make_item(tenant, "C", price="1.00", stock=1)
    daily_stock_valuation.apply(throw=True)
    rows = StockValuation.objects.values_list("tenant__slug", "day", "items", "pieces", "value")
    today = timezone.localdate()
    assert set(rows) == {
        ("aurum", today, 3, 6, Decimal("25.00")),
        ("empty", today, 0, 0, Decimal(0)),
    }


def test_each_shop_is_notified_of_its_own_low_stock_once_a_day(user, mailoutbox):
    make_user(user.tenant, "gone", is_active=False)
    luna = make_tenant("luna")
    make_user(luna, "lena")
    closed = make_tenant("closed", status=Tenant.Status.CLOSED)
    make_user(closed, "carl")
    make_item(user.tenant, "LOW", stock=2, low_stock_level=2)
    make_item(user.tenant, "ENOUGH", stock=3, low_stock_level=2)
    make_item(luna, "PLENTY", stock=9, low_stock_level=1)
    make_item(closed, "NONE", stock=0, low_stock_level=1)
    for _ in range(2):
        low_stock_scan()
        assert work_off() == 2  # one task for each active shop
    (mail,) = mailoutbox
    assert mail.to == ["anna@shop.test"]
    assert mail.body == "LOW Gold ring: 2 left"


def test_a_mail_that_may_have_gone_out_is_not_sent_again(user, item, monkeypatch, mailoutbox):
    Item.objects.update(low_stock_level=item.stock)
    send = "django.core.mail.backends.locmem.EmailBackend.send_messages"

    def fail(error, day):
        with monkeypatch.context() as broken, pytest.raises(type(error)):
            broken.setattr(send, Mock(side_effect=error))
            tell_of_low_stock.run.__wrapped__(user.tenant_id, day)

    fail(SMTPDataError(451, b"try later"), "2026-01-01")  # refused: nothing went out
    tell_of_low_stock(user.tenant_id, "2026-01-01")
    assert len(mailoutbox) == 1
    fail(SMTPServerDisconnected("while it took the mail"), "2026-01-02")
    tell_of_low_stock(user.tenant_id, "2026-01-02")
    assert len(mailoutbox) == 1
    tell_of_low_stock(user.tenant_id, "2026-01-03")
    assert len(mailoutbox) == 2


def test_all_stocks_are_valued_in_the_same_few_statements(tenant, django_assert_num_queries):
    for number in range(20):
        make_item(make_tenant(f"shop-{number}"), stock=number)
    with django_assert_num_queries(3):
        daily_stock_valuation()
    assert StockValuation.objects.count() == 21


def test_what_runs_often_does_not_pause_when_summer_time_ends():
    """A crontab of every five minutes does, for 65."""
    for name, entry in celery_app.conf.beat_schedule.items():
        schedule = maybe_schedule(entry["schedule"])
        assert not isinstance(schedule, crontab) or len(schedule.hour) == 1, name


def test_every_scheduled_task_exists():
    celery_app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in celery_app.conf.beat_schedule.values()}
    assert scheduled <= set(celery_app.tasks)


def test_no_task_can_run_twice_because_it_is_slow():
    options = celery_app.conf.broker_transport_options
    assert options["visibility_timeout"] > 2 * celery_app.conf.task_time_limit


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("task_acks_late", True),
        ("task_reject_on_worker_lost", True),
        ("worker_prefetch_multiplier", 1),
        ("task_ignore_result", True),
        ("accept_content", ["json"]),
        ("task_serializer", "json"),
        ("broker_connection_retry_on_startup", True),
    ],
)
def test_celery_takes_the_settings(name, value):
    assert celery_app.conf[name] == value
