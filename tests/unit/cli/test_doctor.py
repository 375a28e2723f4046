"""``connector doctor``: what it calls a problem."""

import asyncio
import json

import pytest

from connector.store.halts import Halt, HaltStore

from .conftest import Commands


def found(commands: Commands, subject: str) -> dict[str, str]:
    """Give the finding on one subject that is not fine."""
    finding, *more = (
        one
        for one in json.loads(commands.out)
        if one["subject"] == subject and one["verdict"] != "ok"
    )
    assert not more
    return dict(finding)


@pytest.fixture(autouse=True)
def _connected(commands: Commands) -> None:
    commands.bench.connect_apart()


def test_all_is_well(commands: Commands) -> None:
    assert commands.run("doctor") == 0
    assert "account acme/ads: is active" in commands.out


def test_the_journal_is_on_a_file_system_that_a_restart_empties(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = commands.bench.folder
    monkeypatch.setattr(
        "connector.journal_folder.device_of", lambda path: 21 if path.name == "elsewhere" else 1
    )
    monkeypatch.setattr("connector.journal_folder._volatile", lambda _: [(21, "tmpfs")])
    commands.configure(replace=("[vault]", '[vault]\njournal = "elsewhere"'))
    assert commands.run("doctor", "--json") == 2
    finding = found(commands, "configuration")
    assert finding["verdict"] == "problem"
    assert f"vault.journal: {folder}/elsewhere is on a tmpfs" in finding["message"]
    assert "name a folder on a disk" in finding["remedy"]


def test_the_vault_is_as_volatile_as_its_journal(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.journal_folder.device_of", lambda _: 21)
    monkeypatch.setattr("connector.journal_folder._volatile", lambda _: [(21, "tmpfs")])
    assert commands.run("doctor", "--json") == 0
    finding = found(commands, "journal")
    assert finding["verdict"] == "warning"
    assert "is on a tmpfs" in finding["message"]


@pytest.mark.parametrize(
    ("profile", "is_told"),
    [
        ('rotation = "grace"', True),
        ('rotation = "grace", grace = "0s"', True),
        ('rotation = "grace", grace = "30s"', False),
        ('rotation = "idempotent"', False),
        ('rotation = "strict"', False),
    ],
)
def test_a_grace_without_a_time(commands: Commands, profile: str, *, is_told: bool) -> None:
    commands.configure(acme=f"refresh_token = {{ {profile} }}")
    assert commands.run("doctor", "--json") == 0
    if is_told:
        finding = found(commands, "provider acme")
        assert finding["verdict"] == "warning"
        assert "it counts as strict" in finding["message"]
        assert "set refresh_token.grace under [providers.acme]" in finding["remedy"]
    else:
        assert "it counts as strict" not in commands.out


def test_the_registration_was_changed(commands: Commands) -> None:
    commands.configure(replace=(commands.bench.simulator.client.client_id, "another"))
    assert commands.run("token", "acme/ads") == 3
    assert commands.run("doctor", "--json") == 3
    finding = found(commands, "account acme/ads")
    assert finding["verdict"] == "problem"
    assert "cannot give a token: its tokens were issued to another" in finding["message"]
    assert "connector connect acme --account acme/ads" in finding["remedy"]


def test_the_provider_is_not_configured_any_more(commands: Commands) -> None:
    commands.configure(replace=("[providers.acme]", "[providers.other]"))
    assert commands.run("doctor", "--json") == 2
    finding = found(commands, "account acme/ads")
    assert finding["verdict"] == "problem"
    assert finding["message"] == "its provider 'acme' is not configured"
    assert "connector forget acme/ads" in finding["remedy"]


def test_the_provider_rejects_the_registration(commands: Commands) -> None:
    commands.bench.simulator.change({"client_secret": "another"})
    assert commands.run("refresh", "acme/ads") == 8
    assert commands.run("doctor", "--json") == 8
    finding = found(commands, "provider acme")
    assert finding["verdict"] == "problem"
    assert "rejected our client registration at the last refresh: inv" in finding["message"]
    commands.bench.simulator.change({"client_secret": "simulator-secret"})
    (commands.bench.folder / "acme.secret").write_text("simulator-secret")
    assert commands.run("refresh", "acme/ads") == 0
    assert commands.run("doctor") == 0


def test_a_provider_that_only_rests_is_no_problem(commands: Commands) -> None:
    async def rest() -> None:
        async with commands.bench.runtime() as runtime:
            halt = Halt(provider="acme", until=2e9, since=1.0, message="is busy")
            await HaltStore(runtime.database).begin(halt)

    asyncio.run(rest())
    assert commands.run("doctor") == 0
