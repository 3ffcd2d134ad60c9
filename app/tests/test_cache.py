"""Catalogue reads come from the cache, are never old, and do without it."""

import time

import pytest
from django.core.cache import cache
from django.db import transaction

from apps.core.models import Tenant
from apps.inventory.catalog import cached
from apps.inventory.models import Item
from apps.sales.services import sell, void
from tests.conftest import api_of, make_item, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)  # the cache follows the commits

ITEMS = "/api/v1/items/"


def stock(api) -> int:
    return api.get(ITEMS).json()["results"][0]["stock"]


def test_the_second_read_does_not_ask_for_items(api, item, django_assert_num_queries):
    for path in (ITEMS, f"{ITEMS}{item.pk}/"):
        first = api.get(path)
        with django_assert_num_queries(2):  # the token's user, the user's tenant
            second = api.get(path)
        assert (first.status_code, second.status_code) == (200, 200)
        assert first.json() == second.json()


def set_stock(item: Item, stock: int) -> Item:
    item.stock = stock
    return item


@pytest.mark.parametrize(
    "change",
    [
        lambda api, user, item: api.patch(f"{ITEMS}{item.pk}/", {"stock": 4}),
        lambda api, user, item: sell(user, {item.sku: 1}),
        lambda api, user, item: Item.objects.update(stock=4),
        lambda api, user, item: Item.objects.bulk_update([set_stock(item, 4)], ["stock"]),
    ],
)
def test_a_change_is_seen_at_once(api, user, item, change):
    assert (stock(api), stock(api)) == (5, 5)
    change(api, user, item)
    assert stock(api) == 4
    assert api.get(f"{ITEMS}{item.pk}/").json()["stock"] == 4


def test_new_and_deleted_items_are_seen_at_once(api, item):
    assert api.get(ITEMS).json()["count"] == 1
    new = make_item(item.tenant, "RING-2")
    assert api.get(ITEMS).json()["count"] == 2
    new.delete()
    assert api.get(ITEMS).json()["count"] == 1


def test_many_new_and_deleted_items_are_seen_at_once(api, item):
    assert api.get(ITEMS).json()["count"] == 1
    Item.objects.bulk_create(
        [Item(tenant=item.tenant, sku="B", metal="SILVER", weight_grams=1, price=1)]
    )
    assert api.get(ITEMS).json()["count"] == 2
    Item.objects.all().delete()
    assert api.get(ITEMS).json()["count"] == 0


def test_an_item_that_was_voided_back_is_seen_at_once(api, user, item):
    sale = sell(user, {item.sku: 2})
    assert stock(api) == 3
    void(sale, user, "typing error")
    assert stock(api) == 5


def test_an_item_stays_its_tenants(api, item, admin):
    """Otherwise the old shop would still read it from the cache, and void it into the new one."""
    luna = make_tenant("luna")
    form = {"tenant": luna.pk, "sku": item.sku, "name": "New", "metal": "GOLD", "karat": 18}
    form |= {"weight_grams": "3.5", "price": "100", "stock": 5, "low_stock_level": 0}
    assert admin.post(f"/admin/inventory/item/{item.pk}/change/", form).status_code == 302
    stored = Item.objects.get()
    assert (stored.name, stored.tenant) == ("New", item.tenant)
    stored.tenant = luna
    for move in (stored.save, lambda: Item.objects.update(tenant=luna)):
        with pytest.raises(ValueError, match="cannot be moved"):
            move()
    assert Item.objects.get().tenant == item.tenant


def test_a_user_who_changes_shops_reads_the_new_ones_items(api, user, item):
    assert stock(api) == 5
    luna = make_tenant("luna")
    make_item(luna, item.sku, stock=2)
    user.tenant = luna
    user.save()
    assert api.get(ITEMS).status_code == 401  # the token ended
    assert stock(api_of(user)) == 2
    Tenant.objects.update(status=Tenant.Status.SUSPENDED)
    assert api_of(user).get(ITEMS).status_code == 403


def test_nothing_is_forgotten_before_the_commit(api, item):
    stock(api)
    with pytest.raises(RuntimeError), transaction.atomic():
        item.stock = 1
        item.save()
        assert cached(item.tenant_id, f"http://testserver{ITEMS}", dict)["count"] == 1
        raise RuntimeError
    assert stock(api) == 5


def test_a_read_that_began_before_a_change_harms_nobody(tenant, item):
    def slow_read():
        item.save()  # a change, while the read is on its way
        return "old"

    assert cached(tenant.pk, "name", slow_read) == "old"
    assert cached(tenant.pk, "name", lambda: "new") == "new"


def test_losing_the_version_harms_nobody(tenant):
    cached(tenant.pk, "name", lambda: "old")
    cache.delete(f"catalog-version:{tenant.pk}")
    assert cached(tenant.pk, "name", lambda: "new") == "new"


def test_without_the_cache_everything_works(api, item, dead_cache, caplog):
    assert stock(api) == 5
    assert api.patch(f"{ITEMS}{item.pk}/", {"stock": 4}).status_code == 200
    assert stock(api) == 4
    assert api.post("/api/v1/token/", {"username": "x", "password": "y"}).status_code == 400
    records = [record for record in caplog.records if record.name == "jewelry.cache"]
    assert "Connection refused" in records[0].getMessage()
    assert not any(record.exc_info for record in records)


def test_a_cache_that_hangs_holds_nobody_up_for_long(api, item, stuck):
    with stuck("cache"):
        began = time.monotonic()
        assert stock(api) == 5
        assert time.monotonic() - began < 2
