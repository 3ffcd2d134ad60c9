"""The API: who may, whose data, pages, items."""

from datetime import UTC, datetime

import pytest
from rest_framework.test import APIClient

from apps.core.models import Tenant, User
from apps.inventory.models import Item, StockValuation
from apps.inventory.tasks import daily_stock_valuation
from apps.sales.models import Sale
from apps.sales.services import sell
from tests.conftest import api_of, make_item, make_tenant, make_user

ITEMS, SALES, VALUATIONS = (f"/api/v1/{part}/" for part in ("items", "sales", "valuations"))
RING = {
    "sku": "RING-9",
    "name": "Ring",
    "metal": "GOLD",
    "karat": 14,
    "weight_grams": "2.500",
    "price": "199.00",
    "stock": 3,
}


def skus(response) -> list[str]:
    return [item["sku"] for item in response.json()["results"]]


# -- Who may


@pytest.mark.parametrize("path", [ITEMS, "/api/v1/sales/"])
def test_strangers_get_401(db, path):
    assert APIClient().get(path).status_code == 401


def test_a_token_for_the_right_password(tenant):
    make_user(tenant, "anna", password="correct horse")
    client = APIClient()
    wrong = client.post("/api/v1/token/", {"username": "anna", "password": "battery staple"})
    right = client.post("/api/v1/token/", {"username": "anna", "password": "correct horse"})
    assert (wrong.status_code, right.status_code) == (400, 200)
    client.credentials(HTTP_AUTHORIZATION=f"Token {right.json()['token']}")
    assert client.get(ITEMS).status_code == 200


@pytest.mark.parametrize("status", [Tenant.Status.SUSPENDED, Tenant.Status.CLOSED])
def test_a_tenant_that_is_not_active_is_locked_out(tenant, status):
    api = api_of(make_user(tenant, "anna", password="correct horse"))
    Tenant.objects.update(status=status)
    for path in (ITEMS, "/api/v1/sales/"):
        assert api.get(path).status_code == 403
    credentials = {"username": "anna", "password": "correct horse"}
    assert APIClient().post("/api/v1/token/", credentials).status_code == 403


def test_platform_administrators_use_the_admin_not_the_api(db):
    assert api_of(User.objects.create_superuser("root")).get(ITEMS).status_code == 403


def test_guessing_passwords_is_slowed_down_by_address(db):
    guess = {"username": "anna", "password": "x"}
    mine = {"HTTP_X_FORWARDED_FOR": "6.6.6.6, 192.0.2.1"}  # the proxy adds the last one
    statuses = [APIClient().post("/api/v1/token/", guess, **mine).status_code for _ in range(11)]
    assert statuses == [400] * 10 + [429]
    lie = {"HTTP_X_FORWARDED_FOR": "7.7.7.7, 192.0.2.1"}
    assert APIClient().post("/api/v1/token/", guess, **lie).status_code == 429
    other = {"HTTP_X_FORWARDED_FOR": "192.0.2.2"}
    assert APIClient().post("/api/v1/token/", guess, **other).status_code == 400


# -- Items


@pytest.mark.django_db(transaction=True)  # the cache follows the commits
def test_items_are_created_read_changed_and_deleted(api, tenant):
    created = api.post(ITEMS, RING)
    assert created.status_code == 201, created.json()
    item = Item.objects.get()
    assert (item.tenant, item.sku) == (tenant, "RING-9")
    path = f"{ITEMS}{item.pk}/"
    assert api.patch(path, {"price": "149.00"}).json()["price"] == "149.00"
    assert api.get(path).json() == created.json() | {"price": "149.00"}
    assert api.delete(path).status_code == 204
    assert api.get(path).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"karat": None}, "karat"),
        ({"karat": 17}, "karat"),
        ({"metal": "SILVER"}, "karat"),
        ({"metal": "TIN"}, "not a valid choice"),
        ({"weight_grams": "0"}, "greater than or equal to 0.001"),
        ({"price": "-1"}, "greater than or equal to 0"),
        ({"stock": -1}, "greater than or equal to 0"),
        ({"stock": 2**31}, "less than or equal to"),
        ({"sku": "RING-1"}, "already an item with this SKU"),
        ({"sku": "two words"}, "Only letters"),
        ({"name": "a\0b"}, "Null characters"),
    ],
)
def test_wrong_items_get_400(api, item, wrong, complaint):
    response = api.post(ITEMS, RING | wrong)
    assert response.status_code == 400
    assert complaint in response.content.decode()
    assert Item.objects.count() == 1


def test_a_change_is_checked_with_what_stays(api, item):
    response = api.patch(f"{ITEMS}{item.pk}/", {"metal": "SILVER"})
    assert response.status_code == 400
    assert "karat" in response.content.decode()
    assert api.patch(f"{ITEMS}{item.pk}/", {"metal": "SILVER", "karat": None}).status_code == 200


def test_an_item_that_was_sold_cannot_be_deleted(api, user, item):
    sell(user, {item.sku: 1})
    assert api.delete(f"{ITEMS}{item.pk}/").status_code == 409
    assert Item.objects.exists()


def test_options_are_not_offered(api, item):
    assert api.options(f"{ITEMS}{item.pk}/").status_code == 405


