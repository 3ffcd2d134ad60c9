"""Tokens of the API: what the database knows, and when they end."""

import importlib
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from apps.core.models import User
from apps.core.tasks import clean_tokens
from tests.conftest import api_of, make_tenant, make_user

ITEMS = "/api/v1/items/"
TOKEN = "/api/v1/token/"
PASSWORD = "correct horse"


def client_with(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


@pytest.fixture
def anna(tenant) -> User:
    return make_user(tenant, "anna", password=PASSWORD)


def log_in(user: User) -> dict:
    response = APIClient().post(TOKEN, {"username": user.username, "password": PASSWORD})
    assert response.status_code == 200, response.json()
    return response.json()


def test_the_database_knows_no_token(anna):
    answer = log_in(anna)
    assert answer.keys() == {"token", "expiry"}
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(row)::text FROM knox_authtoken AS row")
        ((row,),) = cursor.fetchall()
    assert answer["token"] not in row
    assert client_with(answer["token"]).get(ITEMS).status_code == 200


def test_use_renews_a_token_but_not_for_ever(anna):
    api = client_with(log_in(anna)["token"])
    now = timezone.now()
    AuthToken.objects.update(expiry=now + timedelta(hours=1))
    assert api.get(ITEMS).status_code == 200
    assert AuthToken.objects.get().expiry > now + timedelta(hours=11)
    AuthToken.objects.update(created=now - timedelta(days=30), expiry=now + timedelta(seconds=1))
    assert api.get(ITEMS).status_code == 200
    assert AuthToken.objects.get().expiry <= now + timedelta(seconds=1)
    AuthToken.objects.update(expiry=now - timedelta(seconds=1))
    assert api.get(ITEMS).status_code == 401


def changed_password(user: User, admin: Client) -> None:
    user.set_password("battery staple")
    user.save()


def changed_password_in_the_admin(user: User, admin: Client) -> None:
    form = {"password1": "battery staple 7", "password2": "battery staple 7"}
    path = f"/admin/core/user/{user.pk}/password/"
    assert admin.post(path, form | {"usable_password": "true"}).status_code == 302


def deactivated(user: User, admin: Client) -> None:
    user.is_active = False
    user.save(update_fields=["is_active"])


def moved(user: User, admin: Client) -> None:
    user = User.objects.get(pk=user.pk)
    user.tenant = make_tenant("luna")
    user.save()


@pytest.mark.parametrize(
    "change", [changed_password, changed_password_in_the_admin, deactivated, moved]
)
def test_tokens_end_with_what_they_were_given_for(anna, admin, change):
    token = log_in(anna)["token"]
    other = api_of(make_user(anna.tenant, "olga"))
    change(anna, admin)
    assert client_with(token).get(ITEMS).status_code == 401
    assert not anna.auth_token_set.exists()
    assert other.get(ITEMS).status_code == 200


def test_tokens_outlive_other_changes(anna, settings):
    token = log_in(anna)["token"]
    anna.first_name = "Anna"
    anna.save()
    hashers = [f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("MD5", "PBKDF2")]
    settings.PASSWORD_HASHERS = hashers  # at the login, the first one hashes the password again
    User.objects.update(password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    log_in(anna)
    assert User.objects.get().password.startswith("md5")
    assert client_with(token).get(ITEMS).status_code == 200


def test_logging_out_ends_one_token(anna):
    mine, other = log_in(anna)["token"], log_in(anna)["token"]
    assert client_with(mine).post("/api/v1/logout/").status_code == 204
    assert client_with(mine).get(ITEMS).status_code == 401
    assert client_with(other).get(ITEMS).status_code == 200
    assert APIClient().post("/api/v1/logout/").status_code == 401


@pytest.mark.parametrize("token", ["\0" * 40, "ä" * 40, "\xff", "a b", "x" * 4000, "%00"])
def test_an_invalid_token_gets_401(db, token):
    assert client_with(token).get(ITEMS).status_code == 401


@pytest.mark.parametrize(
    ("rights", "words"),
    [({}, "belongs to no tenant"), ({"is_staff": True}, "use /admin/")],
)
def test_a_user_without_a_tenant_is_refused_in_words(db, rights, words):
    nobody = make_user(None, "nobody", password=PASSWORD, **rights)
    refused = APIClient().post(TOKEN, {"username": "nobody", "password": PASSWORD})
    for response in (refused, api_of(nobody).get(ITEMS)):
        assert response.status_code == 403
        assert words in response.json()["detail"]


def test_the_admin_refuses_a_user_who_could_not_log_in(admin, tenant):
    form = {"username": "new", "password1": "battery staple 7", "password2": "battery staple 7"}
    form |= {"usable_password": "true"}
    page = admin.post("/admin/core/user/add/", form)
    assert "Choose a tenant" in page.content.decode()
    for name, right in (("shop", {"tenant": tenant.pk}), ("staff", {"is_staff": "on"})):
        new = form | right | {"username": name}
        assert admin.post("/admin/core/user/add/", new).status_code == 302


# -- From the release that kept tokens in clear

CLEAR = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def clear_token(anna) -> str:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE authtoken_token (key varchar(40), user_id bigint)")
        cursor.execute("INSERT INTO authtoken_token VALUES (%s, %s)", [CLEAR, anna.pk])
    return CLEAR


def test_tokens_in_clear_are_hashed_and_then_deleted(anna, clear_token):
    migration = importlib.import_module("apps.core.migrations.0003_hash_tokens").Migration
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(migration.operations[0].sql)
    assert client_with(clear_token).get(ITEMS).status_code == 200
    assert AuthToken.objects.get().expiry < timezone.now() + timedelta(hours=13)
    AuthToken.objects.create(anna, expiry=timedelta(seconds=-1))
    clean_tokens()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM authtoken_token")
        assert cursor.fetchone() == (0,)
    assert AuthToken.objects.count() == 1
    assert client_with(clear_token).get(ITEMS).status_code == 200
