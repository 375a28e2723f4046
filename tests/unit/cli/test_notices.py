"""``connector notices``: what it shows, and what becomes of a trial."""

import json
import sys

import pytest

from connector.token_source.verdict import GRANT_ENDED
from tests.unit.workbench import ACCOUNT, NOW, run_apart

from .conftest import Commands

HOOK = "import sys; open('told', 'a').write(sys.stdin.read())"
PYTHON = json.dumps([sys.executable, "-c", HOOK])


@pytest.fixture
def ended(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """An account whose grant has ended."""
    monkeypatch.setattr("time.time", commands.bench.clock.now)

    async def end() -> None:
        async with commands.bench.runtime() as runtime:
            account = await commands.bench.connect(runtime)
            await runtime.grants.require_consent(account, GRANT_ENDED, now=NOW)

    run_apart(end)
    return commands


def listed(commands: Commands, *arguments: str) -> list[dict[str, object]]:
    assert commands.run("notices", "--json", *arguments) == 0, commands.err
    found: list[dict[str, object]] = json.loads(commands.out)
    return found


def test_there_is_nothing_to_tell(commands: Commands) -> None:
    assert commands.run("notices") == 0
    assert commands.out == "There is nothing to tell.\n"
    assert listed(commands) == []


def test_it_shows_what_is_open_and_no_daemon_runs(ended: Commands) -> None:
    (notice,) = listed(ended)
    assert (notice["kind"], notice["account"]) == ("consent_required", ACCOUNT)
    assert (notice["severity"], notice["resolved"]) == ("error", False)
    assert listed(ended) == [notice], "it is another one the second time"
    assert ended.run("notices") == 0
    assert f"account {ACCOUNT} needs consent" in ended.out
    assert f"connector connect acme --account {ACCOUNT}" in ended.out


def test_what_is_over_is_shown_when_asked_for(ended: Commands) -> None:
    listed(ended)

    async def forget() -> None:
        async with ended.bench.runtime() as runtime:
            await runtime.accounts.forget(await runtime.accounts.require(ACCOUNT))

    run_apart(forget)
    assert listed(ended) == []
    (notice,) = listed(ended, "--all")
    assert (notice["resolved"], notice["type"]) == (True, "notice.resolved")


def test_a_trial_goes_through_every_channel(commands: Commands) -> None:
    commands.configure(f"[notify]\ncommand = {PYTHON}\nurls = ['json://127.0.0.1:1/']")
    assert commands.run("notices", "test") == 4
    assert commands.out == "command: told\napprise 1: the service did not take it\n"
    told = json.loads((commands.bench.folder / "told").read_text())
    assert (told["kind"], told["severity"]) == ("trial", "info")
    assert commands.run("notices", "test", "--json") == 4
    assert json.loads(commands.out) == [
        {"channel": "command", "told": True, "reason": None},
        {"channel": "apprise 1", "told": False, "reason": "the service did not take it"},
    ]
    commands.configure(f"[notify]\ncommand = {PYTHON}")
    assert commands.run("notices", "test") == 0


def test_a_trial_without_a_channel(commands: Commands) -> None:
    assert commands.run("notices", "test") == 2
    assert "notify: has no channel" in commands.err


def test_channels_that_are_not_as_they_should_be_are_all_told(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_SECRET", "t0ken")
    commands.configure(
        """
        [notify]
        urls = ["env:NOT_SET", "nosuch://t0ken"]
        webhooks = [{ url = "http://hooks.example/t0ken", secret = "env:NO_SECRET" },
                    { url = "https://hooks.example/t0ken", secret = "env:NO_SECRET" }]
        """
    )
    assert commands.run("notices", "test") == 2
    for line in (
        "notify.webhooks[0].url: must be https",
        "notify.webhooks[1].secret: is not whsec_",
        "notify.urls[0]: the environment variable NOT_SET is not set",
        "notify.urls[1]: is no URL that Apprise knows",
    ):
        assert line in commands.err
    assert "t0ken" not in commands.err
