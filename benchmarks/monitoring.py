#!/usr/bin/env python3
"""Measure the monitoring of a machine that has run for seven days: pages, rules, Prometheus.

A lab machine of its own gets some traffic and then a past, with a sample of every series every
15 seconds (`history.py`). Pages are opened in a headless Chromium on this controller, over HTTPS as
people do, each some times after a first one that is not counted: from the beginning of the
navigation until the alerts, all tiles and all graphs are drawn. Times are wall time.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from install import LAB, MEMORY_SCRIPT, REPOSITORY, inventory_of, site, ssh

sys.path.extend([str(REPOSITORY / "lab"), str(REPOSITORY / "roles/dashboards/files")])
import build_dashboards
from browser import chromium, set_size

MACHINE = "bench-monitoring"
PROMETHEUS = "http://127.0.0.1:9090"
FOLDER = Path("/var/lib/jewelry-lab/machines") / MACHINE
DAYS, STEP = 7, 15  # of the past, and the seconds between its samples
TRAFFIC = 180  # seconds
RANGES = {"1h": "1 h", "6h": "6 h", "1d": "24 h", "7d": "7 d"}
LOADS = 5
EVALUATIONS = 9
PAGE_GOAL, RULES_GOAL = 1000, 500  # ms
TRAFFIC_SCRIPT = """\
set -eu
site=http://127.0.0.1:8000
token=$(curl -s $site/api/v1/token/ -d username=demo-aurum -d password={password} |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')
ask() {{ curl -s -o /dev/null -H "Authorization: Token $token" "$@" || true; }}
send() {{ ask -H 'Content-Type: application/json' "$@"; }}
send $site/api/v1/items/ -d '{{"sku": "BENCH", "name": "Ring", "metal": "SILVER",
    "weight_grams": "2.5", "price": "12.50", "stock": 100000}}'
while test $SECONDS -lt {seconds}; do
    for path in / /admin/login/ /api/v1/items/ /api/v1/items/1/ /api/v1/sales/ /nowhere; do
        ask $site$path
    done
    send $site/api/v1/sales/ -d '{{"lines": [{{"sku": "BENCH", "quantity": 1}}],
        "customer_email": "bench@example.com"}}'
    sleep 1
