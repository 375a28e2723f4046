"""Every page of the dashboard is of use to everybody: axe-core, the keyboard, and every width."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.acceptance.installation import Installation

from .conftest import screenshot
from .dashboard import WIDTHS, Dashboard, faults, look, shown

PAGES = {
    "accounts": "/accounts",
    "nothing-like-it": "/accounts?text=zzz",
    "account": "/accounts/acme/ads",
    "failing": "/accounts/acme/failing",
    "ended": "/accounts/acme/ended",
    "rename": "/accounts/acme/ads/rename",
    "revoke": "/accounts/acme/ads/revoke",
    "connect": "/connect",
    "keys": "/keys",
    "new-key": "/keys/new",
    "revoke-key": "/keys/report/revoke",
    "no-account": "/accounts/acme/none",
}


@pytest.fixture
def dashboard(browser: Chrome, installation: Installation) -> Iterator[Dashboard]:
    """Accounts in every state, and keys."""
    installation.connect("ads", "acme/ads")
    columns = [
        row[1] for row in installation.rows("PRAGMA table_info(account)", database="vault.db")
    ]
    kept = ", ".join(column for column in columns if column not in {"id", "name"})
    copying = f"INSERT INTO account (id, name, {kept}) SELECT ?, ?, {kept} FROM account"  # noqa: S608
    for name in ("failing", "ended", "soon"):
        installation.write(f"{copying} WHERE name = 'acme/ads'", (name, f"acme/{name}"))
    changes = {
        "ads": "subject_name = 'Ada Lovelace', subject = '1204817'",
        "failing": "last_error = 'it answered 503', failures = 3, failing_since = 1.8e9,"
        " retry_at = 1.9e9",
        "ended": "state = 'consent_required', reason = 'the grant has ended'",
        "soon": "consent_ends_at = 1 + (SELECT max(minted_at) FROM account)",
    }
    for name, change in changes.items():
        installation.write(f"UPDATE account SET {change} WHERE name = 'acme/{name}'")  # noqa: S608
    made = installation.run("keys", "create", "report", "--accounts", "**", "--scope", "admin")
    assert made.returncode == 0, made.stderr
    installation.serve()
    with shown(browser):
        yield Dashboard(browser, installation)


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_axe_finds_no_fault(dashboard: Dashboard, browser: Chrome, axe: str, width: str) -> None:
    dashboard.open("/login")
    found = {}
    for scheme in ("light", "dark"):
        look(browser, width, scheme)
        found[f"login {scheme}"] = faults(browser, axe)
    dashboard.sign_in()
    for name, path in PAGES.items():
        look(browser, width, "light")
        dashboard.open(path)
        for scheme in ("light", "dark"):
            look(browser, width, scheme)
            found[f"{name} {scheme}"] = faults(browser, axe)
    for name, show in (("link", make_link), ("key", make_key)):
        show(dashboard)
        for scheme in ("light", "dark"):
            look(browser, width, scheme)
            found[f"{name} {scheme}"] = faults(browser, axe)
            screenshot(browser, f"dashboard-{name}-{WIDTHS[width]['width']}-{scheme}")
        assert dashboard.width() <= WIDTHS[width]["width"]
    assert {page: one for page, one in found.items() if one} == {}


def make_link(dashboard: Dashboard) -> None:
    dashboard.open("/connect")
    Select(dashboard.find("#provider")).select_by_value("ads")
    dashboard.fill("account", "acme/colleague")
    dashboard.press("#share")
    assert "/connect/" in (dashboard.find("#link").get_attribute("value") or "")


def make_key(dashboard: Dashboard) -> None:
    dashboard.open("/keys/new")
    dashboard.fill("name", "another")
    dashboard.fill("accounts", "acme/*")
    dashboard.press("#create")
    assert (dashboard.find("#key").get_attribute("value") or "").startswith("ck_")


def test_axe_would_find_one(dashboard: Dashboard, browser: Chrome, axe: str) -> None:
    """It looks: a button without a name, and a text that nobody can read, are found."""
    dashboard.open("/login")
    browser.execute_script(
        "document.querySelector('.primary').textContent = '';"
        "document.querySelector('.lead').style.color = '#eee'"
    )
    found = " ".join(faults(browser, axe))
    assert "button-name" in found
    assert "color-contrast" in found


def test_nothing_sticks_out_at_any_width(dashboard: Dashboard, browser: Chrome) -> None:
    dashboard.sign_in()
    wide = {}
    for width in WIDTHS:
        for name, path in PAGES.items():
            look(browser, width, "light")
            dashboard.open(path)
            wide[name, width] = dashboard.width() - WIDTHS[width]["width"]
            for scheme in ("light", "dark"):
                look(browser, width, scheme)
                screenshot(browser, f"dashboard-{name}-{WIDTHS[width]['width']}-{scheme}")
    assert {place: more for place, more in wide.items() if more > 0} == {}


@pytest.mark.parametrize("path", ["/accounts", "/accounts/acme/ads", "/keys/new", "/login"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(
    dashboard: Dashboard, browser: Chrome, path: str
) -> None:
    if path != "/login":
        dashboard.sign_in(path)
    dashboard.open(path)
    expected = browser.execute_script(
        """return [...document.querySelectorAll(
             "a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")]
           .filter((one) => one.checkVisibility()).length"""
    )
    reached = set()
    for _ in range(expected + 5):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        if active.tag_name in {"body", "html"}:
            continue  # past the end; on it goes from the beginning
        style = browser.execute_script(
            """const style = getComputedStyle(document.activeElement);
            const box = document.activeElement.getBoundingClientRect();
            return [style.outlineStyle, parseFloat(style.outlineWidth), box.width, box.top]"""
        )
        name = active.get_attribute("outerHTML")
        assert style[0] != "none", name
        assert style[1] >= 2, name
        assert style[2] > 1, name
        assert style[3] >= 0, f"it is in sight: {name}"
        reached.add(active.id)
    assert len(reached) >= expected


def test_the_first_key_leads_past_the_sections(dashboard: Dashboard, browser: Chrome) -> None:
    dashboard.sign_in("/keys")
    dashboard.open("/keys")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.text == "Skip to content"
    ActionChains(browser).send_keys(Keys.ENTER).perform()
    ActionChains(browser).send_keys(Keys.TAB).perform()
    within = "return document.activeElement.closest('main') !== null"
    assert browser.execute_script(within), "past the sections, in the page itself"
