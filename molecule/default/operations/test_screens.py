"""What a browser shows: no panel in error, none empty without a reason, nothing on its console."""

import base64
import time
from collections import Counter
from pathlib import Path

import build_dashboards
import pytest
from browser import chromium, set_size
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

testinfra_hosts = ["ansible://monitoring"]

REPOSITORY = Path(__file__).parents[3]
SCREENSHOTS = REPOSITORY / "build/screenshots"

NAMES = ["index", *(dashboard["name"] for dashboard in build_dashboards.load())]
LOOKS = {"wide": (1600, False), "phone": (390, True)}


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture
def show(host, secret, browser):
    """Return a function that opens a page and keeps a screenshot; it gives what is wrong on it."""
    address = host.interface("host0").addresses[0]
    login = f"admin:{secret('prometheus_password')}"
    script = browser.execute_script

    def open_page(name, look, theme):
        width, mobile = LOOKS[look]
        set_size(browser, width, mobile=mobile)
        browser.get("about:blank")
        page = "" if name == "index" else f"{name}.html"
        url = f"https://{login}@{address}/prometheus/user/{page}?range=1h&refresh=0&theme={theme}"
        browser.get(url)
        deadline = time.monotonic() + 60
        while not script("return document.body.dataset.ready"):
            assert time.monotonic() < deadline, f"{name} is not ready within 60 s"
            time.sleep(0.25)
        height = script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = browser.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}-{look}-{theme}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        return {
            "console": [
                entry["message"]
                for entry in browser.get_log("browser")
                if "429 (Too Many Requests)" not in entry["message"]  # the page asks again
            ],
            "errors": script(
                "return [...document.querySelectorAll('.message.error')].map(e => e.textContent)"
            ),
            "empty": script(
                "return [...document.querySelectorAll('.panel')].filter(p =>"
                " p.querySelector('.message').textContent).map(p => p.ariaLabel)"
            ),
            "tiles": script(
                "return [...document.querySelectorAll('.tile .word')].filter(w =>"
                " w.textContent.includes('No data')).map(w => w.parentNode.textContent)"
            ),
            "too wide": script(
                "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
            ),
        }

    return open_page


@pytest.mark.parametrize(
    ("look", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "dark")]
)
@pytest.mark.parametrize("name", NAMES)
def test_page_is_whole(show, name, look, theme):
    wrong = show(name, look, theme)
    excused = {
        panel["title"]
        for dashboard in build_dashboards.load()
        if dashboard["name"] == name
        for section in dashboard["sections"]
        for panel in section["panels"]
        if "empty" in panel  # its own words say why
    }
    wrong["empty"] = [title for title in wrong["empty"] if title not in excused]
    assert wrong == {"console": [], "errors": [], "empty": [], "tiles": [], "too wide": False}


def test_arrow_keys_move_one_cursor_over_all_graphs(show, browser):
    show("system", "wide", "light")
    browser.find_element(By.CSS_SELECTOR, ".chart").send_keys(Keys.ARROW_LEFT * 3)
    times = browser.execute_script(
        "return [...document.querySelectorAll('.values thead th:nth-child(2)')]"
        ".map(e => e.textContent)"
    )
    assert len(times) > 5
    assert len(set(times)) == 1
    assert times[0] != "Latest"


def test_incidents_are_listed_as_they_were_recorded(show, browser, prometheus, eventually):
    """Those that the tests before have caused; the page looks at samples only where it must."""

    def recorded():
        counts = Counter()
        for series in prometheus("query", query="service:up[1h]")["result"]:
            last, was_up = 0, True
            for at, value in series["values"]:
                begins = value == "0" and (was_up or at - last > 37.5)  # or after a gap
                counts[series["metric"]["service"]] += begins
                last, was_up = at, value == "1"
        return counts

    def listed():
        show("slo", "wide", "light")
        rows = browser.execute_script(
            "return [...document.querySelectorAll('.incidents table:first-child tbody tr')]"
            ".map(row => [...row.children].map(cell => cell.textContent))"
        )
        return {name.split()[0]: int(incidents) for name, _, incidents, *_ in rows}

    assert sum(recorded().values()), "nothing was ever down"
    eventually(lambda: listed() == recorded(), seconds=120)
