"""A pytest plugin: the environment of the application, and Redis servers for the tests.

PostgreSQL comes from pg_virtualenv, which makes a cluster for one command.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

HOW = "run `pg_virtualenv .venv/bin/pytest app` (Debian: apt install postgresql redis-server)"


def free_port() -> int:
    """A TCP port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


BROKER_PORT, CACHE_PORT = free_port(), free_port()


def environment() -> dict[str, str]:
    """What the application needs, with the test run's own servers."""
    user, password = (
        quote(os.environ.get(name, "x"), safe="") for name in ("PGUSER", "PGPASSWORD")
    )
    host, port = os.environ.get("PGHOST", "localhost"), os.environ.get("PGPORT", "5432")
    return {
        "DJANGO_SECRET_KEY": "".join(f"{number:x}" for number in range(100, 130)),
        "DJANGO_ALLOWED_HOSTS": "shop.test,testserver,localhost",
        "DATABASE_URL": f"postgres://{user}:{password}@{host}:{port}/jewelry",
        "CACHE_URL": f"redis://127.0.0.1:{CACHE_PORT}/0",
        "BROKER_URL": f"redis://127.0.0.1:{BROKER_PORT}/0",
    }


os.environ.update(environment())


def pytest_configure() -> None:
    """Say what is missing. Nothing is skipped without it."""
    if "PGHOST" not in os.environ:
        raise pytest.UsageError(f"PGHOST is not set, so there is no PostgreSQL: {HOW}")
    if not shutil.which("redis-server"):
        raise pytest.UsageError(f"there is no redis-server: {HOW}")


@contextmanager
def redis_server(port: int, directory: Path) -> Iterator[subprocess.Popen]:
    """A Redis server that keeps nothing, until the block ends."""
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with (directory / "redis.log").open("a") as log:
        server = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        for _ in range(100):
            try:
                redis.Redis(port=port).ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        else:
            raise RuntimeError(f"redis-server does not answer: {directory / 'redis.log'}")
        yield server
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="session", autouse=True)
def redis_servers(tmp_path_factory) -> Iterator[dict[str, subprocess.Popen]]:
    """The broker and the cache."""
    with (
        redis_server(BROKER_PORT, tmp_path_factory.mktemp("broker")) as broker,
        redis_server(CACHE_PORT, tmp_path_factory.mktemp("cache")) as cache,
    ):
        yield {"broker": broker, "cache": cache}


@pytest.fixture
def stuck(redis_servers):
    """A context manager: the server of that name accepts connections and answers nothing."""

    @contextmanager
    def stopped(name: str) -> Iterator[None]:
        redis_servers[name].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            redis_servers[name].send_signal(signal.SIGCONT)

    return stopped
