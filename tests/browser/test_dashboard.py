"""A person signs in to the dashboard, connects, revokes, makes keys; and what nobody can do."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select
from selenium.webdriver.support.wait import WebDriverWait

from connector.simulator import Simulator
from tests.acceptance.installation import Installation

from .conftest import screenshot
from .dashboard import PATIENCE, WIDTHS, Dashboard, shown

ATTACK = '"><img src=x onerror="document.title=1"><script>document.title=2</script>'


@pytest.fixture
def dashboard(browser: Chrome, installation: Installation) -> Iterator[Dashboard]:
    installation.serve()
    with shown(browser):
        yield Dashboard(browser, installation)


def assert_quiet(browser: Chrome) -> None:
    """Nothing complained: no script failed, the policy blocked nothing of ours."""
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in log if entry["level"] == "SEVERE"] == []


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_from_the_first_sign_in_to_the_last(
    dashboard: Dashboard, browser: Chrome, simulator: Simulator, width: str
) -> None:
    with shown(browser, width):
        dashboard.sign_in("/accounts")
        assert "No accounts yet" in dashboard.text()
        assert "connector connect PROVIDER --account NAME" in dashboard.text()
        step(dashboard, "1-nothing-yet", width)
        connect(dashboard, simulator, width)
        revoke_and_reconnect(dashboard, width)
        make_and_revoke_a_key(dashboard, width)
        dashboard.find(".who summary").click()
        step(dashboard, "10-menu", width)
        dashboard.press(".menu form:first-child button")
        assert dashboard.find("h1").text == "Sign in"
        assert_quiet(browser)


def connect(dashboard: Dashboard, simulator: Simulator, width: str) -> None:
    dashboard.press("main a[href='/connect']")
    Select(dashboard.find("#provider")).select_by_value("ads")
    dashboard.fill("account", "acme/ads")
    step(dashboard, "2-connect", width)
    assert simulator.ledger.count("authorize") == 0, "asking changes nothing"
    dashboard.press("#consent")
    dashboard.allow("ada")
    dashboard.press(".back a")
    assert dashboard.find("h1").text == "acme/ads"
    dashboard.press(".crumb a")
    assert "acme/ads" in dashboard.text()
    assert dashboard.find(".badge").text == "Active"
    step(dashboard, "3-connected", width)


def revoke_and_reconnect(dashboard: Dashboard, width: str) -> None:
    dashboard.press("td.name a")
    dashboard.press("#refresh")
    assert dashboard.find("#told").text.startswith("Refreshed.")
    step(dashboard, "4-account", width)
    dashboard.press("a.button.danger")
    step(dashboard, "5-revoke", width)
    dashboard.press("#revoke")
    assert dashboard.find("#told").text == "acme/ads is revoked, here and at the provider."
    assert "Nothing can use this account until a person consents again" in dashboard.text()
    step(dashboard, "6-revoked", width)
    dashboard.press("#reconnect")
    dashboard.allow("ada")
    dashboard.press(".back a")
    assert dashboard.find(".badge").text == "Active"


def make_and_revoke_a_key(dashboard: Dashboard, width: str) -> None:
    dashboard.open("/keys/new")
    dashboard.fill("name", "report")
    dashboard.fill("accounts", "acme/*")
    step(dashboard, "7-new-key", width)
    dashboard.press("#create")
    key = dashboard.find("#key").get_attribute("value") or ""
    assert key.startswith("ck_")
    step(dashboard, "8-key", width)
    dashboard.press("main a[href='/keys'].primary")
    assert key not in dashboard.browser.page_source
    step(dashboard, "9-keys", width)
    dashboard.press("td.act a")
    dashboard.press("#revoke")
    assert dashboard.find("#told").text.startswith("Key report is revoked")
    assert dashboard.find(".badge").text == "Revoked"


def step(dashboard: Dashboard, name: str, width: str) -> None:
    """Keep a picture, and see that nothing sticks out to the side."""
    screenshot(dashboard.browser, f"dashboard-{name}-{width}")
    assert dashboard.width() <= WIDTHS[width]["width"], name


class TestSession:
    def test_a_stale_cookie_is_rejected(self, dashboard: Dashboard, browser: Chrome) -> None:
        dashboard.sign_in("/keys")
        (cookie,) = dashboard.cookies()
        assert cookie["httpOnly"]
        assert cookie["sameSite"] == "Strict"
        assert browser.execute_script("return document.cookie") == ""
        dashboard.find(".who summary").click()
        dashboard.press(".menu form:first-child button")
        assert dashboard.cookies() == []
        browser.back()
        dashboard.open("/keys")
        assert dashboard.find("h1").text == "Sign in"
        put(dashboard, cookie["value"])
        dashboard.open("/keys")
        assert dashboard.find("h1").text == "Sign in"

    def test_a_planted_id_is_not_taken_on(self, dashboard: Dashboard) -> None:
        dashboard.open("/login")
        planted = "A" * 43
        put(dashboard, planted)
        dashboard.sign_in("/keys")
        (cookie,) = dashboard.cookies()
        assert cookie["value"] != planted
        put(dashboard, planted)
        dashboard.open("/keys")
        assert dashboard.find("h1").text == "Sign in"

    def test_the_code_is_in_no_address(self, dashboard: Dashboard, browser: Chrome) -> None:
        dashboard.open("/login")
        code = dashboard.code()
        dashboard.fill("code", code)
        dashboard.find("#code").send_keys(Keys.ENTER)
        dashboard.find("nav[aria-label='Sections']")
        entries = browser.execute_cdp_cmd("Page.getNavigationHistory", {})["entries"]
        assert not [entry["url"] for entry in entries if code[:4] in entry["url"]]

    def test_another_site_finds_no_session(self, dashboard: Dashboard, browser: Chrome) -> None:
        """From ``localhost`` to ``127.0.0.1`` is from one site to another."""
        dashboard.sign_in("/keys")
        browser.get(f"http://localhost:{dashboard.installation.port}/login")
        status = browser.execute_async_script(
            """const [url, done] = arguments;
            fetch(url, {credentials: "include"}).then(
              (answer) => done(answer.status), (error) => done(String(error)));""",
            f"{dashboard.address}/keys",
        )
        assert "TypeError" in str(status), "the policy lets a page of ours fetch from itself alone"

    def test_a_link_of_another_site_leads_to_the_page(
        self, dashboard: Dashboard, browser: Chrome
    ) -> None:
        """The cookie is strict: a page of ours that leads to itself brings it."""
        dashboard.sign_in("/keys")
        browser.get(f"http://localhost:{dashboard.installation.port}/login")
        browser.execute_script(
            """const link = document.createElement("a");
            link.href = arguments[0];
            link.id = "elsewhere";
            link.textContent = "elsewhere";
            document.querySelector("main").prepend(link);""",
            f"{dashboard.address}/keys/new?x=1",
        )
        dashboard.press("#elsewhere")
        WebDriverWait(browser, PATIENCE).until(
            lambda _browser: dashboard.find("h1").text == "Create a key"
        )
        assert browser.current_url == f"{dashboard.address}/keys/new?x=1"


def put(dashboard: Dashboard, value: str) -> None:
    """Plant a session's cookie."""
    name = f"connector_session_{dashboard.installation.port}"
    dashboard.browser.add_cookie({"name": name, "value": value, "path": "/"})


