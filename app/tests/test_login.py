"""Guessing passwords is slowed down, with and without the cache, and locks nobody out."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from apps.core import login
from apps.core.limits import Limit
from apps.core.models import RateLimit, User
from apps.core.tasks import clean_logins
from tests.conftest import PLAIN_STATIC_FILES, at_once, make_user
from tests.scraping import rises

TOKEN = "/api/v1/token/"
PASSWORD, WRONG = "correct horse", "battery staple"


@pytest.fixture
def anna(tenant) -> User:
    return make_user(tenant, "anna", password=PASSWORD)


def attempt(address: str, password: str = WRONG):
    """An attempt to log in to the API from there."""
    client = APIClient(raise_request_exception=False)
    credentials = {"username": "anna", "password": password}
    return client.post(TOKEN, credentials, HTTP_X_FORWARDED_FOR=address)


def test_the_answer_says_when_to_try_again(anna):
    statuses = [attempt("192.0.2.1").status_code for _ in range(10)]
    assert statuses == [400] * 10
    refused = attempt("192.0.2.1", PASSWORD)
    assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    assert refused["RateLimit-Limit"] == "10"
    assert refused["RateLimit-Remaining"] == "0"
    assert 1 <= int(refused["Retry-After"]) <= 6
    assert refused["Retry-After"] == refused["RateLimit-Reset"]


def test_an_address_may_try_again_after_a_while(db):
    limit = Limit("test", 10, 60)
    assert [limit.take("a").remaining for _ in range(10)] == list(range(9, -1, -1))
    assert not limit.take("a").allowed
    assert limit.take("b").allowed
    RateLimit.objects.update(until=timezone.now() + timedelta(seconds=53))
    assert limit.take("a").allowed
    assert not limit.take("a").allowed


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("cache", ["alive", "dead"])
def test_of_many_at_once_no_more_are_tried_than_may(anna, request, cache):
    if cache == "dead":
        request.getfixturevalue("dead_cache")
    tried = []
    check = login.ModelBackend.authenticate
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(login, "_hashing", threading.BoundedSemaphore(100))
        patch.setattr(
            login.ModelBackend,
            "authenticate",
            lambda *args, **kwargs: tried.append(1) or check(*args, **kwargs),
        )
        answers = at_once(*[lambda: attempt("192.0.2.1").status_code] * 40)
    assert sorted(answers) == [400] * 10 + [429] * 30
    assert len(tried) == 10


@pytest.mark.parametrize("door", ["api", "admin"])
def test_an_account_is_guessed_at_from_many_addresses_and_its_owner_still_comes_in(
    anna, settings, door
):
    def enter(address, password):
        if door == "api":
            return attempt(address, password)
        form = {"username": "anna", "password": password}
        return Client().post("/admin/login/", form, HTTP_X_FORWARDED_FOR=address)

    settings.STORAGES = settings.STORAGES | PLAIN_STATIC_FILES
    if door == "admin":
        User.objects.update(tenant=None, is_staff=True)
    came_in = 200 if door == "api" else 302
    assert enter("198.51.100.1", PASSWORD).status_code == came_in
    statuses = [enter(f"192.0.2.{number}", WRONG).status_code for number in range(35)]
    assert (statuses[:30].count(429), statuses[30:]) == (0, [429] * 5)
    refused = enter("192.0.2.99", PASSWORD)
    assert refused.status_code == 429
    assert "Retry-After" in refused
    assert enter("198.51.100.1", PASSWORD).status_code == came_in  # whose address is known
    RateLimit.objects.update(until=F("until") - timedelta(minutes=2))
    assert enter("192.0.2.99", PASSWORD).status_code == came_in  # and the others soon


def test_right_passwords_use_up_no_account(anna):
    for number in range(40):
        assert attempt(f"192.0.2.{number}", PASSWORD).status_code == 200


def test_a_network_of_ipv6_is_one_address(anna):
    statuses = [attempt(f"2001:db8::{number:x}").status_code for number in range(11)]
    assert statuses == [400] * 10 + [429]
    assert attempt("2001:db8:0:1::1").status_code == 400


def test_only_so_many_passwords_are_checked_at_once(anna, client):
    for _ in range(2):
        assert login._hashing.acquire(blocking=False)
    try:
        with rises(client, 1, "jewelry_logins_total", result="busy"):
            refused = attempt("192.0.2.1", PASSWORD)
        assert (refused.status_code, refused["Retry-After"]) == (503, "1")
    finally:
        login._hashing.release()
        login._hashing.release()
    statuses = [attempt("192.0.2.1").status_code for _ in range(11)]
    assert statuses == [400] * 10 + [429]  # what was refused took nothing


@pytest.mark.parametrize("result", ["accepted", "wrong", "address_limit", "account_limit"])
def test_logins_are_counted_by_what_became_of_them(anna, client, result):
    limit = {"address_limit": login.ADDRESS, "account_limit": login.ACCOUNT}.get(result)
    who = "anna" if result == "account_limit" else "192.0.2.1"
    while limit and limit.take(who).allowed:
        pass
    with rises(client, 1, "jewelry_logins_total", result=result):
        attempt("192.0.2.1", PASSWORD if result == "accepted" else WRONG)


def test_what_has_passed_is_deleted(anna, client):
    attempt("192.0.2.1")
    client.force_login(anna)
    clean_logins()
    assert RateLimit.objects.count() == 2
    with connection.cursor() as cursor:
        cursor.execute("UPDATE core_ratelimit SET until = now() - interval '1 second'")
        cursor.execute("UPDATE django_session SET expire_date = now() - interval '1 second'")
    clean_logins()
    assert not RateLimit.objects.exists()
    assert not client.session.exists(client.session.session_key)
