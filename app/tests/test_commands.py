"""Management commands: what they make, and that a second run makes nothing."""

import io

import pytest
from django.core.management import CommandError, call_command

from apps.core.models import Tenant, User
from apps.inventory.models import Item
from apps.sales.models import Sale

pytestmark = pytest.mark.django_db


def manage(monkeypatch, *command: str, password: str | None = None) -> str:
    """What the command prints."""
    if password is not None:
        command = (*command, "--password-stdin")
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
    out = io.StringIO()
    call_command(*command, stdout=out)
    return out.getvalue()


def test_seed_demo_twice(monkeypatch):
    first = manage(monkeypatch, "seed_demo", password="correct horse")
    assert first.startswith("created tenant demo-aurum\n")
    assert (Tenant.objects.count(), Item.objects.count(), Sale.objects.count()) == (3, 60, 9)
    users = User.objects.exclude(tenant=None)
    assert all(user.check_password("correct horse") for user in users)
    assert {user.username for user in users} == {"demo-aurum", "demo-luna", "demo-ruby"}

    stocks = list(Item.objects.values_list("pk", "stock"))
    assert manage(monkeypatch, "seed_demo", password="battery staple") == "nothing to do\n"
    assert list(Item.objects.values_list("pk", "stock")) == stocks
    assert User.objects.get(username="demo-luna").check_password("correct horse")


def test_seed_demo_makes_what_is_missing(monkeypatch):
    manage(monkeypatch, "seed_demo")
    assert not User.objects.get(username="demo-ruby").has_usable_password()
    Item.objects.filter(tenant__slug="demo-ruby", sale_lines=None).first().delete()
    assert manage(monkeypatch, "seed_demo") == "created 1 items of demo-ruby\n"


def test_ensure_admin_twice(monkeypatch):
    command = ("ensure_admin", "--username", "root", "--email", "root@shop.test")
    assert manage(monkeypatch, *command, password="correct horse") == "created root\n"
    admin = User.objects.get()
    assert admin.is_superuser
    assert (admin.email, admin.tenant) == ("root@shop.test", None)
    assert manage(monkeypatch, *command, password="battery staple") == "exists root\n"
    admin.refresh_from_db()
    assert admin.check_password("correct horse")


@pytest.mark.parametrize("password", ["", "short", "12345678901"])
def test_weak_passwords_are_refused(monkeypatch, password):
    with pytest.raises(CommandError, match="the password is refused"):
        manage(monkeypatch, "ensure_admin", password=password)
    assert not User.objects.exists()
