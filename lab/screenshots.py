#!/usr/bin/env python3
"""Take the README's pictures again: pages of a lab machine, as a browser shows them.

Let somebody visit the machine for the range first, such as `benchmarks/` or a loop of curl.
"""

import argparse
import sys
from pathlib import Path

from browser import chromium, open_page, screenshot, set_size

MACHINES = Path("/var/lib/jewelry-lab/machines")
PICTURES = [("web", "light"), ("celery", "dark")]  # dashboard and theme


def main() -> None:
    """Write a picture of each page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--range", default="1h", help="how far back, such as 15m")
    parser.add_argument("machine", nargs="?", default="jewelry", help="one of lab.py list")
    images = Path(__file__).parents[1] / "docs/images"
    parser.add_argument("folder", nargs="?", type=Path, default=images)
    options = parser.parse_args()
    machine = MACHINES / options.machine
    try:
        address = (machine / "address").read_text().strip()
        password = (machine / "secrets/prometheus_password").read_text().strip()
    except OSError as error:
        sys.exit(
            f"{error.filename}: {error.strerror}. Run as root, for a machine that runs (make up)"
        )
    with chromium() as browser:
        set_size(browser, 1600)
        for name, theme in PICTURES:
            page = f"https://admin:{password}@{address}/prometheus/user/{name}.html"
            open_page(browser, f"{page}?range={options.range}&refresh=0&theme={theme}")
            picture = options.folder / f"dashboard-{name}.png"
            picture.write_bytes(screenshot(browser))
            print(picture)


if __name__ == "__main__":
    main()
