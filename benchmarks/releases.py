#!/usr/bin/env python3
"""Measure what customers notice of two releases and a rollback: lost requests, and latency.

A lab machine of its own is installed. Then customers read, sell and ask whether the site is ready,
at first undisturbed, then while two releases are installed with site.yml and the last one is taken
back with rollback.yml; both times 10,000 requests at least, over HTTPS, each on a new connection.
A request is lost if it gets no answer or one of 500 and above. The archives are built beforehand,
since controller and machine share this computer.
"""

import http.client
import json
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from install import BUILDER, LAB, REPOSITORY, inventory_of, site, ssh

MACHINE = "bench-release"
REQUESTS, CUSTOMERS = 10_000, 4
TRUSTING = ssl._create_unverified_context()  # noqa: S323 - the lab's certificate is self-signed


class Shop:
    """A demonstration shop, seen from outside."""

    def __init__(self, address, password):
        """Log in and make an item of which there is enough."""
        self.address, self.token = address, None
        login = {"username": "demo-aurum", "password": password}
        self.token = self.ask("POST", "/api/v1/token/", login)[1]["token"]
        self.item = self.ask(
            "POST",
            "/api/v1/items/",
            {
                "sku": "BENCH", "name": "Ring", "metal": "GOLD", "karat": 18,
                "weight_grams": "1.000", "price": "10.00", "stock": 1_000_000,
            },
        )[1]["id"]  # fmt: skip

    def ask(self, method, path, body=None):
        """Return status and content of an answer."""
        connection = http.client.HTTPSConnection(self.address, timeout=60, context=TRUSTING)
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Token {self.token}"
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def stock(self):
        """Return how many pieces are left."""
        return self.ask("GET", f"/api/v1/items/{self.item}/")[1]["stock"]

    @contextmanager
    def customers(self):
        """Let people come until the block ends and enough have come; give (seconds, status)."""
        answers, over = [], threading.Event()
        requests = (
            ("POST", "/api/v1/sales/", {"lines": [{"sku": "BENCH", "quantity": 1}]}),
            ("GET", f"/api/v1/items/{self.item}/"),
            ("GET", "/api/v1/sales/?page_size=5"),
            ("GET", "/readyz"),
        )

        def come():
            while not over.is_set() or len(answers) < REQUESTS:
                for request in requests:
                    began = time.monotonic()
                    try:
                        status = self.ask(*request)[0]
                    except (OSError, ValueError, http.client.HTTPException):
                        status = 0
                    answers.append((time.monotonic() - began, status))

        threads = [threading.Thread(target=come) for _ in range(CUSTOMERS)]
        for thread in threads:
            thread.start()
        try:
            yield answers
        finally:
            over.set()
            for thread in threads:
                thread.join()


def summary(answers):
    """Return the number of requests, of lost ones, and the p99 of the latency in seconds."""
    lost = sum(status == 0 or status >= 500 for _, status in answers)
    return len(answers), lost, statistics.quantiles([taken for taken, _ in answers], n=100)[98]


def archives(work):
    """Build two more releases of the application; return their sources."""
    python = ssh(
        MACHINE, "python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'"
    ).strip()
    architecture = ssh(MACHINE, "uname -m").strip()
    sources = []
    for number in (1, 2):
        source = Path(work) / f"source-{number}/app"
        shutil.copytree(REPOSITORY / "app", source, ignore=shutil.ignore_patterns("__pycache__"))
        (source / "config/marker.py").write_text(f'"""Release {number} of the benchmark."""\n')
        words = [sys.executable, BUILDER, "id", source]
        release = subprocess.run(words, check=True, text=True, capture_output=True).stdout.strip()
        archive = Path(work) / f"releases/python{python}-{architecture}/{release}.tar"
        subprocess.run(
            [sys.executable, BUILDER, "build", source, archive, python, architecture], check=True
        )
        sources.append(source)
    return sources


def main():
    """Print the figures as a table in Markdown."""
    subprocess.run([*LAB, "down", MACHINE], check=True)
    subprocess.run([*LAB, "up", MACHINE], check=True)
    try:
        with tempfile.TemporaryDirectory() as work:
            inventory = inventory_of(MACHINE, work)
            site(inventory)
            sources = archives(work)
            secret = Path(f"/var/lib/jewelry-lab/machines/{MACHINE}/secrets/demo_password")
            address = ssh(MACHINE, "hostname -I").split()[0]
            shop = Shop(address, secret.read_text().strip())
            with shop.customers() as quiet:
                pass
            before = shop.stock()
            with shop.customers() as busy:
                for source in sources:
                    site(inventory, "--tags", "release", "-e", f"jewelry_source={source}")
                site(inventory, playbook="rollback.yml")
            sold = before - shop.stock()
    finally:
        subprocess.run([*LAB, "down", MACHINE], check=True)
    (n_quiet, lost_quiet, p99_quiet), (n_busy, lost_busy, p99_busy) = summary(quiet), summary(busy)
    receipts = sum(status == 201 for _, status in busy)
    print("| | |\n|---|---|")
    print(f"| requests lost over two releases and a rollback | {lost_busy} of {n_busy} |")
    print(f"| requests lost without | {lost_quiet} of {n_quiet} |")
    print(f"| sales confirmed, pieces gone | {receipts}, {sold} |")
    ratio = f"{p99_busy / p99_quiet:.1f} ({p99_busy * 1000:.0f} ms, {p99_quiet * 1000:.0f} ms)"
    print(f"| p99 with ÷ without | {ratio} |")


if __name__ == "__main__":
    main()
