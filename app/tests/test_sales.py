"""Selling, and the receipts."""

import threading
import time
from decimal import Decimal

import pytest
from django.db import transaction

from apps.core.models import Tenant
from apps.inventory.models import Item
from apps.sales import services
from apps.sales.models import Sale, SaleLine
from apps.sales.services import OutOfStock, UnknownItems, sell
from apps.sales.tasks import receipt
from config.celery import app as celery_app
from tests.conftest import at_once, make_item, make_tenant, make_user, queued, worker
from tests.services import free_port

SALES = "/api/v1/sales/"
CUSTOMER = "customer@example.com"


def stocks() -> dict[str, int]:
    return dict(Item.objects.values_list("sku", "stock"))


# -- Selling


def test_a_sale_lowers_the_stock_and_keeps_the_price(user, tenant):
    make_item(tenant, "A", price="10.50", stock=5)
    make_item(tenant, "B", price="1.00", stock=5)
    sale = sell(user, {"A": 2, "B": 5})
    Item.objects.update(price=99)
    assert stocks() == {"A": 3, "B": 0}
    assert Sale.objects.get().total == Decimal("26.00")
    lines = sale.lines.values_list("item__sku", "quantity", "unit_price")
    assert list(lines) == [("A", 2, Decimal("10.50")), ("B", 5, Decimal("1.00"))]


@pytest.mark.parametrize(
    ("quantities", "error"), [({"A": 1, "B": 2}, OutOfStock), ({"A": 1, "X": 1}, UnknownItems)]
)
def test_a_sale_is_whole_or_not_at_all(user, tenant, quantities, error):
    make_item(tenant, "A", stock=1)
    make_item(tenant, "B", stock=1)
    with pytest.raises(error):
        sell(user, quantities)
    assert stocks() == {"A": 1, "B": 1}
    assert not Sale.objects.exists()
    assert not SaleLine.objects.exists()


def test_the_api_sells_lists_and_shows(api, item):
    order = {"customer_email": CUSTOMER, "lines": [{"sku": item.sku, "quantity": 2}]}
    created = api.post(SALES, order)
    assert created.status_code == 201, created.json()
    sale = created.json()
    assert sale["total"] == "200.00"
    assert sale["sold_by"] == "anna"
    assert (sale["number"], sale["currency"], sale["void"]) == (1, "EUR", None)
    line = {"sku": item.sku, "name": item.name, "quantity": 2, "unit_price": "100.00"}
    assert sale["lines"] == [line]
    assert api.get(SALES).json()["results"] == [sale]
    assert api.get(f"{SALES}{sale['id']}/").json() == sale


def test_too_little_stock_is_a_409_that_says_what_is_there(api, item):
    response = api.post(SALES, {"lines": [{"sku": item.sku, "quantity": 6}]})
    assert response.status_code == 409
    assert response.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "Not enough in stock.",
        "shortages": [{"sku": item.sku, "wanted": 6, "available": 5}],
    }
    assert stocks() == {item.sku: 5}
    assert not Sale.objects.exists()


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [{"sku": "RING-1", "quantity": 0}],
        [{"sku": "RING-1", "quantity": -1}],
        [{"sku": "RING-1"}],
        [{"sku": "RING-1", "quantity": 1}, {"sku": "RING-1", "quantity": 1}],
        [{"sku": f"RING-{number}", "quantity": 1} for number in range(101)],
    ],
)
def test_wrong_sales_get_400(api, item, lines):
    assert api.post(SALES, {"lines": lines}).status_code == 400
    assert not Sale.objects.exists()


def test_sales_cannot_be_changed(api, user, item):
    path = f"{SALES}{sell(user, {item.sku: 1}).pk}/"
    for method in (api.put, api.patch, api.delete):
        assert method(path, {}).status_code == 405


# -- At the same time


@pytest.mark.django_db(transaction=True)
def test_the_last_piece_is_sold_once(user, tenant, monkeypatch):
    make_item(tenant, "LAST", stock=1)
    # Both are in the middle of the sale at the same time, unless the lock keeps one out.
    create = SaleLine.objects.create
    monkeypatch.setattr(
        services.SaleLine.objects, "create", lambda **line: (time.sleep(0.2), create(**line))
    )
    results = at_once(lambda: sell(user, {"LAST": 1}), lambda: sell(user, {"LAST": 1}))
    assert sorted(type(result).__name__ for result in results) == ["OutOfStock", "Sale"]
    assert stocks() == {"LAST": 0}
    assert Sale.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_receipt_numbers_have_no_gaps(user, tenant):
    make_item(tenant, "A", stock=9)
    make_item(tenant, "B", stock=10)
    sales = [lambda sku=sku: sell(user, {sku: 1}) for sku in "AB" * 10]
    results = at_once(*sales)  # one of them gets a number, and then too little stock for its line
    assert [type(result).__name__ for result in results].count("Sale") == 19
    numbers = Sale.objects.order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, 20))


@pytest.mark.django_db(transaction=True)
def test_a_number_that_was_not_used_is_used_next(user, item):
    with pytest.raises(RuntimeError), transaction.atomic():
        assert sell(user, {item.sku: 1}).number == 1
        raise RuntimeError
    assert sell(user, {item.sku: 1}).number == 1
    luna = make_tenant("luna")
    make_item(luna)
    assert sell(make_user(luna, "lena"), {"RING-1": 1}).number == 1


