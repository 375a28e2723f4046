"""Headless Chromium, an installation to connect, and a place for screenshots.

A machine without a browser says so loudly and skips; in CI that is a failure.
"""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from connector.simulator import Settings, Simulator
from tests.acceptance.forked import Nursery
from tests.acceptance.installation import Installation
from tests.acceptance.untraced import trace_nothing_started

__all__ = ["trace_nothing_started"]

ARTEFACTS = Path(__file__).parents[2] / "artefacts" / "screenshots"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it drives a browser."""
    for item in items:
        if "/browser/" in str(item.path):
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        message = (
            "NO BROWSER: the browser tests need Chromium and its driver"
            " (Debian: apt-get install chromium chromium-driver)"
        )
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    options = ChromeOptions()
    options.binary_location = binary
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--force-device-scale-factor=1",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1, EXCLUDE localhost",
        f"--user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(argument)
    browser = Chrome(options=options, service=ChromeService(executable_path=driver))
    browser.set_page_load_timeout(30)
    try:
        yield browser
    finally:
        browser.quit()


@pytest.fixture
def browser(chromium: Chrome) -> Iterator[Chrome]:
    """The browser, with no cookie and no page of an earlier test."""
    chromium.execute_cdp_cmd("Network.clearBrowserCookies", {})
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    chromium.set_window_size(1200, 900)
    chromium.get("about:blank")
    chromium.get_log("browser")  # type: ignore[no-untyped-call]  # forgets what was logged before
    yield chromium
    chromium.get("about:blank")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Settings(access_token_lifetime=3600)) as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, simulator: Simulator, nursery: Nursery) -> Iterator[Installation]:
    with Installation(tmp_path, simulator, nursery=nursery) as made:
        made.configure()
        yield made


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, of which no other part of its package is used."""
    package = find_spec("axe_playwright_python")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def screenshot(browser: Chrome, name: str) -> Path:
    """Keep a picture of the page as a test artefact."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    path = ARTEFACTS / f"{name}.png"
    assert browser.save_screenshot(str(path))
    return path
