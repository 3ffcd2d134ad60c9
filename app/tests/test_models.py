"""The database itself keeps the rules."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import F

from apps.core.models import User
from apps.inventory.models import Item, StockValuation
from tests.conftest import make_item, make_tenant, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("item_gold_has_karat", {"karat": None}),
        ("item_gold_has_karat", {"karat": 17}),
        ("item_gold_has_karat", {"metal": "SILVER", "karat": 18}),
        ("item_weight_positive", {"weight_grams": 0}),
        ("item_price_not_negative", {"price": Decimal("-0.01")}),
        ("item_stock_not_negative", {"stock": -1}),
    ],
)
def test_items_that_cannot_be(tenant, constraint, fields):
    with pytest.raises(IntegrityError, match=constraint):
        make_item(tenant, **fields)


def test_forms_get_the_same_rules_as_messages(tenant):
    item = Item(tenant=tenant, sku="A B", name="x", metal="GOLD", weight_grams=0, price=-1)
    with pytest.raises(ValidationError) as caught:
        item.full_clean()
    assert caught.value.message_dict.keys() == {"sku", "weight_grams", "price", "__all__"}
    assert "Gold, and only gold, has a karat" in str(caught.value)


def test_stock_cannot_be_updated_below_zero(item):
    with pytest.raises(IntegrityError, match="item_stock_not_negative"):
        Item.objects.update(stock=F("stock") - 6)


def test_a_sku_is_unique_in_its_tenant_only(item):
    make_item(make_tenant("luna"), item.sku)
    with pytest.raises(IntegrityError, match="item_sku_unique_in_tenant"):
        make_item(item.tenant, item.sku)


def test_one_valuation_per_day(tenant):
    row = {"tenant": tenant, "day": date(2025, 1, 1), "items": 1, "pieces": 1, "value": 1}
    StockValuation.objects.create(**row)
    with pytest.raises(IntegrityError, match="valuation_unique_per_day"):
        StockValuation.objects.create(**row)


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
def test_staff_of_a_tenant_never_get_into_the_admin(tenant, right):
    with pytest.raises(IntegrityError, match="user_of_tenant_has_no_platform_rights"):
        make_user(tenant, "anna", **{right: True})


def test_platform_administrators_have_no_tenant(db):
    assert User.objects.create_superuser("root").tenant is None