def test_what_was_sold_stays_sold(api, user, tenant, item):
    sale = sell(user, {item.sku: 1})
    path = f"{SALES}{sale.pk}/"
    before = api.get(path).json()
    assert api.patch(f"/api/v1/items/{item.pk}/", {"sku": "NEW-1", "name": "Necklace"}).json()
    make_item(tenant, "RING-1", name="Another", price="900.00")
    Tenant.objects.update(
        currency="CHF", company_name="Ruby", address="Elsewhere", time_zone="Asia/Tokyo"
    )
    assert api.get(path).json() == before
    old = receipt(Sale.objects.get())
    assert "1 x Gold ring (RING-1): 100.00 EUR each" in old.body
    assert (old.body.splitlines()[0], "Elsewhere" in old.body) == ("Aurum", False)
    new = receipt(sell(user, {"RING-1": 1}))
    assert "1 x Another (RING-1): 900.00 CHF each" in new.body
    assert new.body.startswith("Ruby\nElsewhere\n\nReceipt 2\nDate: ")
    assert " JST\n" in new.body


@pytest.mark.django_db(transaction=True)
def test_sales_in_opposite_order_do_not_deadlock(user, tenant):
    make_item(tenant, "A", stock=40)
    make_item(tenant, "B", stock=40)
    there = [lambda: sell(user, {"A": 1, "B": 1})] * 5
    back = [lambda: sell(user, {"B": 1, "A": 1})] * 5
    results = at_once(*there, *back)
    assert {type(result).__name__ for result in results} == {"Sale"}
    assert stocks() == {"A": 30, "B": 30}


@pytest.fixture
def during_a_sale(user, item, monkeypatch):
    """Return a function that calls another one while five pieces are being sold."""
    create = SaleLine.objects.create
    in_the_middle = threading.Event()

    def slow(**line):
        in_the_middle.set()
        time.sleep(1)
        return create(**line)

    monkeypatch.setattr(services.SaleLine.objects, "create", slow)

    def do(call):
        def wait_and_call():
            assert in_the_middle.wait(10)
            return call()

        return at_once(lambda: sell(user, {item.sku: 5}), wait_and_call)[1]

    return do


@pytest.mark.django_db(transaction=True)
def test_a_new_price_does_not_bring_sold_pieces_back(api, item, during_a_sale):
    """The PATCH must wait for the sale rather than read the old stock."""
    change = {"price": "1.00"}
    answer = during_a_sale(lambda: api.patch(f"/api/v1/items/{item.pk}/", change))
    item.refresh_from_db()
    assert (answer.status_code, item.price, item.stock) == (200, Decimal("1.00"), 0)


@pytest.mark.django_db(transaction=True)
def test_an_item_that_is_being_sold_cannot_be_deleted(api, item, during_a_sale):
    answer = during_a_sale(lambda: api.delete(f"/api/v1/items/{item.pk}/"))
    assert answer.status_code == 409
    assert stocks() == {item.sku: 0}


# -- Receipts (more: test_receipts.py)


@pytest.fixture
def dead_broker(monkeypatch):
    """Nobody listens where the application looks for its broker."""
    address = f"redis://127.0.0.1:{free_port()}/0"
    monkeypatch.setattr(celery_app.conf, "broker_url", address)


@pytest.mark.django_db(transaction=True)
@pytest.mark.filterwarnings("default")  # the worker's own
def test_from_the_sale_through_the_broker_to_the_customer(api, item, mailoutbox):
    order = {"customer_email": CUSTOMER, "lines": [{"sku": item.sku, "quantity": 1}]}
    sale = api.post(SALES, order).json()
    assert queued() == 1
    with worker():
        for _ in range(100):
            if Sale.objects.get(pk=sale["id"]).receipt_sent_at:
                break
            time.sleep(0.1)
    assert [mail.to for mail in mailoutbox] == [[CUSTOMER]]
    assert Sale.objects.get(pk=sale["id"]).receipt_sent_at
    assert queued() == 0


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_down_loses_no_sale(api, item, caplog, dead_broker):
    order = {"customer_email": CUSTOMER, "lines": [{"sku": item.sku, "quantity": 1}]}
    began = time.monotonic()
    response = api.post(SALES, order)
    assert time.monotonic() - began < 4
    assert response.status_code == 201
    assert Sale.objects.get().receipt_sent_at is None
    assert stocks() == {item.sku: 4}
    assert "Error calling sell" in caplog.text  # so somebody can see it


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_hangs_holds_nobody_up_for_long(api, item, stuck):
    order = {"customer_email": CUSTOMER, "lines": [{"sku": item.sku, "quantity": 1}]}
    with stuck("broker"):
        began = time.monotonic()
        assert api.post(SALES, order).status_code == 201
        assert time.monotonic() - began < 4


def test_sellers_of_two_tenants_may_use_the_same_sku(user, item):
    luna = make_tenant("luna")
    make_item(luna, item.sku, stock=9)
    sell(make_user(luna, "lena"), {item.sku: 9})
    item.refresh_from_db()
    assert item.stock == 5
