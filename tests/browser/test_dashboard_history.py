"""A person looks at what happened: jobs and their runs, the audit trail, an account's refreshes."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import Select
from selenium.webdriver.support.wait import WebDriverWait

from connector.simulator import Simulator
from tests.acceptance.installation import Installation

from .conftest import screenshot
from .dashboard import PATIENCE, WIDTHS, Dashboard, faults, look, shown

#: Far from every slot: none of these begins by itself while the test looks.
JOBS = """
[jobs.insights]
account = "acme/*"
schedule = "30 6 * * 1-5"
timezone = "Europe/Berlin"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "insights", key = ["id"] }
[jobs.never-ran]
account = "beta/*"
run = "pulls:pull"
destination = { to = "sqlite:///ads.db", table = "others", key = ["id"] }
"""
#: Commits a batch, and goes on when it is told to.
PULL = """
import pathlib, time
def pull(api, context):
    context.logger.warning("the first page has %d records", 120)
    print("printed: <b>as it is</b>")
    context.progress(0.37, "act_2 of 5, <b>1</b> October 2026 to 7 October 2026")
    yield [{"id": number} for number in range(120)]
    go = pathlib.Path("go")
    ends_at = time.monotonic() + 60
    while not go.exists() and time.monotonic() < ends_at:
        time.sleep(0.05)
    yield [{"id": number} for number in range(120, 200)]
