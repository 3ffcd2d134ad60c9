"""What a browser shows: whole pages that everybody can read, the past, the alerts."""

import base64
import json
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shlex import quote
from urllib.parse import parse_qs, urlencode, urlsplit

import build_dashboards
import pytest
from browser import chromium, open_page, screenshot, set_size
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

testinfra_hosts = ["ansible://monitoring"]

REPOSITORY = Path(__file__).parents[3]
SCREENSHOTS = REPOSITORY / "build/screenshots"

NAMES = ["index", *(dashboard["name"] for dashboard in build_dashboards.load())]
AXE = REPOSITORY / "node_modules/axe-core/axe.min.js"
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

    def show_page(name, look, theme, **more):
        width, mobile = LOOKS[look]
        set_size(browser, width, mobile=mobile)
        page = "" if name == "index" else f"{name}.html"
        query = urlencode({"range": "1h", "refresh": 0, "theme": theme} | more)
        url = f"https://{login}@{address}/prometheus/user/{page}?{query}"
        open_page(browser, url) if name in NAMES else browser.get(url)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name.replace('/', '-')}-{look}-{theme}.png"
        path.write_bytes(screenshot(browser))
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

    return show_page


@pytest.fixture
def violations(browser):
    """Return a function that gives what axe finds on the page that is shown, help opened too."""

    def find():
        browser.execute_script(
            "for (const e of document.querySelectorAll('details')) e.open = true"
        )
        browser.execute_script(AXE.read_text())
        return browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run().then(({violations}) => done(violations.map(v => [v.id, v.nodes[0].html])))"
        )

    return find


@pytest.mark.parametrize(
    ("look", "theme"), [("wide", "light"), ("wide", "dark"), ("phone", "dark")]
)
@pytest.mark.parametrize("name", NAMES)
def test_page_is_whole(show, violations, name, look, theme):
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
    assert violations() == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["runbooks/index", "runbooks/DiskSpaceLow"])
def test_everybody_can_read_a_runbook(show, violations, name, theme):
    show(name, "wide", theme)
    assert violations() == []


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

    browser.find_element(By.CSS_SELECTOR, ".incidents tbody a").click()
    eventually(lambda: "from=" in browser.current_url)


# -- The past


@pytest.mark.parametrize("name", ["index", "system"])
def test_a_link_to_the_past_shows_the_same_again(show, browser, scraped, name):
    end = datetime.now(UTC) - timedelta(minutes=2)
    past = {"from": f"{end - timedelta(minutes=10):%FT%TZ}", "to": f"{end:%FT%TZ}"}

    def shown():
        show(name, "wide", "light", **past)
        return browser.execute_script(
            "return [...document.querySelectorAll('.tile, .values')].map(e => e.textContent)"
        )

    first = shown()
    assert len(first) > 5
    assert "The past is shown" in browser.find_element(By.ID, "alerts").text
    scraped()
    assert shown() == first


def test_dragging_over_a_graph_zooms_and_back_goes_back(show, browser, eventually):
    show("system", "wide", "light", zone="utc")
    graph = browser.find_element(By.CSS_SELECTOR, ".u-over")
    drag = ActionChains(browser).move_to_element_with_offset(graph, -50, 0).click_and_hold()
    drag.move_by_offset(100, 3).release().perform()
    eventually(lambda: "from=" in browser.current_url)
    query = parse_qs(urlsplit(browser.current_url).query)
    start, end = (datetime.fromisoformat(query[key][0].rstrip("Z")) for key in ("from", "to"))
    assert timedelta(minutes=1) <= end - start < timedelta(minutes=40)
    assert browser.find_element(By.ID, "range").get_attribute("value") == ""
    period = f"{start:%H:%M} \N{EN DASH} {end:%H:%M} (UTC)"
    eventually(lambda: period in browser.find_element(By.ID, "period").text)

    browser.back()
    eventually(lambda: browser.find_element(By.ID, "range").get_attribute("value") == "1h")
    assert "from=" not in browser.current_url


def test_releases_and_restarts_are_marked(show, browser):
    wrong = show("system", "phone", "light", range="1d")
    assert not wrong["too wide"]
    counts = browser.find_element(By.ID, "events-count").text
    assert " release" in counts
    assert " restart" in counts


# -- Graphs and tables


