"""``connector doctor``: what it calls a problem."""

import asyncio
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from keyring.backends import null

from connector.cli.checkup.host import check_swap
from connector.journal import Journal, Record
from connector.settings import load_settings
from connector.store.halts import Halt, HaltStore
from connector.store.vault_keys import make_data_key
from connector.testing import some_tokens

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
        "connector.file_systems._device_of", lambda path: 21 if path.name == "elsewhere" else 1
    )
    monkeypatch.setattr("connector.file_systems._mounted", lambda _: [(21, "tmpfs")])
    commands.configure(replace=("[vault]", '[vault]\njournal = "elsewhere"'))
    assert commands.run("doctor", "--json") == 2
    finding = found(commands, "configuration")
    assert finding["verdict"] == "problem"
    assert f"vault.journal: {folder}/elsewhere is on a tmpfs" in finding["message"]
    assert "name a folder on a disk" in finding["remedy"]


def test_the_vault_is_as_volatile_as_its_journal(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.file_systems._device_of", lambda _: 21)
    monkeypatch.setattr("connector.file_systems._mounted", lambda _: [(21, "tmpfs")])
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


def checked(commands: Commands, subject: str) -> dict[str, str]:
    """Give the finding on one subject, fine or not."""
    (finding,) = (one for one in json.loads(commands.out) if one["subject"] == subject)
    return dict(finding)


def test_what_sqlite_says_of_itself_is_read_back(commands: Commands) -> None:
    assert commands.run("doctor", "--json") == 0
    finding = checked(commands, "database")
    assert finding["verdict"] == "ok"
    assert finding["message"] == "SQLite, journal_mode wal, synchronous 2 (2 is FULL)"


def test_values_under_older_keys_are_counted(commands: Commands) -> None:
    assert commands.run("doctor", "--json") == 0
    assert checked(commands, "data keys")["message"] == "2 sealed values, all under data key 1"

    async def make() -> None:
        async with commands.bench.runtime() as runtime:
            await make_data_key(runtime.database, runtime.vault, now=runtime.now())

    asyncio.run(make())
    assert commands.run("doctor", "--json") == 0
    finding = found(commands, "data keys")
    assert finding["message"] == "2 of 2 sealed values are under older data keys"
    assert finding["remedy"] == "type: connector vault rotate --resume"
    assert commands.run("vault", "rotate", "--resume") == 0
    assert commands.run("doctor", "--json") == 0
    assert checked(commands, "data keys")["message"] == "2 sealed values, all under data key 2"


def test_answers_that_wait_in_the_journal_are_told(commands: Commands) -> None:
    async def keep() -> None:
        async with commands.bench.runtime(now=lambda: 1_800_000_000.0) as runtime:
            account = await runtime.accounts.require("acme/ads")
            write = runtime.grants.renewal(account, some_tokens(at=1_800_000_000.0))
            journal = Journal(runtime.settings.vault.journal)  # of a process that is killed
            journal.keep(Record(account_id=account.id, generation=99, payload=write.dump()))
            journal.close()

    asyncio.run(keep())
    assert commands.run("doctor", "--json") == 0
    finding = found(commands, "journal")
    assert "1 answers wait to be written" in finding["message"]
    assert "since 2027-01-15 08:00:00 UTC" in finding["message"]


def test_a_journal_open_to_others(commands: Commands) -> None:
    folder = load_settings(commands.bench.config).vault.journal
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    assert commands.run("doctor", "--json") == 5
    finding = found(commands, "vault")
    assert f"the journal {folder} is open to others" in finding["message"]
    assert f"chmod 700 {folder}" in finding["message"]
    folder.chmod(0o700)
    assert commands.run("doctor", "--json") == 0
    assert "mode 0700: no answer waits" in checked(commands, "journal")["message"]


@pytest.mark.parametrize("name", ["vault.db", "root.key"])
def test_a_database_or_key_open_to_others(commands: Commands, name: str) -> None:
    path = commands.bench.folder / name
    path.chmod(0o644)
    assert commands.run("doctor", "--json") == 5
    assert f"chmod 600 {path}" in found(commands, "vault")["message"]


def test_a_configuration_that_holds_a_secret_and_is_open_to_others(commands: Commands) -> None:
    commands.configure(replace=('"file:acme.secret"', '"a-secret"'))
    text = commands.bench.config.read_text()
    commands.bench.config.write_text(f"allow_plaintext_secrets = true\n{text}")
    commands.bench.config.chmod(0o644)
    assert commands.run("doctor", "--json") == 0
    findings = [one for one in json.loads(commands.out) if one["subject"] == "secrets"]
    told = {one["remedy"]: one["message"] for one in findings}
    assert f"type: chmod 600 {commands.bench.config}" in told
    commands.bench.config.chmod(0o600)
    assert commands.run("doctor") == 0
    assert "config.toml may be read" not in commands.out


SWAPS = "Filename Type Size Used Priority\n"


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ("", ["ok"]),
        ("/dev/zram0 partition 1 0 100\n", ["ok"]),
        ("/dev/dm-1 partition 1 0 -2\n", ["ok"]),
        ("/dev/dm-2 partition 1 0 -2\n", ["warning"]),
        ("/swapfile file 1 0 -2\n/dev/sda2 partition 1 0 -3\n", ["warning", "warning"]),
    ],
)
def test_swap_that_is_not_known_to_be_encrypted(
    tmp_path: Path, places: str, told: list[str]
) -> None:
    for name, uuid in (("dm-1", "CRYPT-PLAIN-swap"), ("dm-2", "LVM-swap")):
        (tmp_path / name / "dm").mkdir(parents=True)
        (tmp_path / name / "dm" / "uuid").write_text(uuid)
    swaps = tmp_path / "swaps"
    swaps.write_text(SWAPS + places)
    findings = list(check_swap(swaps, tmp_path))
    assert [finding.verdict for finding in findings] == told
    assert all("encrypt it" in one.remedy for one in findings if one.verdict == "warning")


