"""``connector vault export`` and ``import``: as a person or a script uses them."""

import io
import json
import os
import re
import shutil
import stat
import sys
from pathlib import Path

import click
import pyrage
import pytest

from connector import errors
from connector.cli.main import run
from connector.cli.private_file import new_private_file
from connector.journal import Journal, Record
from connector.testing import some_tokens
from tests.unit.cli.conftest import Commands
from tests.unit.workbench import ACCOUNT, run_apart

IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


class Move:
    """Two vaults with the same providers, and a key pair.

    Attributes:
        here, there: the commands, and the second vault's configuration.
        file: of exports.
        key: an identity file.
    """

    def __init__(self, commands: Commands) -> None:
        self.here = commands
        folder = commands.bench.folder
        self.there = folder / "there" / "config.toml"
        self.there.parent.mkdir()
        for name in ("config.toml", "acme.secret", "facebook.secret", "authority.pem"):
            shutil.copy(folder / name, self.there.parent / name)
        assert run(["init", "--config", str(self.there)]) == 0
        self.file = folder / "vault.age"
        self.key = folder / "key.txt"
        self.key.write_text(f"# public key: {RECIPIENT}\n{IDENTITY}\n")
        self.key.chmod(0o600)

    def export(self, file: Path | None = None) -> int:
        return self.here.run("vault", "export", str(file or self.file), "--recipient", RECIPIENT)

    def import_(self, *options: str) -> int:
        identity = ("--identity", str(self.key))
        return self.run_there("vault", "import", str(self.file), *identity, *options)

    def run_there(self, *arguments: str) -> int:
        status = run([*arguments, "--config", str(self.there)])
        self.here.out, self.here.err = self.here._capsys.readouterr()
        return status

    def lines(self) -> list[dict[str, object]]:
        """Open the export with another implementation."""
        identity = pyrage.x25519.Identity.from_str(IDENTITY)
        plain = pyrage.decrypt(self.file.read_bytes(), [identity])
        return [json.loads(line) for line in plain.splitlines()]

    def write(self, *lines: dict[str, object]) -> None:
        """Write a file with another implementation."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        recipient = pyrage.x25519.Recipient.from_str(RECIPIENT)
        self.file.write_bytes(pyrage.encrypt(text.encode(), [recipient]))


@pytest.fixture
def move(commands: Commands) -> Move:
    made = Move(commands)
    commands._capsys.readouterr()
    return made


def test_moved_it_goes_on_elsewhere(move: Move) -> None:
    move.here.bench.connect_apart()
    assert move.export() == 0, move.here.err
    assert move.here.out.startswith("exported: 1 account, 0 debts of revocation")
    assert move.import_() == 0, move.here.err
    assert move.here.out.startswith("imported: 1 account, 0 debts of revocation")
    assert "WARNING: do not start the installation that wrote this export of 20" in move.here.err
    assert move.run_there("refresh", ACCOUNT) == 0, move.here.err
    assert move.here.bench.refreshes == 1
    assert move.run_there("vault", "verify") == 0
    assert move.here.run("refresh", ACCOUNT) in {3, 4}, "its token is spent"


def test_the_audit_trail_has_it(move: Move) -> None:
    """CHECKLIST 123; and the accounts of another program."""
    move.here.bench.connect_apart()
    assert move.export() == 0
    assert move.import_() == 0
    tokens = move.file.with_name("tokens.csv")
    tokens.write_text("provider,account,refresh_token\nacme,acme/brought,r\n")
    assert move.run_there("accounts", "import", str(tokens)) == 0
    assert move.here.run("audit", "--event", "vault", "--json") == 0
    (row,) = [row for row in json.loads(move.here.out) if row["event"] == "vault.exported"]
    assert (row["count"], row["detail"]) == (1, {"file": str(move.file), "format": "age"})
    assert move.run_there("audit", "--event", "vault", "--json") == 0
    rows = [row for row in json.loads(move.here.out) if row["event"] == "vault.imported"]
    assert [(row["count"], row["detail"]["format"]) for row in rows] == [(1, "age"), (1, "tokens")]


def test_the_age_tool_opens_it(move: Move) -> None:
    token = move.here.bench.connect_apart()
    assert move.export() == 0
    head, account, *_, end = move.lines()
    assert head["format"] == "connector-vault-export"
    assert account["name"] == ACCOUNT
    assert token in json.dumps(account)
    assert end["counts"] == {"account": 1, "metadata": 1}


def test_nothing_of_it_is_readable(move: Move) -> None:
    """CHECKLIST 123: neither in the file nor in what is printed."""
    token = move.here.bench.connect_apart()
    assert move.export() == 0
    printed = (move.here.out + move.here.err).encode()
    refresh_token = str(move.lines()[1]["tokens"]["refresh_token"])  # type: ignore[index]
    for secret in (token, refresh_token, ACCOUNT):
        assert secret.encode() not in move.file.read_bytes()
        assert secret == ACCOUNT or secret.encode() not in printed


class TestFile:
    def test_it_is_private_and_nothing_is_left_beside_it(self, move: Move) -> None:
        before = names(move.file.parent)
        old = os.umask(0)
        try:
            assert move.export() == 0
        finally:
            os.umask(old)
        assert stat.S_IMODE(move.file.stat().st_mode) == 0o600
        of_the_vault = {"vault.db-wal", "vault.db-shm", "vault.db.journals"}
        assert names(move.file.parent) - before - of_the_vault == {"vault.age"}

    def test_it_is_never_written_over_another_one(self, move: Move) -> None:
        move.file.write_text("precious")
        assert move.export() == 2
        assert "exists already" in move.here.err
        assert move.file.read_text() == "precious"
        link = move.file.with_name("link")
        link.symlink_to("nowhere")
        assert move.export(link) == 2
        assert link.is_symlink()

    def test_one_that_appears_meanwhile_is_left_as_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "file"

        def late() -> None:
            with new_private_file(path) as file:
                file.write(b"ours")
                path.write_text("theirs")

        with pytest.raises(errors.ConfigurationError, match="exists already"):
            late()
        assert path.read_text() == "theirs"
        assert names(tmp_path) == {"file"}

    def test_it_appears_whole_or_not_at_all(self, tmp_path: Path) -> None:
        path = tmp_path / "file"

        def cut_off() -> None:
            with new_private_file(path) as file:
                file.write(b"half")
                assert not path.exists()
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            cut_off()
        assert names(tmp_path) == set()
        with new_private_file(path) as file:
            file.write(b"whole")
        assert path.read_bytes() == b"whole"

    def test_where_it_cannot_be_written_that_is_said(self, move: Move) -> None:
        assert move.export(move.file.parent / "nowhere" / "vault.age") == 2
        assert "cannot be written: No such file" in move.here.err

    def test_standard_output(self, move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
        out = io.TextIOWrapper(io.BytesIO())
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            assert move.export(Path("-")) == 0
        data = out.detach().getvalue()
        identity = pyrage.x25519.Identity.from_str(IDENTITY)
        assert b"connector-vault-export" in pyrage.decrypt(data, [identity])

    def test_a_pipe_that_is_closed_got_no_export(
        self, move: Move, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with monkeypatch.context() as patch, os.fdopen(os.dup(writing), "w") as out:
            patch.setattr(sys, "stdout", out)
            assert move.export(Path("-")) == 2
        os.close(writing)
        assert "standard output: was closed before the export was whole" in move.here.err
        assert "exported: " not in move.here.err

    def test_no_terminal_is_filled_with_it(
        self, move: Move, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        assert move.export(Path("-")) == 2
        assert move.here.out == ""

    def test_standard_input(self, move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
        move.here.bench.connect_apart()
        assert move.export() == 0
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(move.file.read_bytes())))
        assert move.run_there("vault", "import", "-", "--identity", str(move.key)) == 0
        assert move.here.out.startswith("imported: 1 account")

    @pytest.mark.parametrize("at", [0, 30, -1])
    def test_one_that_was_changed_is_refused(self, at: int, move: Move) -> None:
        move.here.bench.connect_apart()
        assert move.export() == 0
        data = bytearray(move.file.read_bytes())
        data[at] ^= 1
        move.file.write_bytes(data)
        assert move.import_() == 2
        assert move.here.err.endswith("; nothing was written\n")
        assert move.run_there("accounts", "--json") == 0
        assert move.here.out == "[]\n"


class TestWhoOpensIt:
    def test_a_passphrase(self, move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CONNECTOR_EXPORT_PASSPHRASE", "correct horse")
        move.here.bench.connect_apart()
        assert move.here.run("vault", "export", str(move.file)) == 0
        assert b"-> scrypt " in move.file.read_bytes()
        monkeypatch.setenv("CONNECTOR_EXPORT_PASSPHRASE", "correct horsf")
        assert move.run_there("vault", "import", str(move.file)) == 2
        assert "another key or passphrase" in move.here.err
        monkeypatch.setenv("CONNECTOR_EXPORT_PASSPHRASE", "correct horse")
        assert move.run_there("vault", "import", str(move.file)) == 0

    def test_a_passphrase_is_asked_for_twice(
        self, move: Move, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[dict[str, object]] = []

        def prompt(text: str, **options: object) -> str:
            asked.append({"text": text, **options})
            return "correct horse"

        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr(click, "prompt", prompt)
        assert move.here.run("vault", "export", str(move.file)) == 0
        assert move.run_there("vault", "import", str(move.file)) == 0
        assert [bool(one["confirmation_prompt"]) for one in asked] == [True, False]
        assert all(one["hide_input"] and one["err"] for one in asked)

    def test_without_one_it_is_said_what_to_give(self, move: Move) -> None:
        assert move.here.run("vault", "export", str(move.file)) == 2
        assert "--recipient age1…, or a passphrase in CONNECTOR_EXPORT_PASSPHRASE" in move.here.err
        assert not move.file.exists()
        assert move.export() == 0
        assert move.run_there("vault", "import", str(move.file)) == 2
        assert "--identity FILE, or a passphrase" in move.here.err

    def test_all_recipients_that_are_none_are_named_and_no_secret_key(self, move: Move) -> None:
        options = ("--recipient", "age1typo", "--recipient", IDENTITY, "--recipient", RECIPIENT)
        assert move.here.run("vault", "export", str(move.file), *options) == 2
        assert move.here.err.count("is no recipient") == 2
        assert "SECRET" not in move.here.err
        assert not move.file.exists()

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "there is no identity in it"),
            ("# nothing\n", "there is no identity in it"),
            (f"{IDENTITY}\n{IDENTITY[:-1]}Q\n", "line 2: no identity"),
            (RECIPIENT, "line 1: no identity: of another kind"),
        ],
    )
    def test_what_is_no_identity_is_told_and_not_shown(
        self, text: str, problem: str, move: Move
    ) -> None:
        assert move.export() == 0
        move.key.write_text(text)
        assert move.import_() == 2
        assert problem in move.here.err
        assert "SECRET-KEY-1G" not in move.here.err

    def test_a_key_that_others_can_read_is_told(self, move: Move) -> None:
        assert move.export() == 0
        move.key.chmod(0o644)
        assert move.import_() == 0
        assert f"{move.key} can be read by others; type: chmod 600 {move.key}" in move.here.err

    def test_a_file_that_is_not_there(self, move: Move) -> None:
        assert move.import_() == 2
        assert "cannot be read: No such file" in move.here.err
        assert move.export() == 0
        move.key.unlink()
        assert move.import_() == 2
        assert "cannot be read: No such file" in move.here.err


class TestPresent:
    def test_a_script_is_told_what_to_type(self, move: Move) -> None:
        move.here.bench.connect_apart()
        assert move.export() == 0
        assert move.import_() == 0
        assert move.import_() == 6
        assert f"accounts are here already: {ACCOUNT}" in move.here.err
        assert "--replace" in move.here.err
        assert "--skip" in move.here.err
        assert move.import_("--skip") == 0
        assert f"connector: {ACCOUNT}: skipped, it is here already\n" in move.here.err
        assert move.import_("--replace") == 0
        assert move.import_("--replace", "--skip") == 2

    @pytest.mark.parametrize(
        ("answer", "status", "count"), [("replace", 0, 1), ("skip", 0, 0), ("stop", 130, None)]
    )
    def test_a_person_is_asked(
        self,
        answer: str,
        status: int,
        count: int | None,
        move: Move,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        move.here.bench.connect_apart()
        assert move.export() == 0
        assert move.import_() == 0
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr(click, "prompt", lambda *_, **__: answer)
        assert move.import_() == status
        assert f"Accounts are here already: {ACCOUNT}\n" in move.here.err
        assert count is None or move.here.out.startswith(f"imported: {count} account")

    def test_what_is_older_is_held_until_a_person_confirms(self, move: Move) -> None:
        """Restored from an export of yesterday (CHECKLIST 80, R35)."""
        move.here.bench.connect_apart(is_expired=True)
        assert move.export() == 0
        assert move.here.run("token", ACCOUNT) == 0
        sent = move.here.bench.refreshes
        identity = ("--identity", str(move.key), "--replace")
        assert move.here.run("vault", "import", str(move.file), *identity) == 0
        assert f"{ACCOUNT}: held" in move.here.err
        assert "WARNING" not in move.here.err, "it is this very vault"
        assert move.here.run("token", ACCOUNT) == 4
        assert f"connector refresh {ACCOUNT}" in move.here.err
        assert "9999" not in move.here.err, "no time is told at which it is tried again"
        assert move.here.bench.refreshes == sent, "nothing was sent"
        assert move.here.run("accounts") == 0
        assert "held: the export" in move.here.out
        move.here.run("doctor")
        assert f"connector refresh {ACCOUNT}" in move.here.out
        assert "it is tried again" not in move.here.out
        assert move.here.run("refresh", ACCOUNT) in {0, 3, 4}
        assert move.here.bench.refreshes == sent + 1


def test_all_problems_of_a_file_are_told_at_once(move: Move) -> None:
    import hashlib

    head = {"kind": "vault", "format": "connector-vault-export", "version": 1}
    lines: list[dict[str, object]] = [head, {"kind": "account"}, {"kind": "halt", "more": 1}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    end: dict[str, object] = {
        "kind": "end",
        "counts": {"account": 1, "halt": 1},
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    move.write(*lines, end)
    assert move.import_() == 2
    told = move.here.err.splitlines()
    assert all(re.match(r"connector: .*vault.age: line [23]: ", line) for line in told)
    assert any("line 2: name is missing" in line for line in told)
    assert any("line 3: more is not known to this version" in line for line in told)


def test_providers_that_are_not_configured_are_named(move: Move) -> None:
    move.here.bench.connect_apart()
    assert move.export() == 0
    text = move.there.read_text()
    move.there.write_text(text.replace("[providers.acme]", "[providers.other]"))
    assert move.import_() == 0, move.here.err
    assert "there is no [providers.acme] in the configuration" in move.here.err


def keep(move: Move) -> None:
    """Have an answer wait in the journal."""
    bench = move.here.bench

    async def work() -> None:
        async with bench.runtime() as runtime:
            account = await runtime.accounts.require(ACCOUNT)
            write = runtime.grants.renewal(account, some_tokens("kept"))
            record = Record(
                account_id=account.id, generation=account.generation, payload=write.dump()
            )
        journal = Journal(runtime.settings.vault.journal)
        journal.keep(record)
        journal.close()

    run_apart(work)


def test_what_waits_in_the_journal_is_exported(move: Move) -> None:
    """An export without the newest token would be worse than none."""
    move.here.bench.connect_apart()
    keep(move)
    assert move.export() == 0
    assert f"{ACCOUNT}: with the answer that waits in the journal" in move.here.err
    assert "refresh-kept" in json.dumps(move.lines())


def test_what_waits_in_the_journal_is_newer_than_an_import(move: Move) -> None:
    """It is written before its account is replaced, whose token it shows to be spent."""
    move.here.bench.connect_apart()
    assert move.export() == 0
    keep(move)
    identity = ("--identity", str(move.key))
    assert move.here.run("vault", "import", str(move.file), *identity, "--skip") == 0
    assert move.export(move.file.with_name("second")) == 0
    assert "waits in the journal" not in move.here.err
    move.file.with_name("second").replace(move.file)
    assert "refresh-kept" in json.dumps(move.lines()), "it was written"


def test_what_was_kept_for_a_vault_that_is_lost_shows_a_spent_token(move: Move) -> None:
    """Nobody can open it any more, and the token of the export is not sent without asking."""
    bench = move.here.bench
    bench.connect_apart(is_expired=True)
    assert move.export() == 0
    keep(move)
    for name in ("vault.db", "root.key"):
        (bench.folder / name).unlink()
    assert move.here.run("init") == 0
    identity = ("--identity", str(move.key))
    assert move.here.run("vault", "import", str(move.file), *identity) == 0
    assert f"{ACCOUNT}: held" in move.here.err
    assert move.here.run("token", ACCOUNT) == 4
    assert bench.refreshes == 0


def test_what_does_not_open_is_named_and_the_rest_is_exported(move: Move) -> None:
    import sqlite3
    from contextlib import closing

    move.here.bench.connect_apart()
    move.here.bench.connect_apart("acme/two", person="grace")
    with closing(sqlite3.connect(move.here.bench.folder / "vault.db")) as database:
        database.execute(
            "UPDATE account SET refresh_token_sealed = access_token_sealed WHERE name = 'acme/two'"
        )
        database.commit()
    assert move.export() == 5
    assert "connector: acme/two: " in move.here.err
    states = {line.get("name"): line.get("state") for line in move.lines()}
    assert (states[ACCOUNT], states["acme/two"]) == ("active", "consent_required")