def test_values_are_beside_the_cursor_and_a_click_shows_a_series_alone(show, browser):
    show("web", "wide", "light")
    panel = browser.find_element(By.CSS_SELECTOR, '.panel[aria-label="Answers by status"]')
    graph = panel.find_element(By.CLASS_NAME, "u-over")
    at_the_end = graph.size["width"] // 2 - 10  # a young machine has no more
    ActionChains(browser).move_to_element_with_offset(graph, at_the_end, 0).perform()
    assert "200 application" in panel.find_element(By.CLASS_NAME, "tip").text

    series = panel.find_elements(By.CSS_SELECTOR, "tbody button")
    assert len(series) > 1
    series[0].click()
    pressed = [
        one.get_attribute("aria-pressed")
        for one in panel.find_elements(By.CSS_SELECTOR, "tbody button")
    ]
    assert pressed == ["true", *["false"] * (len(series) - 1)]


def test_a_panel_has_a_page_of_its_own(show, browser, eventually):
    show("web", "wide", "light")
    assert len(browser.find_elements(By.CLASS_NAME, "panel")) > 5
    browser.find_element(By.CSS_SELECTOR, "[data-panel=answers-by-status]").click()
    eventually(lambda: len(browser.find_elements(By.CLASS_NAME, "panel")) == 1)
    assert "panel=answers-by-status" in browser.current_url
    browser.back()
    eventually(lambda: len(browser.find_elements(By.CLASS_NAME, "panel")) > 5)


def test_a_page_prints_on_about_two_sheets(show, browser):
    show("web", "wide", "dark")
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pages = base64.b64decode(printed["data"]).count(b"/Type /Page\n")
    assert 1 <= pages <= 3


def test_printing_leaves_the_graphs_as_they_were(show, browser, eventually):
    end = datetime.now(UTC) - timedelta(minutes=2)
    past = {"from": f"{end - timedelta(minutes=10):%FT%TZ}", "to": f"{end:%FT%TZ}"}
    show("system", "wide", "dark", **past)

    def graph(event=None):
        if event:
            browser.execute_script(f"dispatchEvent(new Event('{event}'))")
        return browser.execute_script("return document.querySelector('canvas').toDataURL()")

    dark = graph()
    assert graph("beforeprint") != dark
    graph("afterprint")
    eventually(lambda: graph() == dark)


def test_the_readmes_pictures_are_made(host, tmp_path):
    machine = host.ansible.get_variables()["inventory_hostname"]
    subprocess.run(
        [sys.executable, "lab/screenshots.py", machine, tmp_path], cwd=REPOSITORY, check=True
    )
    made = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(made) == {path.name for path in (REPOSITORY / "docs/images").iterdir()}
    assert min(made.values()) > 50_000


# -- Alerts

RULES = [
    {
        "alert": name,
        "expr": "vector(1)",
        "for": "1h" if name == "Pending" else "0s",
        "labels": {"severity": "ticket", "host": "shop1"},
        "annotations": {"summary": "shop1: it is tried", "dashboard": "web"},
    }
    for name in ("Silenced", "Muted", "Pending")
]


@pytest.fixture
def alerts(host):
    """Alerts that nobody gets: one is silenced, one muted by its hour, one pending."""
    url = "--alertmanager.url=http://127.0.0.1:9093"
    words = "--author=ann --comment='new disk' --duration=1h alertname=Silenced"
    host.check_output(f"amtool {url} silence add {words}")
    rules = json.dumps({"groups": [{"name": "screens", "rules": RULES}]})
    host.check_output(f"echo {quote(rules)} > /etc/prometheus/rules/screens.yml")
    host.check_output("systemctl reload prometheus")
    yield
    host.check_output("rm /etc/prometheus/rules/screens.yml && systemctl reload prometheus")


def test_the_banner_and_the_status_say_what_nobody_gets(host, alerts, show, browser, eventually):
    def banner():
        show("web", "wide", "light")
        return [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#alerts-list > li")]

    def said(*words):
        lines = banner()
        print(time.strftime("%T"), *lines, sep="\n")  # shown if it fails
        return any(all(word in line for word in words) for line in lines)

    eventually(lambda: said("pending: ticket: Pending", "fires at", "if it lasts", "Dashboard"))
    eventually(lambda: said("silenced: ticket: Silenced", "until", "by ann: new disk"))
    eventually(lambda: said("muted: ticket: Muted", "at this time of day: always"))
    assert said("Silence until", "alertname=Silenced")

    def marked():
        banner()
        return " ticket" in browser.find_element(By.ID, "events-count").text

    eventually(marked, seconds=90)  # they reach to the last whole minute
    status = host.run("jewelry-status").stdout
    assert "by ann: new disk (alertname=Silenced)" in status

    amtool = "amtool --alertmanager.url=http://127.0.0.1:9093"
    host.check_output(f"{amtool} silence expire $({amtool} silence query -q alertname=Silenced)")

    def heard():
        browser.find_element(By.XPATH, "//button[.='Now']").click()
        return browser.find_element(By.ID, "news").get_attribute("textContent")

    eventually(lambda: "Alert Silenced shop1: " in heard())
