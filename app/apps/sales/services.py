"""Selling, and taking it back."""

from django.db import transaction
from django.utils import timezone

from apps.core.models import User
from apps.inventory.models import Item
from apps.sales.metrics import count_sale, count_void
from apps.sales.models import Sale, SaleLine, SaleVoid
from apps.sales.tasks import OVERDUE, send_receipt


class UnknownItems(Exception):
    """The tenant has no items with these SKUs."""

    def __init__(self, skus: list[str]) -> None:
        super().__init__(", ".join(skus))
        self.skus = skus


class VoidAlready(Exception):
    """The sale was voided before."""


class OutOfStock(Exception):
    """Less is in stock than wanted; `shortages` holds a dict (sku, wanted, available) for each."""

    def __init__(self, shortages: list[dict]) -> None:
        super().__init__(", ".join(shortage["sku"] for shortage in shortages))
        self.shortages = shortages


@transaction.atomic
def sell(sold_by: User, quantities: dict[str, int], customer_email: str = "") -> Sale:
    """Sell items of the user's tenant, so many pieces of each SKU, and lower its stock.

    All or nothing: raises UnknownItems or OutOfStock and has then written nothing. The receipt
    goes out after the commit; a broker that is down delays it and does not lose the sale.
    """
    tenant = sold_by.tenant
    if tenant is None:
        raise ValueError("A user without a tenant has nothing to sell.")
    # Everyone locks in the same order, so two sales never wait for each other.
    items = list(
        Item.objects.select_for_update().filter(tenant=tenant, sku__in=quantities).order_by("pk")
    )
    if unknown := sorted(quantities.keys() - {item.sku for item in items}):
        raise UnknownItems(unknown)
    if short := [item for item in items if item.stock < quantities[item.sku]]:
        raise OutOfStock(
            [
                {"sku": item.sku, "wanted": quantities[item.sku], "available": item.stock}
                for item in short
            ]
        )

    sale = Sale.objects.create(
        tenant=tenant,
        sold_by=sold_by,
        customer_email=customer_email,
        total=sum(item.price * quantities[item.sku] for item in items),
        receipt_due_at=timezone.now() + OVERDUE,
    )
    for item in items:
        quantity = quantities[item.sku]
        SaleLine.objects.create(sale=sale, item=item, quantity=quantity, unit_price=item.price)
        item.stock -= quantity
        item.save(update_fields=["stock"])

    transaction.on_commit(lambda: count_sale(tenant, sale.total), robust=True)
    if customer_email:
        # A lambda: Django asks a callback that failed for its __qualname__; a partial has none.
        transaction.on_commit(lambda: send_receipt.delay(sale.pk), robust=True)
    return sale


@transaction.atomic
def void(sale: Sale, voided_by: User, reason: str) -> SaleVoid:
    """Let the sale count no more: its pieces are in stock again, its receipt is not sent.

    Raises VoidAlready, or ValidationError if the stock has no room, and has then written nothing.
    """
    sale = Sale.objects.select_for_update().get(pk=sale.pk)
    if SaleVoid.objects.filter(sale=sale).exists():
        raise VoidAlready
    quantities = dict(sale.lines.values_list("item", "quantity"))
    # In the order in which sales lock them.
    items = list(Item.objects.select_for_update().filter(pk__in=quantities).order_by("pk"))
    sale_void = SaleVoid(sale=sale, voided_by=voided_by, reason=reason)
    sale_void.clean()
    for item in items:
        item.stock += quantities[item.pk]
        item.save(update_fields=["stock"])
    transaction.on_commit(lambda: count_void(sale.tenant, sale.total), robust=True)
    sale_void.save(force_insert=True)
    return sale_void