def test_words_of_a_provider_do_nothing(
    dashboard: Dashboard, browser: Chrome, installation: Installation
) -> None:
    """Stored XSS through profile fields and account data (A13): escaped, and the policy blocks."""
    installation.connect("ads", "acme/ads")
    installation.write(
        "UPDATE account SET subject_name = ?, subject = ?, scope = ?, token_type = ?,"
        " last_error = ?, failures = 1, failing_since = 1, retry_at = 1",
        (ATTACK,) * 5,
    )
    dashboard.sign_in("/accounts")
    for path in ("/accounts", "/accounts/acme/ads", "/accounts?text=%22%3E%3Cimg+src%3Dx%3E"):
        dashboard.open(path)
        assert browser.title.endswith("· Connector")
        assert dashboard.all("img") == []
        assert len(dashboard.all("script")) == 1
    dashboard.open("/accounts/acme/ads")
    assert "onerror" in dashboard.text()
    screenshot(browser, "dashboard-hostile-words")
    assert_quiet(browser)
    browser.execute_script(
        """const script = document.createElement("script");
        script.textContent = "document.title = 'taken over'";
        document.body.append(script);
        document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="document.title=3">');
        """
    )
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    blocked = [entry for entry in log if "Content Security Policy" in entry["message"]]
    assert blocked, "had it not been escaped, the policy would have stopped it"
    assert browser.title.endswith("· Connector")


class TestLive:
    def test_what_changes_is_shown_and_nothing_else_moves(
        self, dashboard: Dashboard, browser: Chrome, installation: Installation
    ) -> None:
        installation.connect("ads", "acme/ads")
        names = [f"acme/more-{number:02}" for number in range(30)]
        installation.write(
            "INSERT INTO account (id, name, provider, state, state_since, generation, created_at,"
            " lease_fence, attempt_count, failures)"
            " VALUES (?, ?, 'ads', 'pending', 1, 0, 1, 0, 0, 0)",
            *((name.replace("/", ""), name) for name in names),
        )
        dashboard.sign_in("/accounts")
        link = browser.find_element(By.LINK_TEXT, "acme/more-20")
        browser.execute_script("arguments[0].scrollIntoView(); arguments[0].focus()", link)
        assert browser.execute_script("return scrollY") > 0
        where = "return document.activeElement.getBoundingClientRect().top"
        before = browser.execute_script(where)
        installation.write(
            "UPDATE account SET state = 'consent_required', reason = 'it has ended'"
            " WHERE name = 'acme/ads'"
        )
        WebDriverWait(browser, PATIENCE).until(lambda _browser: "it has ended" in dashboard.text())
        focused = browser.execute_script("return document.activeElement.textContent")
        assert focused == "acme/more-20"
        assert browser.execute_script(where) == pytest.approx(before, abs=40)
        assert_quiet(browser)

    def test_times_count(self, dashboard: Dashboard, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        dashboard.sign_in("/accounts")
        first = dashboard.find("td time").text
        WebDriverWait(dashboard.browser, PATIENCE).until(
            lambda _browser: dashboard.find("td time").text != first
        )

    def test_a_session_that_ended_leads_to_the_login(
        self, dashboard: Dashboard, installation: Installation
    ) -> None:
        dashboard.sign_in("/accounts")
        installation.connect("ads", "acme/ads")
        dashboard.open("/accounts")
        installation.write("DELETE FROM dashboard_session")
        WebDriverWait(dashboard.browser, PATIENCE).until(
            lambda _browser: (
                "/login?to=" in dashboard.browser.current_url
                or dashboard.browser.current_url.endswith("/login")
            )
        )


def test_of_use_without_javascript(dashboard: Dashboard, browser: Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        dashboard.sign_in("/connect")
        Select(dashboard.find("#provider")).select_by_value("ads")
        dashboard.fill("account", "acme/ads")
        dashboard.press("#consent")
        dashboard.allow("ada")
        dashboard.open("/accounts")
        assert dashboard.find(".badge").text == "Active"
        dashboard.fill("filter-text", "nothing like it")
        dashboard.press("#filter-go")
        assert "No account is like that" in dashboard.text()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
