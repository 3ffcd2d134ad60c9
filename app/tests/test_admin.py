"""The admin with much data, and with what a strange address asks of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib import admin as django_admin
from django.contrib.admin import ShowFacets
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.models import Tenant
from apps.core.site import Bounded
from apps.inventory.models import Item
from apps.sales.models import Sale, SaleLine
from apps.sales.services import sell
from tests.conftest import make_item, make_tenant, make_user

LISTS = [
    "core/tenant",
    "core/user",
    "inventory/item",
    "inventory/stockvaluation",
    "sales/sale",
    "sales/salevoid",
]
SHOPS, ROWS = 1700, 2000


@pytest.fixture
def much(db) -> Tenant:
    """More shops than PostgreSQL has columns, and one of them with many items and sales."""
    Tenant.objects.bulk_create(
        Tenant(slug=f"shop-{number}", company_name=f"Shop {number}") for number in range(SHOPS)
    )
    shop = Tenant.objects.first()
    seller = make_user(shop, "seller")
    made = {"metal": "SILVER", "weight_grams": 1, "price": 1}
    Item.objects.bulk_create(
        Item(tenant=shop, sku=f"S-{number}", name=f"Ring {number}", **made)
        for number in range(ROWS)
    )
    Sale.objects.bulk_create(Sale(tenant=shop, sold_by=seller, total=1) for _ in range(ROWS))
    return shop


def test_no_page_loads_every_row(admin, much):
    for path in LISTS:
        with CaptureQueriesContext(connection) as queries:
            for query in ("", "?_facets=True", "?q=shop-7", f"?q={'a+' * 1500}"):
                response = admin.get(f"/admin/{path}/{query}")
                assert response.status_code == 200, path
                assert len(response.content) < 300_000
        assert len(queries) < 60, path


def test_too_many_words_are_refused_in_words(admin, item):
    page = admin.get(f"/admin/inventory/item/?q={'a+' * 1500}").content.decode()
    assert "At most 10 words" in page
    assert item.sku not in page
    assert item.sku in admin.get("/admin/inventory/item/?q=aurum+ring").content.decode()


@pytest.mark.parametrize("kind", ["core/tenant", "core/user", "inventory/item"])
def test_what_others_need_is_not_deleted_and_not_counted(admin, much, kind):
    row = {
        "core/tenant": lambda: much,
        "core/user": lambda: much.users.get(),
        "inventory/item": lambda: _popular(much),
    }[kind]()
    with CaptureQueriesContext(connection) as queries:
        for ask in (admin.get, admin.post):
            response = ask(f"/admin/{kind}/{row.pk}/delete/")
            assert response.url == f"/admin/{kind}/{row.pk}/change/"
    assert len(queries) < 30
    assert "cannot be deleted" in admin.get(response.url).content.decode()
    row.refresh_from_db()


def _popular(shop: Tenant) -> Item:
    """An item that stands in every sale."""
    item = shop.items.first()
    SaleLine.objects.bulk_create(
        SaleLine(sale=sale, item=item, quantity=1, unit_price=1) for sale in shop.sales.all()
    )
    return item


def test_what_nobody_needs_can_be_deleted(admin, db):
    empty = make_tenant("mistake")
    assert admin.post(f"/admin/core/tenant/{empty.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Tenant.objects.exists()


def test_a_sale_of_many_lines_takes_as_many_queries_as_one_of_few(admin, api, tenant, user):
    skus = [make_item(tenant, f"S-{number}").sku for number in range(100)]

    def queries(sale: Sale) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert admin.get(f"/admin/sales/sale/{sale.pk}/change/").status_code == 200
        return len(captured)

    few, many = sell(user, dict.fromkeys(skus[:2], 1)), sell(user, dict.fromkeys(skus, 1))
    queries(few)
    assert queries(many) == queries(few) < 15
    with CaptureQueriesContext(connection) as captured:
        assert api.get("/api/v1/sales/").json()["count"] == 2
    assert len(captured) < 8


@pytest.mark.django_db(transaction=True)  # a failed statement ends no transaction of the test
@pytest.mark.parametrize(
    "address",
    [
        "inventory/item/?metal__exact=%00",
        "core/tenant/?status__exact=%00",
        "autocomplete/?app_label=inventory&model_name=item&field_name=tenant&term=%00",
        "sales/sale/?created_at__year=9999",
        "sales/sale/?created_at__year=0",
        "sales/sale/?created_at__year=99999999999999999999",
        "sales/sale/?created_at__gte=9999-12-31",
        "inventory/item/?price__gt=1e999999",
        "inventory/item/?stock__gt=99999999999999999999",
        "inventory/item/?id__in=" + "1," * 5000,
        "inventory/item/?o=1.1.1.1.1.1&p=99999",
        "inventory/stockvaluation/?day__year=9999&day__month=13",
        "inventory/item/%00/change/",
        "inventory/item/99999999999999999999/change/",
        "inventory/item/abc/delete/",
    ],
)
def test_strange_addresses_fail_nothing(admin, item, user, address):
    sell(user, {item.sku: 1})
    admin.raise_request_exception = False
    response = admin.get(f"/admin/{address}", follow=True)
    assert response.status_code < 500, response.content


def test_every_page_of_the_admin_is_bounded(db):
    for model, registered in django_admin.site._registry.items():
        assert isinstance(registered, Bounded), model
        assert registered.show_facets is ShowFacets.NEVER
        choices = [
            name for name in registered.list_filter if model._meta.get_field(name).is_relation
        ]
        assert choices == [], model


@pytest.mark.parametrize(("module", "limit"), [("config.wsgi", "7s"), ("config.celery", "0")])
def test_only_web_processes_have_a_limit_of_time_for_a_statement(module, limit):
    show = f"import {module}, django; django.setup(); from django.db import connection as c;"
    show += "c.settings_dict['NAME'] = 'postgres'; k = c.cursor();"
    show += "k.execute('SHOW statement_timeout'); print(k.fetchone()[0])"
    result = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | {"WEB_STATEMENT_TIMEOUT": "7"},
        cwd=Path(__file__).parents[1],
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.stdout.strip() == limit, result.stderr
