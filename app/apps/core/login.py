"""Checking passwords, wherever it is asked for: the API's tokens and the admin.

Who guesses is slowed down by address and, from all addresses together, by account. Addresses from
which a user has logged in are not held to the account's limit, so a stranger who uses it up locks
nobody out of where they work. And hashing, which takes a processor for a good part of a second,
is done by some threads at a time only: the others keep serving.
"""

import threading
from ipaddress import IPv6Address, ip_address, ip_network

from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest
from rest_framework.exceptions import APIException
from rest_framework.throttling import BaseThrottle

from apps.core.limits import Limit, Taken, remember, remembered
from apps.core.metrics import logins
from apps.core.models import User

ADDRESS = Limit("address", settings.LOGINS_PER_ADDRESS, 60)
ACCOUNT = Limit("account", settings.LOGINS_PER_ACCOUNT, 3600)
FAMILIAR = 30 * 86400  # seconds that the address of a login is remembered

_hashing = threading.BoundedSemaphore(settings.LOGINS_AT_ONCE)


class TooManyLogins(APIException):
    """429, and when to try again."""

    status_code = 429
    default_detail = "Too many logins. Try again later."
    default_code = "throttled"

    def __init__(self, taken: Taken) -> None:
        super().__init__()
        self.headers = taken.headers()


class Busy(APIException):
    """503: as many passwords are being checked as may be at once."""

    status_code = 503
    default_detail = "Too many are logging in at this moment. Try again in a second."
    default_code = "busy"
    headers = {"Retry-After": "1"}


class Backend(ModelBackend):
    """Django's, with limits; raises TooManyLogins or Busy."""

    def authenticate(self, request: HttpRequest | None, username=None, password=None, **kwargs):
        """Check a password. Without a request, nobody guesses: there are no limits."""
        if request is None or username is None or password is None:
            return super().authenticate(request, username, password, **kwargs)
        address, account = address_of(request), User.normalize_username(username)
        taken = ADDRESS.take(address)
        if not taken.allowed:
            logins.labels("address_limit").inc()
            raise TooManyLogins(taken)
        familiar = remembered("familiar", account, address)
        if not familiar:
            of_account = ACCOUNT.take(account)
            if not of_account.allowed:
                logins.labels("account_limit").inc()
                raise TooManyLogins(of_account)
        if not _hashing.acquire(blocking=False):
            logins.labels("busy").inc()
            ADDRESS.give_back(address)
            if not familiar:
                ACCOUNT.give_back(account)
            raise Busy
        try:
            user = super().authenticate(request, username, password, **kwargs)
        finally:
            _hashing.release()
        logins.labels("accepted" if user else "wrong").inc()
        if user:
            remember(FAMILIAR, "familiar", account, address)
            if not familiar:
                ACCOUNT.give_back(account)
        return user


def address_of(request: HttpRequest) -> str:
    """The client's IPv4 address or IPv6 /64: a client usually has a whole /64 to itself."""
    text = BaseThrottle().get_ident(request) or ""  # type: ignore[arg-type]  # it reads META alone
    try:
        address = ip_address(text)
    except ValueError:  # there is no proxy, and a unix socket has no address
        return text
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return text
