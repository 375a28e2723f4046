"""A person clicks through the provider's pages and lands on ours."""

import httpx2
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.expected_conditions import presence_of_element_located
from selenium.webdriver.support.wait import WebDriverWait

from connector.simulator import Simulator
from tests.acceptance.installation import Installation

from .conftest import screenshot

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


def click(browser: Chrome, element_id: str) -> None:
    found = WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, element_id)))
    found.click()


def result_of(browser: Chrome) -> str:
    """Give the headline of our last page."""
    found = WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, "result")))
    return found.text


def assert_clean(browser: Chrome) -> None:
    """Neither address bar, history nor page holds a code, a state or a token; nothing complains."""
    assert "code=" not in browser.current_url
    assert "state=" not in browser.current_url
    for secret in ("code_", "at_", "rt_", "EAA"):
        assert secret not in browser.page_source
    entries = browser.execute_cdp_cmd("Page.getNavigationHistory", {})["entries"]
    assert not [entry["url"] for entry in entries if "code=" in entry["url"]]
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    severe = [entry["message"] for entry in log if entry["level"] == "SEVERE"]
    assert [message for message in severe if "favicon" not in message] == []


def test_standard_provider(browser: Chrome, installation: Installation) -> None:
    process, url = installation.begin_connect("ads", "acme/ads")
    browser.get(url)
    screenshot(browser, "simulator-login")
    click(browser, "person-ada")
    WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, "consent")))
    screenshot(browser, "simulator-consent")
    click(browser, "allow")
    assert result_of(browser) == "Ads platform is connected"
    screenshot(browser, "connected")
    assert_clean(browser)
    assert browser.title == "Connected · Connector"
    status, out, err = installation.finish(process)
    assert (status, "acme/ads is connected" in out) == (0, True), err


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_facebook_on_a_phone(browser: Chrome, installation: Installation, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    try:
        process, url = installation.begin_connect("facebook", "acme/facebook")
        browser.get(url)
        click(browser, "person-ada")
        WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, "consent")))
        assert "Ads read" in browser.page_source or "ads_read" in browser.page_source
        screenshot(browser, f"facebook-permissions-phone-{scheme}")
        click(browser, "allow")
        assert result_of(browser) == "Facebook (Graph and Marketing API) is connected"
        screenshot(browser, f"connected-phone-{scheme}")
        assert "Ada Lovelace" in browser.page_source
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= PHONE["width"], "nothing sticks out to the side"
        assert_clean(browser)
        assert installation.finish(process)[0] == 0
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_denied(browser: Chrome, installation: Installation) -> None:
    process, url = installation.begin_connect("ads", "acme/ads")
    browser.get(url)
    click(browser, "person-ada")
    click(browser, "deny")
    assert result_of(browser) == "Not connected"
    screenshot(browser, "not-connected")
    assert "connector connect ads --account acme/ads" in browser.page_source
    assert "error=" not in browser.current_url
    assert installation.finish(process)[0] == 7


def test_connect_link_of_the_daemon(
    browser: Chrome, installation: Installation, simulator: Simulator
) -> None:
    installation.serve()
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    with httpx2.Client(transport=transport, base_url="http://connector") as unix:
        made = unix.post("/v1/consents", json={"provider": "ads", "account": "acme/link"})
        browser.get(made.json()["connect_url"])
        WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, "connect")))
        screenshot(browser, "connect-link")
        assert simulator.ledger.count("authorize") == 0, "opening a link asks nobody for anything"
        browser.find_element(By.CSS_SELECTOR, "#connect button").click()
        click(browser, "person-ada")
        click(browser, "allow")
        assert result_of(browser) == "Ads platform is connected"
        assert_clean(browser)
        (account,) = unix.get("/v1/accounts").json()
    assert (account["account"], account["state"]) == ("acme/link", "active")


def test_connect_link_with_a_code_on_a_phone(browser: Chrome, installation: Installation) -> None:
    """CHECKLIST 6: whoever has the link alone can do nothing with it."""
    installation.serve()
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        with httpx2.Client(transport=transport, base_url="http://connector") as unix:
            wish = {"provider": "ads", "account": "acme/link", "with_code": True}
            made = unix.post("/v1/consents", json=wish).json()
        browser.get(made["connect_url"])
        field = WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, "code")))
        screenshot(browser, "connect-link-code-phone")
        field.send_keys("0000 0000", Keys.ENTER)
        WebDriverWait(browser, 20).until(presence_of_element_located((By.ID, "code-error")))
        screenshot(browser, "connect-link-wrong-code-phone")
        width = browser.execute_script("return document.documentElement.scrollWidth")
        assert width <= PHONE["width"], "nothing sticks out to the side"
        field = browser.switch_to.active_element
        assert field.get_attribute("id") == "code"
        field.send_keys(made["code"].lower(), Keys.ENTER)
        click(browser, "person-ada")
        click(browser, "allow")
        assert result_of(browser) == "Ads platform is connected"
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_provider_text_is_shown_as_text(browser: Chrome, installation: Installation) -> None:
    """An error description with markup does nothing (CHECKLIST 25)."""
    process, url = installation.begin_connect("ads", "acme/ads")
    state = url.partition("state=")[2].partition("&")[0]
    redirect_uri = httpx2.URL(url).params["redirect_uri"]
    attack = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
    answer = httpx2.URL(
        redirect_uri,
        params={
            "error": "access_denied",
            "error_description": attack,
            "state": state,
            "iss": installation.simulator.issuer,
        },
    )
    browser.get(str(answer))
    assert result_of(browser) == "Not connected"
    assert browser.title == "Not connected · Connector"
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert "onerror" in browser.find_element(By.TAG_NAME, "main").text
    assert installation.finish(process)[0] == 7
