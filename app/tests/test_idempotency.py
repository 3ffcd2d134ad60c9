"""A till that got no answer sends its request again, with its key, and sells once."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient

from apps.core.models import User
from apps.inventory.models import Item
from apps.sales.models import IdempotencyKey, Sale
from apps.sales.services import sell
from apps.sales.tasks import clean_idempotency_keys
from tests.conftest import api_of, at_once, make_item, make_user

SALES = "/api/v1/sales/"


def order(quantity: int = 1) -> dict:
    return {"lines": [{"sku": "RING-1", "quantity": quantity}]}


def post(api: APIClient, key: str, body: dict | None = None, path: str = SALES):
    return api.post(path, body or order(), headers={"Idempotency-Key": key})


def test_the_same_request_is_carried_out_once(api, item):
    first, second = post(api, "k"), post(api, "k")
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert post(api, "l").json()["number"] == 2
    item.refresh_from_db()
    assert item.stock == 3


def test_another_request_with_the_key_is_refused(api, item):
    assert post(api, "k").status_code == 201
    assert post(api, "k", order(2)).status_code == 409
    assert Sale.objects.count() == 1


def test_a_key_is_the_tenants(api, other_api, item):
    luna = User.objects.get(username="lena").tenant
    make_item(luna)
    assert post(api, "k").status_code == 201
    assert post(other_api, "k").status_code == 201
    assert "Idempotent-Replayed" not in post(other_api, "l", order(2)).headers
    assert Sale.objects.filter(tenant=luna).count() == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "ä", "a\tb"])
def test_wrong_keys_get_400(api, item, key):
    answer = post(api, key)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.content.decode()
    assert not Sale.objects.exists()


def test_a_key_of_the_greatest_length(api, item):
    assert post(api, "x" * 255).status_code == 201


def test_after_a_refusal_the_request_may_be_sent_again(api, item):
    assert post(api, "k", order(6)).status_code == 409
    assert not IdempotencyKey.objects.exists()
    Item.objects.update(stock=6)
    assert post(api, "k", order(6)).status_code == 201
    assert post(api, "l", {"lines": []}).status_code == 400
    assert post(api, "l").json()["shortages"]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_sell_once(api, user, item):
    clients = [api_of(user) for _ in range(6)]
    answers = at_once(*[lambda client=client: post(client, "k") for client in clients])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    item.refresh_from_db()
    assert (Sale.objects.count(), item.stock) == (1, 4)


@pytest.mark.django_db(transaction=True)
def test_what_failed_left_nothing_behind(api, item):
    """The database refuses the answer at the end: then there is no sale either."""
    api.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE sales_idempotencykey ADD CONSTRAINT refuse CHECK (status IS NULL)"
        )
        try:
            assert post(api, "k").status_code >= 500
        finally:
            cursor.execute("ALTER TABLE sales_idempotencykey DROP CONSTRAINT refuse")
    item.refresh_from_db()
    assert (Sale.objects.count(), IdempotencyKey.objects.count(), item.stock) == (0, 0, 5)
    assert post(api, "k").json()["number"] == 1


def test_a_void_is_sent_again_too(api, user, item):
    path = f"{SALES}{sell(user, {item.sku: 1}).pk}/void/"
    first, second = (post(api, "k", {"reason": "typing error"}, path) for _ in range(2))
    assert (first.status_code, first.content) == (200, second.content)
    assert post(api, "k").status_code == 409  # the same key for a sale


def test_answers_are_kept_for_a_day(api, item):
    post(api, "old"), post(api, "new")
    now = timezone.now()
    for key, hours in (("old", 24.1), ("new", 23.9)):
        IdempotencyKey.objects.filter(key=key).update(created_at=now - timedelta(hours=hours))
    clean_idempotency_keys()
    assert IdempotencyKey.objects.get().key == "new"


def test_staff_of_a_shop_share_its_keys(api, item):
    colleague = api_of(make_user(item.tenant, "olga"))
    assert post(api, "k").content == post(colleague, "k").content
