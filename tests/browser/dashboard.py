"""A person at the dashboard, in a real browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

from tests.acceptance.installation import Installation

PATIENCE = 20
WIDTHS = {
    "phone": {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
    "tablet": {"width": 820, "height": 1180, "deviceScaleFactor": 1, "mobile": False},
    "desktop": {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False},
}


@contextmanager
def shown(browser: Chrome, width: str = "desktop", scheme: str = "light") -> Iterator[None]:
    """Show pages at a width and in a colour scheme, without what moves."""
    look(browser, width, scheme)
    try:
        yield
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def look(browser: Chrome, width: str, scheme: str) -> None:
    """Set width and colour scheme."""
    features = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    media = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", WIDTHS[width])


class Dashboard:
    """A person's way through the pages.

    Args:
        browser: theirs.
        installation: whose daemon serves.
    """

    def __init__(self, browser: Chrome, installation: Installation) -> None:
        self.browser = browser
        self.installation = installation
        self.address = f"http://127.0.0.1:{installation.port}"

    def code(self) -> str:
        """Type ``connector dashboard`` and read the code."""
        done = self.installation.run("dashboard", "--no-browser")
        assert done.returncode == 0, done.stderr
        assert f"Address: {self.address}/login" in done.stdout
        found = re.search(r"Code: +([0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4})", done.stdout)
        assert found is not None
        return found[1]

    def sign_in(self, path: str = "/") -> None:
        """Come to a page, be led to the login, type the code and land on that page."""
        self.open(path)
        assert "/login" in self.browser.current_url
        self.fill("code", self.code())
        self.press("button.primary")
        assert self.find("main h1").text != "Sign in"

    def open(self, path: str) -> None:
        """Open a page."""
        self.browser.get(self.address + path)

    def find(self, selector: str) -> WebElement:
        """Wait for an element."""
        condition = presence_of_element_located((By.CSS_SELECTOR, selector))
        return WebDriverWait(self.browser, PATIENCE).until(condition)

    def all(self, selector: str) -> list[WebElement]:
        """Give all elements that are there."""
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def fill(self, element_id: str, text: str) -> None:
        """Type into a field."""
        field = self.find(f"#{element_id}")
        field.clear()
        field.send_keys(text)

    def press(self, selector: str) -> None:
        """Press what stands there, and wait until the page has gone."""
        page = self.find("html")
        self.find(selector).click()
        WebDriverWait(self.browser, PATIENCE).until(lambda _browser: is_gone(page))

    def text(self) -> str:
        """Give the text of the page's middle."""
        return self.find("main").text

    def allow(self, person: str) -> None:
        """Consent as a person at the simulator, from the page of the connect link."""
        self.press("#connect button")
        self.find(f"#person-{person}, #allow")
        if not self.all("#allow"):  # a person who has signed in there before is remembered
            self.press(f"#person-{person}")
        self.press("#allow")
        assert "is connected" in self.find("#result").text

    def width(self) -> int:
        """Give how wide the page is, what sticks out included."""
        width: int = self.browser.execute_script("return document.documentElement.scrollWidth")
        return width

    def cookies(self) -> list[dict[str, Any]]:
        """Give the cookies of the dashboard."""
        found = self.browser.get_cookies()
        return [one for one in found if one["name"].startswith("connector_session")]


def is_gone(element: WebElement) -> bool:
    """Tell whether an element's page was left."""
    try:
        element.is_enabled()
    except StaleElementReferenceException:
        return True
    except WebDriverException as error:  # between two pages
        return "does not belong to the document" in str(error)
    return False


def faults(browser: Chrome, axe: str) -> list[str]:
    """Give what axe-core finds fault with, and where."""
    browser.execute_script(axe)
    found: list[str] = browser.execute_async_script(
        """const done = arguments[0];
        axe.run(document, {resultTypes: ["violations"]}).then(
          ({violations}) => done(violations.map((one) =>
            `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(" / ")}`)),
          (error) => done([String(error)]));"""
    )
    return found