def test_pages_have_a_limit_and_links(api, tenant):
    for number in range(60):
        make_item(tenant, f"RING-{number:02}")
    first = api.get(ITEMS).json()
    assert (first["count"], len(first["results"]), first["previous"]) == (60, 50, None)
    assert len(api.get(first["next"]).json()["results"]) == 10
    assert len(api.get(ITEMS, {"page_size": 7}).json()["results"]) == 7
    assert len(api.get(ITEMS, {"page_size": 9999}).json()["results"]) == 60
    assert api.get(ITEMS, {"page": 99}).status_code == 404


def test_search_and_order(api, tenant):
    make_item(tenant, "A", name="Ring", price=3)
    make_item(tenant, "B", name="Chain", price=1)
    make_item(tenant, "C", name="Ring", price=1)
    assert skus(api.get(ITEMS)) == ["A", "B", "C"]
    assert skus(api.get(ITEMS, {"search": "ring"})) == ["A", "C"]
    assert skus(api.get(ITEMS, {"ordering": "price"})) == ["B", "C", "A"]
    assert skus(api.get(ITEMS, {"ordering": "-sku"})) == ["C", "B", "A"]


def test_filters(api, tenant):
    make_item(tenant, "A", metal="SILVER", karat=None, price=10, stock=1, low_stock_level=1)
    make_item(tenant, "B", price=20, stock=2, low_stock_level=1)
    make_item(tenant, "C", price=30, stock=0)
    for query, found in (
        ({"metal": "GOLD"}, ["B", "C"]),
        ({"low_stock": "true"}, ["A", "C"]),
        ({"low_stock": "false"}, ["B"]),
        ({"price_min": "10.01", "price_max": "20"}, ["B"]),
        ({"metal": "GOLD", "low_stock": "true", "search": "ring"}, ["C"]),
    ):
        assert skus(api.get(ITEMS, query)) == found, query


def test_sales_of_some_days(api, user, item):
    days = {}
    for day in (1, 2, 3):
        sale = sell(user, {item.sku: 1})
        days[sale.pk] = day
        created = datetime(2026, 1, day, 23, 59, tzinfo=UTC)
        Sale.objects.filter(pk=sale.pk).update(created_at=created)

    def found(**query):
        return sorted(days[sale["id"]] for sale in api.get(SALES, query).json()["results"])

    assert found(created_from="2026-01-02") == [2, 3]
    assert found(created_to="2026-01-02") == [1, 2]
    assert found(created_from="2026-01-02", created_to="2026-01-02") == [2]
    for day in ("yesterday", "2026-02-30", "9999-12-31", "0001-01-01"):
        assert api.get(SALES, {"created_to": day}).status_code == 400


def test_what_the_stock_is_worth(api, other_api, tenant):
    make_item(tenant, "A", price=10, stock=2)
    make_item(tenant, "B", price="0.50", stock=1)
    now = {"items": 2, "pieces": 3, "value": "20.50"}
    daily_stock_valuation()
    StockValuation.objects.update(day="2026-01-02")
    daily_stock_valuation()
    (today, day) = api.get(VALUATIONS).json()["results"]
    assert today == api.get(f"{VALUATIONS}now/").json() == now | {"day": today["day"]}
    assert day == api.get(f"{VALUATIONS}2026-01-02/").json() == now | {"day": "2026-01-02"}
    before = api.get(VALUATIONS, {"day_to": "2026-01-31"}).json()
    assert before["results"] == [day]
    assert other_api.get(f"{VALUATIONS}now/").json()["value"] == "0.00"
    assert other_api.get(f"{VALUATIONS}2026-01-02/").json()["items"] == 0
    assert api.get(f"{VALUATIONS}2026-13-45/").status_code == 404


# -- Whose data


def test_another_tenants_item_does_not_exist(other_api, item):
    path = f"{ITEMS}{item.pk}/"
    assert other_api.get(path).status_code == 404
    assert other_api.put(path, RING).status_code == 404
    assert other_api.patch(path, {"price": "0"}).status_code == 404
    assert other_api.delete(path).status_code == 404
    assert skus(other_api.get(ITEMS)) == []
    item.refresh_from_db()
    assert item.price == 100


def test_the_tenant_of_an_item_cannot_be_chosen(other_api, item):
    other_api.post(ITEMS, RING | {"tenant": item.tenant_id, "tenant_id": item.tenant_id})
    assert item.tenant.items.count() == 1


def test_another_tenants_item_cannot_be_sold(other_api, item):
    response = other_api.post("/api/v1/sales/", {"lines": [{"sku": item.sku, "quantity": 1}]})
    assert response.status_code == 400
    assert item.sku in response.content.decode()
    item.refresh_from_db()
    assert item.stock == 5


def test_another_tenants_sale_does_not_exist(other_api, user, item):
    sale = sell(user, {item.sku: 1})
    assert other_api.get(f"/api/v1/sales/{sale.pk}/").status_code == 404
    assert other_api.get("/api/v1/sales/").json()["count"] == 0


def test_the_cache_does_not_mix_tenants(api, other_api, item):
    other = make_item(Tenant.objects.get(slug="luna"), "LUNA-1")
    for _ in range(2):
        assert skus(api.get(ITEMS)) == [item.sku]
        assert skus(other_api.get(ITEMS)) == [other.sku]
        assert other_api.get(f"{ITEMS}{item.pk}/").status_code == 404


def test_a_user_without_tenant_sees_nothing(db):
    make_item(make_tenant("aurum"))
    assert api_of(make_user(None, "nobody")).get(ITEMS).status_code == 403