def test_without_proc_nothing_is_said_of_swap(tmp_path: Path) -> None:
    assert list(check_swap(tmp_path / "none")) == []


def test_core_dumps_that_the_system_does_not_forbid(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for is_forbidden, verdict in ((True, "ok"), (False, "warning")):
        monkeypatch.setattr(
            "connector.cli.checkup.host.are_core_dumps_forbidden", lambda told=is_forbidden: told
        )
        assert commands.run("doctor", "--json") == 0
        assert checked(commands, "core dumps")["verdict"] == verdict


def test_a_keyring_that_is_none(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.configure(replace=('seal = "file:root.key"', 'seal = "keyring"'))
    monkeypatch.setattr("keyring.get_keyring", null.Keyring)
    assert commands.run("doctor", "--json") == 5
    finding = found(commands, "keyring")
    assert "no keyring that keeps secrets encrypted" in finding["message"]
    assert "file:root.key" in finding["message"]


def test_a_keyring_that_answers(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.configure(replace=('seal = "file:root.key"', 'seal = "keyring"'))
    monkeypatch.setattr("connector.cli.checkup.host.find_keyring", lambda: "SecretService")
    commands.run("doctor", "--json")
    assert checked(commands, "keyring")["message"].startswith("SecretService answers (")


def test_a_consent_that_ends_soon(commands: Commands) -> None:
    with closing(sqlite3.connect(commands.bench.folder / "vault.db")) as database:
        database.execute("UPDATE account SET consent_ends_at = ?", (time.time() + 3 * 86_400,))
        database.commit()
    assert commands.run("doctor", "--json") == 0
    finding = found(commands, "account acme/ads")
    assert finding["message"].startswith("its consent ends in ")
    assert finding["remedy"] == "type: connector connect acme --account acme/ads"


def test_many_accounts_that_are_well_are_counted(commands: Commands) -> None:
    for number in range(11):
        commands.bench.connect_apart(f"acme/{number}")
    assert commands.run("doctor") == 0
    assert "accounts: 12 more are active" in commands.out
    assert "account acme/ads" not in commands.out
    assert commands.out.splitlines()[-1].partition(" ")[2].startswith("checks: no problem, ")


@pytest.mark.parametrize(
    ("notify", "verdict", "message"),
    [
        ("", "ok", "no channel is set"),
        ('command = ["sh", "-c", "cat"]', "ok", "can be sent by command"),
        ('command = ["no-such-program"]', "warning", "there is no program no-such-program"),
        ('command = ["./hook"]', "warning", "there is no program ./hook"),
        ('urls = ["nosuch://x"]', "problem", "notify.urls[0]: is no URL that Apprise knows"),
        ('urls = ["file:absent"]', "problem", "notify.urls[0]: "),
    ],
)
def test_channels_of_notices(commands: Commands, notify: str, verdict: str, message: str) -> None:
    commands.configure(f"[notify]\n{notify}")
    assert commands.run("doctor", "--json") == (2 if verdict == "problem" else 0)
    (finding,) = (one for one in json.loads(commands.out) if one["subject"] == "notices")
    assert finding["verdict"] == verdict
    assert message in finding["message"]
    assert bool(finding["remedy"]) is (verdict != "ok")
