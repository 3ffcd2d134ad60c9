"""Reads and checks the environment, the application's only configuration.

Every function returns a value that is right or raises ImproperlyConfigured, whose message names
the variable, what is wrong with it and an example. No message ever holds the value of a variable
that may carry a password.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import environ
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

DATABASE_EXAMPLE = "postgres://jewelry:PASSWORD@127.0.0.1:5432/jewelry"
EMAIL_EXAMPLE = "smtp+tls://USER:PASSWORD@mail.example.com:587"
PLACEHOLDER = re.compile(r"change.?me|placeholder|example|insecure|replace.?(me|this)", re.I)
HOST = re.compile(r"\.?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", re.I)


def wrong(name: str, problem: str, example: object) -> ImproperlyConfigured:
    """The error to raise for a variable that is missing or not usable."""
    return ImproperlyConfigured(f"{name} {problem}. Example: {name}={example}")


def text(name: str, default: str | None = None, *, example: str) -> str:
    """The variable without surrounding blanks; an empty one counts as missing."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise wrong(name, "is required and is not set", example)
    return default


def boolean(name: str, *, default: bool) -> bool:
    """True or False. A typing error is refused, not taken for False."""
    value = text(name, str(default), example="false").lower()
    if value in ("true", "yes", "on", "1"):
        return True
    if value in ("false", "no", "off", "0"):
        return False
    raise wrong(name, "is neither true nor false", "false")


def integer(name: str, *, default: int, minimum: int) -> int:
    """A whole number, not below `minimum`."""
    value = text(name, str(default), example=str(default))
    if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) < minimum:
        raise wrong(name, f"is not a whole number from {minimum} up", default)
    return int(value)


def choice(name: str, options: tuple[str, ...], *, default: str) -> str:
    """One of the options, whatever its case."""
    value = text(name, default, example=default).upper()
    if value not in options:
        raise wrong(name, f"is none of {', '.join(options)}", default)
    return value


def secret_key(name: str) -> str:
    """A secret of 50 characters or more that nobody copied from a manual."""
    example = "$(openssl rand -hex 32)"
    value = text(name, example=example)
    if len(value) < 50 or len(set(value)) < 10:
        raise wrong(name, "is too weak: 50 random characters or more are needed", example)
    if PLACEHOLDER.search(value):
        raise wrong(name, "looks like a placeholder: make a random one", example)
    return value


def hosts(name: str) -> list[str]:
    """Host names, separated by commas; a leading dot stands for all subdomains."""
    example = "shop.example.com,localhost"
    values = [host.strip() for host in text(name, example=example).split(",") if host.strip()]
    if not values or not all(HOST.fullmatch(host) for host in values):
        problem = "is not a list of plain host names (no scheme, no port, no *)"
        raise wrong(name, problem, example)
    return values


def origins(name: str, *, default: list[str]) -> list[str]:
    """Origins (scheme and host), separated by commas."""
    values = [origin.strip() for origin in text(name, ",".join(default), example="").split(",")]
    if not all(re.fullmatch(r"https?://[^/\s]+", origin) for origin in values):
        problem = "is not a list of origins (scheme and host, no path)"
        raise wrong(name, problem, "https://shop.example.com")
    return values


def database(name: str) -> dict:
    """Django's settings of the PostgreSQL database that the URL names."""
    value = text(name, example=DATABASE_EXAMPLE)
    try:
        url = urlsplit(value)
        config = environ.Env.db_url_config(value, engine="django_prometheus.db.backends.postgresql")
    except (ValueError, TypeError):  # their messages may quote a piece of the password
        problem = "is not a URL (special characters in the password must be %-encoded)"
        raise wrong(name, problem, DATABASE_EXAMPLE) from None
    if url.scheme not in ("postgres", "postgresql"):
        raise wrong(name, "does not begin with postgres://", DATABASE_EXAMPLE)
    if url.fragment or not (config["USER"] and config["NAME"] and config["HOST"]):
        problem = "does not name a user, a host and a database (%-encode special characters)"
        raise wrong(name, problem, DATABASE_EXAMPLE)
    config["HOST"] = unquote(config["HOST"])  # %2Frun%2Fpostgresql: a unix socket's directory
    return config


def redis_url(name: str, *, example: str) -> str:
    """The URL of a Redis database, as it stands."""
    value = text(name, example=example)
    try:
        url = urlsplit(value)
        usable = bool(url.hostname) and url.port != 0
    except ValueError:  # its message may quote a piece of the password
        raise wrong(
            name, "is not a URL (special characters in the password must be %-encoded)", example
        ) from None
    if url.scheme not in ("redis", "rediss"):
        raise wrong(name, "does not begin with redis:// or rediss://", example)
    if not usable or url.fragment or not re.fullmatch(r"/?|/[0-9]{1,2}", url.path):
        problem = "does not name a host and a database number (%-encode special characters)"
        raise wrong(name, problem, example)
    return value


@dataclass(frozen=True)
class Mail:
    """How mail is sent: the values of Django's settings EMAIL_…"""

    backend: str
    host: str
    port: int
    user: str
    password: str
    use_tls: bool
    use_ssl: bool
    file_path: str | None


def email(name: str, *, default: str) -> Mail:
    """The mail server that the URL names; Django's defaults for what it leaves open."""
    value = text(name, default, example=EMAIL_EXAMPLE)
    try:
        config = environ.Env.email_url_config(value)
    except (ValueError, TypeError):
        raise wrong(name, "is not a URL", EMAIL_EXAMPLE) from None
    except ImproperlyConfigured:
        schemes = ", ".join(f"{scheme}://" for scheme in environ.Env.EMAIL_SCHEMES)
        raise wrong(name, f"begins with none of {schemes}", EMAIL_EXAMPLE) from None
    if urlsplit(value).scheme.startswith("smtp") and not config["EMAIL_HOST"]:
        raise wrong(name, "does not name a mail server", EMAIL_EXAMPLE)
    return Mail(
        backend=config["EMAIL_BACKEND"],
        host=config["EMAIL_HOST"] or "localhost",
        port=config["EMAIL_PORT"] or 25,
        user=config["EMAIL_HOST_USER"] or "",
        password=config["EMAIL_HOST_PASSWORD"] or "",
        use_tls=bool(config.get("EMAIL_USE_TLS")),
        use_ssl=bool(config.get("EMAIL_USE_SSL")),
        file_path=config["EMAIL_FILE_PATH"] or None,
    )


def email_address(name: str, *, default: str) -> str:
    """A bare e-mail address, or `Name <address>`."""
    value = text(name, default, example="no-reply@example.com")
    address = re.fullmatch(r"(?:[^<>\r\n]+ )?<([^<>]+)>", value)
    try:
        validate_email(address[1] if address else value)
    except ValidationError:
        raise wrong(name, "is not an e-mail address", "no-reply@example.com") from None
    return value


def mail_domain(host: str) -> str:
    """What stands behind the @ in an address of this host: an IP address is put in brackets."""
    host = host.lstrip(".")
    return f"[{host}]" if re.fullmatch(r"[0-9.]+", host) else host


def time_zone(name: str, *, default: str) -> str:
    """The name of a time zone that this machine knows."""
    value = text(name, default, example="Europe/Berlin")
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        raise wrong(name, "is no time zone that this machine knows", "Europe/Berlin") from None
    return value


def absolute_path(name: str, *, default: str) -> Path:
    """An absolute path, which need not exist yet."""
    value = Path(text(name, default, example=default))
    if not value.is_absolute():
        raise wrong(name, "is not an absolute path", default)
    return value
