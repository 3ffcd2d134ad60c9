"""What several tests need."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from celery.contrib.testing.worker import start_worker
from django.core.cache import cache
from django.db import connection
from django.test import Client
from knox.models import AuthToken
from kombu import pools
from rest_framework.test import APIClient

from apps.core.models import Tenant, User
from apps.inventory.models import Item
from apps.monitoring.exporter import queue_names
from config.celery import app as celery_app
from tests.services import free_port

# Pages need no manifest of the static files with these: nobody collected them.
PLAIN_STATIC_FILES = {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}


@pytest.fixture(autouse=True)
def clean(settings, redis_servers):
    """Each test begins with an empty cache and empty queues."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a quick one
    cache.clear()
    # No connection to the broker outlives its test: some of them break it.
    pools.reset()
    celery_app._pool = celery_app.amqp._producer_pool = None
    with celery_app.connection_for_write() as connection:
        for queue in queue_names():
            connection.default_channel.queue_purge(queue)


def make_tenant(slug: str, **fields) -> Tenant:
    return Tenant.objects.create(slug=slug, company_name=slug.title(), **fields)


def make_user(tenant: Tenant | None, username: str, **fields) -> User:
    return User.objects.create_user(username, f"{username}@shop.test", tenant=tenant, **fields)


def make_item(tenant: Tenant, sku: str = "RING-1", **fields) -> Item:
    values = {
        "name": "Gold ring",
        "metal": "GOLD",
        "karat": 18,
        "weight_grams": Decimal("3.5"),
        "price": Decimal("100.00"),
        "stock": 5,
    }
    return Item.objects.create(tenant=tenant, sku=sku, **(values | fields))


def api_of(user: User) -> APIClient:
    """A client with the user's token."""
    client = APIClient()
    _, token = AuthToken.objects.create(user)
    client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
    return client


def queued() -> int:
    """How many tasks wait in the broker."""
    with celery_app.connection_for_read() as broker:
        return broker.default_channel.queue_declare("celery", passive=False).message_count


def work_off() -> int:
    """Run what waits in the queue, in its order, until nothing does; how many tasks that were."""
    count = 0
    with celery_app.connection_for_read() as broker, broker.SimpleQueue("celery") as queue:
        while queued():
            message = queue.get()
            arguments, options, _ = message.payload
            celery_app.tasks[message.headers["task"]](*arguments, **options)
            message.ack()
            count += 1
    return count


@contextmanager
def worker() -> Iterator[None]:
    """A Celery worker in a thread, on the real broker."""
    with start_worker(celery_app, pool="solo", perform_ping_check=False, shutdown_timeout=20):
        yield


def at_once(*calls) -> list:
    """Run each call in a thread of its own; their results, or the errors they raised."""
    results = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def run(number, call):
        try:
            start.wait()
            results[number] = call()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [
        threading.Thread(target=run, args=(number, call)) for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.fixture
def dead_cache(monkeypatch):
    """Nobody listens where the application looks for its cache."""
    client = cache.client  # of this thread
    monkeypatch.setattr(client, "_server", [f"redis://127.0.0.1:{free_port()}/0"])
    monkeypatch.setattr(client, "_clients", [None])


@pytest.fixture
def tenant(db) -> Tenant:
    return make_tenant("aurum")


@pytest.fixture
def user(tenant) -> User:
    return make_user(tenant, "anna")


@pytest.fixture
def item(tenant) -> Item:
    return make_item(tenant)


@pytest.fixture
def api(user) -> APIClient:
    return api_of(user)


@pytest.fixture
def admin(db, settings) -> Client:
    """The browser of an administrator of the platform."""
    settings.STORAGES = settings.STORAGES | PLAIN_STATIC_FILES
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.fixture
def other_api(db) -> APIClient:
    """A client of another tenant's staff."""
    return api_of(make_user(make_tenant("luna"), "lena"))
