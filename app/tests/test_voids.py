"""A sale that was a mistake: its pieces are in stock again, once, and everybody sees why."""

import pytest
from django.contrib.admin.models import LogEntry

from apps.inventory.models import MOST_PIECES, Item
from apps.sales import metrics
from apps.sales.models import Sale, SaleVoid
from apps.sales.services import VoidAlready, sell, void
from tests.conftest import at_once, make_item

SALES = "/api/v1/sales/"


@pytest.fixture
def sale(user, tenant) -> Sale:
    make_item(tenant, "A", stock=5)
    make_item(tenant, "B", stock=5)
    return sell(user, {"A": 2, "B": 1})


def stocks() -> dict[str, int]:
    return dict(Item.objects.values_list("sku", "stock"))


def test_the_api_voids_once(api, sale):
    path = f"{SALES}{sale.pk}/"
    before = api.get(path).json()
    answer = api.post(f"{path}void/", {"reason": "Wrong ring"})
    assert answer.status_code == 200
    after = answer.json()
    assert (after["void"]["reason"], after["void"]["voided_by"]) == ("Wrong ring", "anna")
    assert after | {"void": None} == before
    assert api.get(path).json() == api.get(SALES).json()["results"][0] == after
    assert stocks() == {"A": 5, "B": 5}
    assert api.post(f"{path}void/", {"reason": "Wrong ring"}).status_code == 409
    assert stocks() == {"A": 5, "B": 5}


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "x" * 201}])
def test_a_void_needs_a_reason(api, sale, body):
    assert api.post(f"{SALES}{sale.pk}/void/", body).status_code == 400
    assert stocks() == {"A": 3, "B": 4}


def test_another_tenants_sale_cannot_be_voided(other_api, sale):
    assert other_api.post(f"{SALES}{sale.pk}/void/", {"reason": "x"}).status_code == 404
    assert not SaleVoid.objects.exists()


def test_a_stock_without_room_is_named(api, admin, sale):
    Item.objects.filter(sku="A").update(stock=MOST_PIECES - 1)
    answer = api.post(f"{SALES}{sale.pk}/void/", {"reason": "x"})
    assert answer.status_code == 409
    assert f"The stock of A would be more than {MOST_PIECES} pieces" in answer.json()["detail"]
    page = admin.post("/admin/sales/salevoid/add/", {"sale": sale.pk, "reason": "x"})
    assert page.status_code == 200
    assert "The stock of A would be more than" in page.content.decode()
    assert stocks() == {"A": MOST_PIECES - 1, "B": 4}
    assert not SaleVoid.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_void_once(user, sale):
    results = at_once(*[lambda: void(sale, user, "twice")] * 4)
    assert sorted(type(result).__name__ for result in results) == ["SaleVoid"] + ["VoidAlready"] * 3
    assert stocks() == {"A": 5, "B": 5}


@pytest.mark.django_db(transaction=True)
def test_voids_and_sales_at_once_do_not_deadlock(user, sale):
    sales = [sell(user, {"A": 1}) for _ in range(3)]
    voids = [lambda sale=sale: void(sale, user, "back") for sale in (*sales, sale)]
    results = at_once(*voids, *[lambda: sell(user, {"B": 1, "A": 1})] * 4)
    made = [type(result).__name__ for result in results]
    assert set(made) <= {"SaleVoid", "Sale", "OutOfStock"}
    sold = made.count("Sale")
    assert stocks() == {"A": 5 - sold, "B": 5 - sold}


@pytest.mark.django_db(transaction=True)
def test_voids_are_counted(user, sale):
    def count() -> tuple[float, float]:
        found = (metrics.voided.labels("aurum"), metrics.voided_value.labels("aurum"))
        return tuple(counter._value.get() for counter in found)

    before = count()
    void(sale, user, "typing error")
    with pytest.raises(VoidAlready):
        void(sale, user, "typing error")
    assert count() == (before[0] + 1, before[1] + 300)


def test_the_admin_voids_with_a_reason(admin, sale):
    page = admin.get(f"/admin/sales/sale/{sale.pk}/change/").content.decode()
    form = f"/admin/sales/salevoid/add/?sale={sale.pk}"
    assert f'href="{form}"' in page
    assert f'value="{sale.pk}"' in admin.get(form).content.decode()
    body = {"sale": sale.pk, "reason": "Asked by phone"}
    assert admin.post(form, body | {"reason": ""}).status_code == 200
    assert admin.post(form, body).status_code == 302
    done = SaleVoid.objects.get()
    assert (done.voided_by.username, done.reason) == ("root", "Asked by phone")
    assert LogEntry.objects.get().user.username == "root"
    assert stocks() == {"A": 5, "B": 5}
    assert "already exists" in admin.post(form, body).content.decode()
    for page in ("sale/", "salevoid/", f"sale/{sale.pk}/change/", f"salevoid/{sale.pk}/change/"):
        assert "Asked by phone" in admin.get(f"/admin/sales/{page}").content.decode() or (
            page == "sale/"
        )
    assert admin.post(f"/admin/sales/salevoid/{sale.pk}/change/", body).status_code == 403
