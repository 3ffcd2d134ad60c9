"""`make dev` serves the application with demonstration data, and leaves nothing behind."""

import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.services import free_port

APP = Path(__file__).parents[1]


def wait_for(url: str, seconds: int = 90) -> bytes:
    """The page, as soon as it is served."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read()
        except OSError:
            assert time.monotonic() < deadline, f"{url} is not served within {seconds} s"
            time.sleep(0.5)


def test_it_serves_and_leaves_nothing() -> None:
    port = free_port()
    with subprocess.Popen(
        # A shell starts background jobs with SIGINT ignored, and a child cannot undo that.
        ["env", "--default-signal=INT", APP / "dev"],
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert b'"migrations"' in wait_for(f"http://127.0.0.1:{port}/readyz")
            metrics = wait_for(f"http://127.0.0.1:{port}/metrics")
            assert b"django_http_requests" in metrics
            assert b'django_migrations_applied_total{connection="default"}' in metrics
        finally:
            os.killpg(server.pid, signal.SIGINT)
        said, _ = server.communicate(timeout=30)
    assert "created 3 sales of demo-ruby" in said
    assert f"http://localhost:{port}/admin/" in said
    left = ["pgrep", "--session", str(server.pid)]
    deadline = time.monotonic() + 20
    while subprocess.run(left, stdout=subprocess.DEVNULL, check=False).returncode == 0:
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.2)


def test_migration_is_checked_and_applied() -> None:
    done = subprocess.run(
        [APP / "dev", "migration", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "No changes detected" in done.stdout
    assert "No migrations to apply" in done.stdout