done
"""
# Notes when the page has drawn everything and that has been shown.
WATCH = """\
new MutationObserver(() => {
  if (document.body?.dataset.ready && !("drawn" in window)) {
    window.drawn = null;
    requestAnimationFrame(() => setTimeout(() => { window.drawn = performance.now(); }));
  }
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
"""


# -- Pages ---------------------------------------------------------------------------------------


def load(browser, address):
    """Open a page; return the milliseconds from the navigation until it is drawn."""
    browser.get("about:blank")
    browser.get(address)
    deadline = time.monotonic() + 60
    while not (drawn := browser.execute_script("return window.drawn")):
        if time.monotonic() > deadline:
            sys.exit(f"{address.partition('@')[2]} is not drawn within a minute")
        time.sleep(0.05)
    script = "return document.querySelector('.message.error')?.textContent"
    if error := browser.execute_script(script):
        sys.exit(f"{address.partition('@')[2]}: {error}")
    return drawn


def measure_pages():
    """Print how long each page takes to be drawn, by range: median and slowest, in ms."""
    password = (FOLDER / "secrets/prometheus_password").read_text().strip()
    pages = f"https://admin:{password}@{(FOLDER / 'address').read_text()}/prometheus/user"
    dashboards = build_dashboards.load()
    graphs = {
        one["name"]: sum(len(section["panels"]) for section in one["sections"])
        for one in dashboards
    }
    print(f"| page, ms | tiles | graphs | {' | '.join(RANGES.values())} | at most |")
    print("|---|---|---|" + "---|" * (len(RANGES) + 1))
    with chromium() as browser:
        set_size(browser, 1600)
        browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
        for one in sorted(dashboards, key=lambda one: -graphs[one["name"]]):
            cells = []
            for chosen in RANGES:
                page = f"{pages}/{one['name']}.html?range={chosen}&refresh=0"
                took = []
                for _ in range(1 + LOADS):
                    time.sleep(1)  # nginx limits how fast one may ask
                    took.append(load(browser, page))
                cells.append(f"{statistics.median(took[1:]):.0f} ({max(took[1:]):.0f})")
            print(
                f"| {one['title']} | {len(one['tiles'])} | {graphs[one['name']]} "
                f"| {' | '.join(cells)} | {PAGE_GOAL} |",
                flush=True,
            )


# -- Prometheus ----------------------------------------------------------------------------------


def ask(query):
    """Return the values that the machine's Prometheus has for an expression."""
    answer = ssh(MACHINE, f"curl -sf --data-urlencode query='{query}' {PROMETHEUS}/api/v1/query")
    return [float(one["value"][1]) for one in json.loads(answer)["data"]["result"]]


def settle():
    """Wait until Prometheus answers and has put its blocks together."""
    ssh(MACHINE, f"curl -sf --retry 60 --retry-delay 2 --retry-all-errors {PROMETHEUS}/-/ready")
    # It looks for work once a minute.
    quiet = 0
    while quiet < 20:
        time.sleep(5)
        quiet = 0 if any(ask("prometheus_tsdb_compaction_populating_block")) else quiet + 1


def measure_prometheus(kept):
    """Print the time of all rules, and what Prometheus needs; its blocks have `kept` samples.

    Memory is that of its unit, in MB; the rest is what it says of itself. A day on disk is reckoned
    from samples per second and bytes per sample, without the log of the last hours.
    """
    rules = []
    for _ in range(EVALUATIONS):
        time.sleep(STEP)
        rules.append(1e3 * sum(ask("prometheus_rule_group_last_duration_seconds")))
    memory = dict(reversed(line.split()) for line in ssh(MACHINE, MEMORY_SCRIPT).splitlines())
    pss = int(memory["prometheus.service"]) / 1e3
    (resident,) = ask('process_resident_memory_bytes{job="prometheus"}')
    (series,) = ask("prometheus_tsdb_head_series")
    (rate,) = ask("sum(rate(prometheus_tsdb_head_samples_appended_total[5m]))")
    (blocks,) = ask("prometheus_tsdb_storage_blocks_bytes")
    print("\n| Prometheus | | at most |\n|---|---|---|")
    print(
        f"| evaluation of all rules, ms: median (slowest) "
        f"| {statistics.median(rules):.0f} ({max(rules):.0f}) | {RULES_GOAL} |"
    )
    print(f"| memory, MB: PSS (resident) | {pss:.0f} ({resident / 1e6:.0f}) | |")
    print(f"| series | {series:.0f} | |")
    print(f"| samples per second | {rate:.0f} | |")
    print(f"| bytes per sample in blocks | {blocks / kept:.2f} | |")
    print(f"| MB per day | {blocks / kept * rate * 86400 / 1e6:.0f} | |")


def main():
    """Print the figures as tables in Markdown."""
    subprocess.run([*LAB, "down", MACHINE], check=True)
    subprocess.run([*LAB, "up", MACHINE], check=True)
    try:
        with tempfile.TemporaryDirectory() as work:
            site(inventory_of(MACHINE, work))
        password = (FOLDER / "secrets/demo_password").read_text().strip()
        ssh(MACHINE, "bash", input=TRAFFIC_SCRIPT.format(password=password, seconds=TRAFFIC))
        history = Path(__file__).with_name("history.py").read_text()
        made = ssh(MACHINE, f"nice python3 - {DAYS} {STEP}", input=history)
        settle()
        before = os.getloadavg()[0]
        measure_pages()
        measure_prometheus(int(made.split()[1]))
        print(f"\nLoad of the controller: before {before:.1f}, after {os.getloadavg()[0]:.1f}.")
    finally:
        subprocess.run([*LAB, "down", MACHINE], check=True)


if __name__ == "__main__":
    main()
