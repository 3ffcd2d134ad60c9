"""What a browser shows: no panel in error, none empty without a reason, nothing on its console."""

import base64
import itertools
import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import build_dashboards
import pytest

testinfra_hosts = ["ansible://monitoring"]

REPOSITORY = Path(__file__).parents[3]
SCREENSHOTS = REPOSITORY / "build/screenshots"
DRIVER = "http://127.0.0.1:9515"

NAMES = ["index", *(dashboard["name"] for dashboard in build_dashboards.load())]
LOOKS = {"wide": (1600, False), "phone": (390, True)}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]


def call(method, path, **body):
    """Ask chromedriver; return its answer's value."""
    request = urllib.request.Request(
        DRIVER + path,
        method=method,
        data=json.dumps(body).encode() if method == "POST" else None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)["value"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A session of a headless Chromium: a function that asks chromedriver within it."""
    profile = tmp_path_factory.mktemp("profile")
    driver = subprocess.Popen(
        ["chromedriver", "--port=9515"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    options = {"binary": "/usr/bin/chromium", "args": [*FLAGS, f"--user-data-dir={profile}"]}
    wanted = {
        "acceptInsecureCerts": True,  # the lab's is self-signed
        "goog:loggingPrefs": {"browser": "ALL"},
        "goog:chromeOptions": options,
    }
    try:
        for attempt in itertools.count():
            try:
                call("GET", "/status")
                break
            except urllib.error.URLError:
                assert attempt < 40
                time.sleep(0.25)
        session = call("POST", "/session", capabilities={"alwaysMatch": wanted})["sessionId"]
        yield lambda method, path, **body: call(method, f"/session/{session}{path}", **body)
        call("DELETE", f"/session/{session}")
    finally:
        driver.terminate()
        driver.wait(10)


@pytest.fixture
def show(host, secret, browser):
    """Return a function that opens a page and keeps a screenshot; it gives what is wrong on it."""
    address = host.interface("host0").addresses[0]
    login = f"admin:{secret('prometheus_password')}"

    def script(text):
        return browser("POST", "/execute/sync", script=text, args=[])

    def command(name, **parameters):
        return browser("POST", "/goog/cdp/execute", cmd=name, params=parameters)

    def open_page(name, look, theme):
        width, mobile = LOOKS[look]
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
        command("Emulation.setDeviceMetricsOverride", **size)
        browser("POST", "/url", url="about:blank")
        page = "" if name == "index" else f"{name}.html"
        url = f"https://{login}@{address}/prometheus/user/{page}#range=1h&refresh=0&theme={theme}"
        browser("POST", "/url", url=url)
        deadline = time.monotonic() + 60
        while not script("return document.body.dataset.ready"):
            assert time.monotonic() < deadline, f"{name} is not ready within 60 s"
            time.sleep(0.25)
        height = script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}-{look}-{theme}.png"
        path.write_bytes(base64.b64decode(shot["data"]))
        return {
            "console": [
                entry["message"]
                for entry in browser("POST", "/se/log", type="browser")
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
    chart = browser("POST", "/element", **{"using": "css selector", "value": ".chart"})
    left = "\ue012"
    browser("POST", f"/element/{next(iter(chart.values()))}/value", text=left * 3)
    times = browser(
        "POST",
        "/execute/sync",
        script="return [...document.querySelectorAll('.values thead th:nth-child(2)')]"
        ".map(e => e.textContent)",
        args=[],
    )
    assert len(times) > 5
    assert len(set(times)) == 1
    assert times[0] != "Latest"
