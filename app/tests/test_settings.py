"""What is wrong with the environment is said at start, in words, without secrets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import env
from tests.services import environment

APP = Path(__file__).parent.parent
SECRET = "s3cr3t-p4ss"


def run(*command: str, **variables: str | None) -> subprocess.CompletedProcess:
    """The command, with the tests' environment and these variables; None removes one."""
    merged = {"PATH": os.environ["PATH"], "PYTHONPATH": str(APP)} | environment() | variables
    present = {name: value for name, value in merged.items() if value is not None}
    return subprocess.run(
        [sys.executable, *command], cwd=APP, env=present, capture_output=True, text=True
    )


def test_production_settings_pass_the_deployment_check():
    result = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr
    assert "no issues" in result.stdout


def test_gunicorn_accepts_its_settings():
    result = run("-m", "gunicorn", "--check-config", "-c", "python:config.gunicorn", "config.wsgi")
    assert result.returncode == 0, result.stderr


def test_the_default_sender_is_an_address_even_if_the_host_is_a_number():
    result = run(
        "-c", "from config import settings; print(settings.DEFAULT_FROM_EMAIL)",
        DJANGO_ALLOWED_HOSTS="192.0.2.10",
    )  # fmt: skip
    assert result.stdout == "no-reply@[192.0.2.10]\n", result.stderr


def test_a_missing_variable_stops_the_start():
    result = run("manage.py", "check", BROKER_URL=None)
    assert result.returncode == 1
    assert "BROKER_URL is required and is not set. Example: BROKER_URL=redis://" in result.stderr


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (env.secret_key, None),
        (env.secret_key, ""),
        (env.secret_key, "short"),
        (env.secret_key, "ab" * 40),
        (env.secret_key, "django-insecure-0123456789abcdefghijklmnopqrstuvwxyz0123456789"),
        (env.secret_key, "change-me-0123456789abcdefghijklmnopqrstuvwxyz0123456789"),
        (env.hosts, None),
        (env.hosts, ","),
        (env.hosts, "*"),
        (env.hosts, "https://shop.test"),
        (env.hosts, "shop.test:8000"),
        (env.database, None),
        (env.database, "mysql://jewelry:s3cr3t-p4ss@localhost/jewelry"),
        (env.database, "postgres://jewelry:s3cr3t-p4ss@localhost:none/jewelry"),
        (env.database, "postgres://jewelry:s3cr3t-p4ss@localhost:5432"),
        (env.database, "postgres://localhost/jewelry"),
        (env.database, "postgres://jewelry:s3cr3t-p4ss#1@localhost/jewelry"),
        (env.database, "postgres://jewelry:s3cr3t-p4ss/1@localhost/jewelry"),
        (env.database, "postgres://jewelry:[s3cr3t-p4ss@localhost/jewelry"),
    ],
)
def test_wrong_values_are_refused(monkeypatch, read, value):
    refused(monkeypatch, value, lambda: read("THE_NAME"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "localhost:6379",
        "http://:s3cr3t-p4ss@localhost/0",
        "redis://:s3cr3t-p4ss@localhost:none/0",
        "redis://:s3cr3t-p4ss#1@localhost/0",
        "redis://:s3cr3t-p4ss/1@localhost/0",
        "redis://localhost/zero",
        "redis://",
    ],
)
def test_wrong_redis_urls_are_refused(monkeypatch, value):
    refused(monkeypatch, value, lambda: env.redis_url("THE_NAME", example="redis://localhost/0"))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("treu", lambda name: env.boolean(name, default=False)),
        ("0", lambda name: env.integer(name, default=1, minimum=1)),
        ("many", lambda name: env.integer(name, default=1, minimum=1)),
        ("LOUD", lambda name: env.choice(name, ("INFO",), default="INFO")),
        ("shop.test", lambda name: env.origins(name, default=[])),
        ("Mars/Base", lambda name: env.time_zone(name, default="UTC")),
        ("../../etc/passwd", lambda name: env.time_zone(name, default="UTC")),
        ("static", lambda name: env.absolute_path(name, default="/srv")),
        ("nobody", lambda name: env.email_address(name, default="a@b.test")),
        ("pigeon://coop", lambda name: env.email(name, default="dummymail://")),
        ("smtp://", lambda name: env.email(name, default="dummymail://")),
        ("smtp://me:s3cr3t-p4ss@mail:none", lambda name: env.email(name, default="dummymail://")),
    ],
)
def test_wrong_options_are_refused(monkeypatch, value, read):
    refused(monkeypatch, value, lambda: read("THE_NAME"))


def refused(monkeypatch, value, read):
    """The value is refused, with the name and an example and without anything secret."""
    if value is None:
        monkeypatch.delenv("THE_NAME", raising=False)
    else:
        monkeypatch.setenv("THE_NAME", value)
    with pytest.raises(env.ImproperlyConfigured, match=r"^THE_NAME .*Example: THE_NAME=") as caught:
        read()
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_right_values_are_taken(monkeypatch):
    def read(value, reader, *args, **kwargs):
        monkeypatch.setenv("THE_NAME", value)
        return reader("THE_NAME", *args, **kwargs)

    url = "postgres://jewelry:p%23%2F%40ss@%2Frun%2Fpostgresql/shop"
    config = read(url, env.database)
    parts = [config[name] for name in ("USER", "PASSWORD", "HOST", "NAME")]
    assert parts == ["jewelry", "p#/@ss", "/run/postgresql", "shop"]
    assert read("shop.test, .shop.test,[::1]", env.hosts) == ["shop.test", ".shop.test", "[::1]"]
    assert read("No", env.boolean, default=True) is False
    assert read("2", env.integer, default=1, minimum=1) == 2
    assert read("Shop <shop@shop.test>", env.email_address, default="") == "Shop <shop@shop.test>"
    mail = read("smtp+tls://me:p%40ss@mail.test:587", env.email, default="")
    assert mail == env.Mail(
        backend="django.core.mail.backends.smtp.EmailBackend",
        host="mail.test",
        port=587,
        user="me",
        password="p@ss",
        use_tls=True,
        use_ssl=False,
        file_path=None,
    )
    mail = read("consolemail://", env.email, default="")
    assert (mail.backend.split(".")[-2], mail.host, mail.port) == ("console", "localhost", 25)
