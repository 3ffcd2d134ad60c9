"""`manage seed_demo`: something to look at."""

from decimal import Decimal

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from typing_extensions import override

from apps.core.management.passwords import add_password_option, read_password
from apps.core.models import Tenant, User
from apps.inventory.models import Item
from apps.sales.services import sell

TENANTS = {
    "demo-aurum": "Aurum Fine Jewellery",
    "demo-luna": "Luna & Daughters",
    "demo-ruby": "Ruby Street Goldsmiths",
}
PIECES = ["Ring", "Necklace", "Bracelet", "Earrings", "Pendant"]
ALLOYS = [("GOLD", 14), ("GOLD", 18), ("SILVER", None), ("PLATINUM", None)]
SALES = 3


class Command(BaseCommand):
    """Prints a line `created …` for all that it makes, or `nothing to do`."""

    help = "Create demo tenants, each with a staff user, items and sales, where they are missing."

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        add_password_option(parser)

    @transaction.atomic
    @override
    def handle(self, **options) -> None:
        password = read_password(options)
        made = []
        for slug, company_name in TENANTS.items():
            made += seed_tenant(slug, company_name, password)
        for line in made:
            self.stdout.write(f"created {line}")
        if not made:
            self.stdout.write("nothing to do")


def seed_tenant(slug: str, company_name: str, password: str | None) -> list[str]:
    """Make what the tenant lacks. Returns a line for each thing made."""
    made = []
    tenant, created = Tenant.objects.get_or_create(
        slug=slug, defaults={"company_name": company_name}
    )
    if created:
        made.append(f"tenant {slug}")

    user = tenant.users.filter(username=slug).first()
    if user is None:
        user = User.objects.create_user(
            slug, f"{slug}@example.com", password, tenant=tenant, first_name="Demo"
        )
        made.append(f"user {slug}")

    items = [seed_item(tenant, number) for number in range(len(PIECES) * len(ALLOYS))]
    if new := sum(created for _, created in items):
        made.append(f"{new} items of {slug}")

    if not tenant.sales.exists():
        for number in range(SALES):
            # No address: nobody gets mail because of a demo.
            sell(user, {items[number][0].sku: 1, items[-1 - number][0].sku: 2})
        made.append(f"{SALES} sales of {slug}")
    return made


def seed_item(tenant: Tenant, number: int) -> tuple[Item, bool]:
    """The tenant's demo item of that number, and whether it is new."""
    piece = PIECES[number % len(PIECES)]
    metal, karat = ALLOYS[number % len(ALLOYS)]
    return Item.objects.get_or_create(
        tenant=tenant,
        sku=f"DEMO-{number + 1:03}",
        defaults={
            "name": f"{piece}, {f'{karat} k ' if karat else ''}{metal.lower()}",
            "metal": metal,
            "karat": karat,
            "weight_grams": Decimal("2.500") + number,
            "price": Decimal("89.00") + 50 * number,
            "stock": 5 + number,
            "low_stock_level": 5,
        },
    )
