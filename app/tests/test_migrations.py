"""Migrations beside the release that still sells."""

import importlib

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apps.inventory.models import Item
from apps.sales.models import Sale, SaleLine
from apps.sales.services import sell
from tests.conftest import make_item, make_tenant, make_user


def migrate(name: str | None = None) -> None:
    """Migrate to a state of the app `sales`, by default to that of its models."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes("sales")
    executor.migrate([("sales", name)] if name else newest)


def sell_as_the_earlier_release(user, item) -> int:
    """What its ORM sends: the columns that it knows."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sales_sale (tenant_id, sold_by_id, customer_email, total, created_at,"
            " receipt_sent_at) VALUES (%s, %s, '', 100, now(), NULL) RETURNING id",
            [user.tenant_id, user.pk],
        )
        (sale,) = cursor.fetchone()
        cursor.execute(
            "INSERT INTO sales_saleline (sale_id, item_id, quantity, unit_price)"
            " VALUES (%s, %s, 1, 100)",
            [sale, item.pk],
        )
    return sale


@pytest.mark.django_db(transaction=True)
def test_sales_before_and_during_the_migration_are_whole(user, item, monkeypatch):
    lena = make_user(make_tenant("luna", currency="CHF"), "lena")
    other = make_item(lena.tenant, "CHAIN", name="Chain")
    migrate("0001_initial")
    sales = [sell_as_the_earlier_release(*who) for who in ((user, item), (lena, other)) * 3]
    migrate("0003_number_and_name_new_sales")
    sales += [sell_as_the_earlier_release(user, item) for _ in range(2)]
    Item.objects.filter(pk=other.pk).update(name="New name")
    sales += [sell_as_the_earlier_release(lena, other)]
    module = "apps.sales.migrations.0004_number_and_name_old_sales"
    monkeypatch.setattr(importlib.import_module(module), "ROWS", 2)
    migrate()

    rows = Sale.objects.order_by("pk").values_list("number", "currency", "shop_name")
    aurum, luna = ("EUR", "Aurum"), ("CHF", "Luna")
    assert list(rows) == [
        *((number, *shop) for number in (1, 2, 3) for shop in (aurum, luna)),
        (4, *aurum),
        (5, *aurum),
        (4, *luna),
    ]
    lines = SaleLine.objects.order_by("pk").values_list("sku", "name")
    ring = ("RING-1", "Gold ring")
    # A name that changed before the migration is not known any more.
    assert list(lines) == [ring, ("CHAIN", "New name")] * 3 + [ring, ring, ("CHAIN", "New name")]
    assert sell(user, {item.sku: 1}).number == 6
    assert [sale.pk for sale in Sale.objects.order_by("pk")][:-1] == sales


@pytest.mark.django_db(transaction=True)
def test_the_earlier_release_sells_after_the_migration(user, item):
    """While it drains, and after a rollback."""
    sale = Sale.objects.get(pk=sell_as_the_earlier_release(user, item))
    Item.objects.update(name="New name")
    assert (sale.number, sale.shop_name) == (1, "Aurum")
    assert str(sale.lines.get()) == "1 x RING-1 Gold ring"
