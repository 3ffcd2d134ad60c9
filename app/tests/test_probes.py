"""The front page, the probes, the admin, and what everybody gets."""

import re
import time
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core.models import Readiness, User
from apps.monitoring import schema
from tests.conftest import make_item
from tests.services import free_port


@pytest.fixture(scope="session")
def static_files(tmp_path_factory):
    """What a deployment does: pages need the manifest of their static files."""
    return tmp_path_factory.mktemp("static")


@pytest.fixture
def collected(static_files, settings):
    settings.STATIC_ROOT = static_files
    if not (static_files / "staticfiles.json").exists():
        call_command("collectstatic", interactive=False, verbosity=0)


def test_a_stranger_sees_the_front_page(client):  # without the database
    response = client.get("/")
    page = response.content.decode()
    assert response.status_code == 200
    assert "Jewelry SaaS Platform" in page
    assert response.headers["X-Frame-Options"] == "DENY"
    assert re.findall(r'<a href="(.+?)">', page) == ["/api/v1/docs/", "/api/v1/schema/", "/admin/"]
    assert not re.search(r'(src|href)="(https?:)?//|url\(|<script|<link rel="stylesheet', page)


def test_a_program_gets_the_front_page_as_json(client):
    response = client.get("/", headers={"Accept": "application/json"})
    assert response.json()["docs"] == "/api/v1/docs/"
    assert client.get("/", headers={"Accept": "*/*"})["Content-Type"].startswith("text/html")
    assert "Accept" in response["Vary"]


def test_healthz_touches_nothing(client):  # and may not: there is no `db` here
    response = client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_readyz_when_all_is_well(client, db):
    response = client.get("/readyz")
    checks = dict.fromkeys(("cache", "database", "migrations", "writes"), "ok")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "checks": checks})
    assert "no-store" in response.headers["Cache-Control"]


def failed(client) -> set[str]:
    """The checks that /readyz says failed."""
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["status"] == "failed"
    return {name for name, result in response.json()["checks"].items() if result != "ok"}


def test_readyz_without_redis(client, db, dead_cache):
    assert failed(client) == {"cache"}


def test_readyz_with_a_redis_that_hangs(client, db, stuck):
    with stuck("cache"):
        began = time.monotonic()
        assert failed(client) == {"cache"}
        assert time.monotonic() - began < 1


@pytest.mark.django_db(transaction=True)
def test_readyz_without_the_database(client, monkeypatch):
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", free_port())
    try:
        assert failed(client) == {"database"}
    finally:
        connection.close()


def test_readyz_with_a_migration_to_do(client, db, monkeypatch, caplog):
    known = schema.known_migrations() | {"sales.9999_new"}
    monkeypatch.setattr(schema, "known_migrations", lambda: known)
    assert failed(client) == {"migrations"}
    assert "sales.9999_new" in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        "SET LOCAL temp_file_limit = 0",  # as on a disk without room
        "SET LOCAL transaction_read_only = on",  # as on a replica
    ],
)
def test_readyz_with_a_database_that_takes_nothing(client, db, broken):
    with connection.cursor() as cursor:
        cursor.execute(broken)
    assert failed(client) == {"writes"}


def test_readyz_writes_once_a_second_and_leaves_one_row(client, db):
    for _ in range(3):
        assert client.get("/readyz").status_code == 200
    written = Readiness.objects.get().written
    client.get("/readyz")
    assert Readiness.objects.get().written == written
    Readiness.objects.update(written=written - timedelta(seconds=1))
    client.get("/readyz")
    assert Readiness.objects.get().written > written


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz"])
def test_probes_are_read_only(client, path):
    assert client.post(path).status_code == 405


def test_invented_methods_are_refused(client):
    assert client.generic("BREW", "/").status_code == 405


def test_only_our_host_names(client):
    assert client.get("/", HTTP_HOST="evil.example").status_code == 400


def test_models_and_migrations_agree(db):
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.usefixtures("collected")
def test_every_admin_page_opens_for_a_platform_administrator(client, tenant):
    login = client.get("/admin/login/")
    assert login.status_code == 200
    item = make_item(tenant)
    client.force_login(User.objects.create_superuser("root"))
    for path in ("core/tenant", "core/user", "inventory/item", "inventory/stockvaluation"):
        assert client.get(f"/admin/{path}/").status_code == 200, path
    for path in ("core/tenant/add", "core/user/add", f"inventory/item/{item.pk}/change"):
        assert client.get(f"/admin/{path}/").status_code == 200, path
    assert client.get("/admin/sales/sale/").status_code == 200
    assert client.get("/admin/sales/sale/add/").status_code == 403


def test_staff_of_a_tenant_get_no_admin(client, user):
    client.force_login(user)
    assert client.get("/admin/").status_code == 302


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("collected")
def test_the_admin_writes_only_what_was_changed(client, item):
    client.force_login(User.objects.create_superuser("root"))
    path = f"/admin/inventory/item/{item.pk}/change/"
    form = client.get(path).context["adminform"].form
    data = {name: form[name].value() for name in form.fields} | {"price": "7.00"}
    with CaptureQueriesContext(connection) as queries:
        assert client.post(path, data).status_code == 302
    (update,) = [sql for query in queries if 'UPDATE "inventory_item"' in (sql := query["sql"])]
    assert '"price" = ' in update
    assert '"stock" = ' not in update