"""
DAY = 86_400.0
PAGES = {
    "jobs": "/jobs",
    "job": "/jobs/insights",
    "job-without-accounts": "/jobs/never-ran",
    "runs": "/runs",
    "no-run": "/runs?job=never-ran",
    "run-failed": f"/runs/{7:016x}",
    "audit": "/audit",
    "account-history": "/accounts/acme/ads",
}


@pytest.fixture
def installation(installation: Installation) -> Installation:
    installation.configure(JOBS)
    (installation.folder / "pulls.py").write_text(PULL)
    installation.connect("ads", "acme/ads")
    return installation


@pytest.fixture
def dashboard(browser: Chrome, installation: Installation) -> Iterator[Dashboard]:
    fill(installation)
    installation.serve()
    with shown(browser):
        yield Dashboard(browser, installation)


def fill(installation: Installation) -> None:
    """Have a month of runs, and two days of refreshes."""
    now = time.time()
    ((account_id,),) = installation.rows("SELECT id FROM account", database="vault.db")
    runs = []
    for number in range(1, 60):
        at = now - number * DAY / 2
        if 20 <= number <= 26:
            continue  # a long weekend
        outcome, error = "succeeded", None
        if number in {7, 31}:
            outcome, error = "failed", "HTTPStatusError: 500 Internal Server Error for /insights"
        elif number == 12:
            outcome, error = "consent_required", "the grant has ended"
        records = 0 if error else 800 + (number * 7919) % 1500
        cursor = json.dumps(time.strftime("%Y-%m-%d", time.gmtime(at)))
        runs.append(
            (f"{number:016x}", "insights", "acme/ads", at, at + 12, outcome, error, records, cursor)
        )
    installation.write(
        "INSERT INTO run (id, job, account, started_at, finished_at, outcome, error, records,"
        " batches, tokens, cursor, owner) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 3, 1, ?, 'elsewhere')",
        *runs,
    )
    refreshes = []
    for number in range(48):
        outcome, error, seconds = "granted", None, 0.18 + (number * 37 % 23) / 100
        if number in {5, 6}:
            outcome, error, seconds = "unavailable", "http_503", 0.9
        elif number == 20:
            outcome, error, seconds = "refused", "invalid_client", 0.4
        refreshes.append((account_id, now - 120 - number * 3500, seconds, outcome, error))
    installation.write(
        "INSERT INTO refreshes (account_id, at, seconds, outcome, error) VALUES (?, ?, ?, ?, ?)",
        *refreshes,
    )


def assert_quiet(browser: Chrome) -> None:
    """Nothing complained: no script failed, the policy blocked nothing of ours."""
    log: list[dict[str, str]] = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry["message"] for entry in log if entry["level"] == "SEVERE"] == []


def wait_for(dashboard: Dashboard, text: str) -> None:
    """Wait until the page says something, without loading it again."""
    WebDriverWait(dashboard.browser, PATIENCE).until(lambda _browser: text in dashboard.text())


def assert_it_shows_how_far_it_is(dashboard: Dashboard, selector: str) -> None:
    """As the terminal does: a share of the whole, where it is, how fast, and the time left."""
    assert "37 %" in dashboard.find(selector).text
    assert dashboard.find(f"{selector} meter").get_attribute("value") == "37"
    assert re.search(r"\d+ rows a second, (\d+ min )?\d+ s left", dashboard.text())


def look_at_both_schemes(browser: Chrome, width: str, name: str, selector: str) -> None:
    """Keep a picture of an element in light and dark; nothing sticks out."""
    for scheme in ("dark", "light"):
        look(browser, width, scheme)
        script = "document.querySelector(arguments[0]).scrollIntoView({block: 'center'})"
        browser.execute_script(script, selector)
        screenshot(browser, f"{name}-{width}-{scheme}")
        wide: int = browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= WIDTHS[width]["width"]


@pytest.mark.parametrize("width", ["phone", "desktop"])
def test_a_job_is_run_paused_and_resumed(
    dashboard: Dashboard, browser: Chrome, installation: Installation, width: str
) -> None:
    with shown(browser, width):
        dashboard.sign_in("/jobs")
        assert "Monday to Friday at 06:30 (Europe/Berlin)" in dashboard.text()
        dashboard.press("#run-insights")
        assert dashboard.find("#told").text == "A run for acme/ads has begun."
        page = dashboard.find("html")
        wait_for(dashboard, "120 rows in 1 batch are committed so far.")
        wait_for(dashboard, "act_2 of 5, <b>1</b> October 2026 to 7 October 2026")
        assert_it_shows_how_far_it_is(dashboard, "#run-live .share")
        look_at_both_schemes(browser, width, "history-run-live", "#run-live .share")
        dashboard.open("/jobs/insights")
        wait_for(dashboard, "act_2 of 5, <b>1</b> October 2026 to 7 October 2026")
        assert_it_shows_how_far_it_is(dashboard, "td.now")
        look_at_both_schemes(browser, width, "history-job-live", "td.now")
        browser.back()
        dashboard.find("#run-live .share")
        page = dashboard.find("html")
        (installation.folder / "go").touch()
        wait_for(dashboard, "Succeeded")
        assert dashboard.find("#records").text == "200"
        said = dashboard.find("pre.log").text
        assert "warning  the first page has 120 records" in said
        assert "stdout  printed: <b>as it is</b>" in said
        screenshot(browser, f"history-run-ended-{width}")
        assert page.is_displayed(), "the page was not loaded again"
        assert installation.rows("SELECT count(*) FROM insights") == [(200,)]

        dashboard.open("/jobs/insights")
        dashboard.press("#pause")
        assert dashboard.find("#told").text.startswith("insights is paused")
        assert "paused" in installation.run("jobs").stdout
        screenshot(browser, f"history-paused-{width}")
        dashboard.press("#resume")
        assert dashboard.find("#told").text == "insights runs on its schedule again."
        assert "paused" not in installation.run("jobs").stdout
        assert_quiet(browser)


def test_runs_are_chosen_and_turned_over(dashboard: Dashboard, browser: Chrome) -> None:
    dashboard.sign_in("/runs")
    assert len(dashboard.all("tbody tr")) == 50
    dashboard.press("a[rel=next]")
    assert len(dashboard.all("tbody tr")) == 2
    dashboard.press("a[rel=prev]")
    assert len(dashboard.all("tbody tr")) == 50
    dashboard.press("a[href*='state=failed']")
    assert len(dashboard.all("tbody tr")) == 3
    Select(dashboard.find("#filter-job")).select_by_value("insights")
    dashboard.fill("filter-account", "acme/none")
    dashboard.press("#filter-go")
    assert "No run is like that" in dashboard.text()
    dashboard.open("/runs?state=failed")
    dashboard.press("td.name a")
    assert "500 Internal Server Error" in dashboard.text()
    assert_quiet(browser)


def test_the_audit_trail_is_chosen_and_says_what_was_altered(
    dashboard: Dashboard, browser: Chrome, installation: Installation
) -> None:
    dashboard.sign_in("/audit")
    assert "The rows on this page fit the chain." in dashboard.find("#chain").text
    Select(dashboard.find("#filter-event")).select_by_value("consent.given")
    dashboard.press("#filter-go")
    (row,) = dashboard.all("tbody tr")
    assert "acme/ads" in row.text
    installation.write("UPDATE audit SET account = 'acme/x' WHERE event = 'consent.given'")
    browser.refresh()
    assert "does not fit" in dashboard.find("#chain").text
    for width in ("phone", "desktop"):
        look(browser, width, "light")
        screenshot(browser, f"history-audit-altered-{width}")
    assert_quiet(browser)


def test_an_account_shows_its_refreshes(
    dashboard: Dashboard, browser: Chrome, simulator: Simulator
) -> None:
    dashboard.sign_in("/accounts/acme/ads")
    assert dashboard.find("#refresh-rate").text == (
        "3 of 48 refreshes of the last 7 days failed (6 %)."
    )
    assert len(dashboard.all("svg.plot .mark")) == 48
    dashboard.press("#refresh")
    WebDriverWait(browser, PATIENCE).until(
        lambda _browser: len(dashboard.all("svg.plot .mark")) == 49
    )
    assert simulator.ledger.count("token") == 2, "the consent's and this one"
    assert_quiet(browser)


def test_what_happened_is_of_use_to_everybody(
    dashboard: Dashboard, browser: Chrome, axe: str
) -> None:
    dashboard.sign_in()
    found: dict[str, object] = {}
    for width in WIDTHS:
        for name, path in PAGES.items():
            look(browser, width, "light")
            dashboard.open(path)
            wide = dashboard.width() - WIDTHS[width]["width"]
            if wide > 0:
                found[f"{name} {width}"] = f"sticks out by {wide}"
            for scheme in ("light", "dark"):
                look(browser, width, scheme)
                browser.execute_script(  # what was refreshed stands further down
                    "document.querySelector('#refresh-rate')?.scrollIntoView()"
                )
                screenshot(browser, f"history-{name}-{WIDTHS[width]['width']}-{scheme}")
                if faulty := faults(browser, axe):
                    found[f"{name} {width} {scheme}"] = faulty
    assert found == {}
    assert_quiet(browser)


@pytest.mark.parametrize("width", [375, 720, 768, 900, 1024])
def test_long_names_and_errors_stay_within_the_page(
    dashboard: Dashboard, browser: Chrome, installation: Installation, width: int
) -> None:
    account = "customers/a-rather-long-company-name-042/ads.of.the.northern.business-unit"
    error = "HTTPStatusError: 400 for 'https://graph.example/act_1/insights?fields=a,b' " * 9
    changed = "UPDATE run SET account = ?, error = ? WHERE outcome = 'failed'"
    installation.write(changed, (account, error))
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 720}
    dashboard.sign_in("/runs")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    for path in ("/runs", "/runs?state=failed", "/jobs", "/jobs/insights", "/audit", "/accounts"):
        dashboard.open(path)
        assert dashboard.width() <= width, path
    dashboard.open("/runs?state=failed")
    assert dashboard.find("td .wrong").size["height"] < 80, "three lines; the run's page has all"
    dashboard.open(f"/runs/{7:016x}")
    assert error.strip() in dashboard.text()
