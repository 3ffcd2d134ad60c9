"""A browser for the pages of a lab machine, as tests and benchmarks need it."""

from selenium import webdriver

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
