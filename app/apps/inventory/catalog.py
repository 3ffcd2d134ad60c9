"""The cache of catalogue reads.

Each tenant has a version, a random token in the cache that is part of the key of everything that
is cached for the tenant. A change of an item replaces the token, after its transaction: what was
cached under the old one is never read again and expires. A read that began before the change
stores its answer under the old token, where it harms nobody. Nor does the loss of the token.
"""

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any
from uuid import uuid4

from django.core.cache import cache
from django.db import transaction
from django.db.models.signals import post_delete, post_save

from apps.inventory.models import Item, items_changed

SECONDS = 300  # how old an answer can be at worst, should the cache miss a change


def cached(tenant_id: int, name: str, compute: Callable[[], Any]) -> Any:
    """The tenant's answer of that name, from the cache or computed.

    The answer must be JSON and not None. Without a cache, it is computed every time.
    """
    version_key = _version_key(tenant_id)
    # get_many, because django-prometheus counts every `get`: so the hit ratio is that of answers.
    version = cache.get_many([version_key]).get(version_key)
    if version is None:
        version = uuid4().hex
        cache.add(version_key, version, timeout=None)
    key = f"catalog:{tenant_id}:{version}:{sha256(name.encode()).hexdigest()}"
    answer = cache.get(key)
    if answer is None:
        answer = compute()
        cache.set(key, answer, timeout=SECONDS)
    return answer


def invalidate(tenant_id: int) -> None:
    """Forget all answers of the tenant."""
    cache.set(_version_key(tenant_id), uuid4().hex, timeout=None)


def connect() -> None:
    """Forget a tenant's answers whenever one of its items was saved or deleted."""
    for signal in (post_save, post_delete):
        signal.connect(_item_changed, sender=Item, dispatch_uid="catalog")
    items_changed.connect(_items_changed, dispatch_uid="catalog")


def _item_changed(instance: Item, **kwargs) -> None:
    _invalidate_after_commit(instance.tenant_id)


def _items_changed(tenant_ids: Iterable[int], **kwargs) -> None:
    for tenant_id in tenant_ids:
        _invalidate_after_commit(tenant_id)


def _invalidate_after_commit(tenant_id: int) -> None:
    transaction.on_commit(lambda: invalidate(tenant_id), robust=True)


def _version_key(tenant_id: int) -> str:
    return f"catalog-version:{tenant_id}"
