"""A browser for the pages of a lab machine, as tests and benchmarks need it."""

import base64

from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-component-update",
    "--hide-scrollbars",
]


def chromium() -> webdriver.Chrome:
    """Start a headless Chromium that keeps what pages write to its console.

    It is a context manager, at whose end Chromium ends too. Raises selenium's
    `WebDriverException` when it cannot be started.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    options.accept_insecure_certs = True  # the lab's are self-signed
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in FLAGS:
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))


def set_size(browser: webdriver.Chrome, width: int, *, mobile: bool = False) -> None:
    """Give the window a width in CSS pixels and a height of 900, as on a phone if `mobile`."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def open_page(browser: webdriver.Chrome, address: str) -> None:
    """Open a dashboard's page and wait until all its tiles and graphs are drawn."""
    browser.get("about:blank")
    browser.get(address)
    WebDriverWait(browser, 60, poll_frequency=0.25).until(
        lambda _: browser.execute_script("return document.body.dataset.ready"),
        f"not drawn within 60 s: {address.rpartition('@')[2]}",
    )


def screenshot(browser: webdriver.Chrome) -> bytes:
    """Return the whole page that is shown, as PNG, also what is below the window."""
    size = browser.execute_script(
        "const {clientWidth: width, scrollHeight: height} = document.documentElement;"
        "return {width, height}"
    )
    options = {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "scale": 1} | size}
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", options)
    return base64.b64decode(shot["data"])
