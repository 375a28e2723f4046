"""A seal of a passphrase: what it costs is bounded, and where the passphrase comes from."""

import os
import struct
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.errors import VaultSealed
from connector.secret import Secret
from connector.testing import MemorySeal, SealConformance
from connector.vault import environment, passphrase_seal, passphrase_source, terminal
from connector.vault.passphrase_seal import Cost, PassphraseSeal
from connector.vault.passphrase_source import PassphraseSource
from connector.vault.seal import Seal, open_seal

ROOT_KEY = b"r" * 32
#: Made with argon2-cffi 25.1 and AES-GCM, apart from our code.
VECTOR = (
    "b41b369d7959f0e4fdb9b70d0a7bb43d4f2579cbbd8b3440a3c330e6632f8864"
    "a148fa10aa5956d380d64d44743692a9"
)
STORE = "store"
NEW, OLD = "CONNECTOR_VAULT_NEW_PASSPHRASE", "CONNECTOR_VAULT_PASSPHRASE"
WORDS = "correct horse battery"


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take nothing from the environment and terminal of whoever runs the tests."""
    monkeypatch.setattr(environment, "_taken", {})
    monkeypatch.setattr(terminal, "has_terminal", lambda: False)
    monkeypatch.delenv(NEW, raising=False)
    monkeypatch.delenv(OLD, raising=False)


class TestPassphraseSeal(SealConformance):
    """Of a file; what is asked for is asked for once."""

    def open_seal(self, place: Path) -> Seal:
        return open_seal("passphrase", "file:words", place)

    def supply_key(self, place: Path) -> None:
        write(place / "words", f"words of {place.name}\n")


def write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def seal_of(text: str, cost: Cost | None = None) -> PassphraseSeal:
    source = PassphraseSource(
        description="a passphrase", read=lambda: Secret(text), choose=lambda: Secret(text)
    )
    return PassphraseSeal(source, cost)


def wrapped_with(memory: int, iterations: int, lanes: int) -> bytes:
    """Give a wrapped root key that claims such costs."""
    wrapped = seal_of(WORDS).wrap(ROOT_KEY, STORE)
    return wrapped[:1] + struct.pack(">III", memory, iterations, lanes) + wrapped[13:]


def test_what_is_stored_says_how_it_was_made() -> None:
    """RFC 9106 §4, second choice; the form is read by every later version."""
    wrapped = seal_of(WORDS).wrap(ROOT_KEY, STORE)
    assert wrapped[:13] == b"P" + struct.pack(">III", 65536, 3, 4)
    assert len(wrapped) == 1 + 12 + 16 + 12 + 32 + 16
    dearer = seal_of(WORDS, Cost(memory=131072, iterations=4, lanes=5)).wrap(ROOT_KEY, STORE)
    assert dearer[:13] == b"P" + struct.pack(">III", 131072, 4, 5)
    assert seal_of(WORDS).unwrap(dearer, STORE) == ROOT_KEY


def test_what_an_older_version_stored_opens() -> None:
    header = b"P" + struct.pack(">III", 65536, 3, 4) + bytes(range(16)) + bytes(range(12))
    wrapped = header + bytes.fromhex(VECTOR)
    assert seal_of("correct horse battery staple").unwrap(wrapped, STORE) == ROOT_KEY


@pytest.mark.parametrize(
    ("memory", "iterations", "lanes"),
    [
        (0, 3, 4), (8, 3, 4), (65535, 3, 4), (1024 * 1024 + 1, 3, 4), (2**32 - 1, 3, 4),
        (65536, 0, 4), (65536, 2, 4), (65536, 17, 4), (65536, 2**32 - 1, 4),
        (65536, 3, 0), (65536, 3, 3), (65536, 3, 17), (65536, 3, 2**24),
    ],
)  # fmt: skip
def test_costs_out_of_bounds_are_refused_before_anybody_is_asked(
    memory: int, iterations: int, lanes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes to the database must neither weaken it nor use up our memory."""
    wrapped = wrapped_with(memory, iterations, lanes)
    monkeypatch.setattr(passphrase_seal, "Argon2id", None)
    with pytest.raises(VaultSealed, match="out of bounds") as caught:
        seal_of(WORDS).unwrap(wrapped, STORE)
    assert "backup" in caught.value.remedy


def test_costs_within_bounds_that_were_changed_do_not_open() -> None:
    for costs in ((65537, 3, 4), (65536, 4, 4), (65536, 3, 5)):
        with pytest.raises(VaultSealed, match="not the one that this vault was sealed with"):
            seal_of(WORDS).unwrap(wrapped_with(*costs), STORE)


def test_every_byte_before_the_ciphertext_is_bound_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the derived key stays the same, as another cost might leave it."""
    seal = seal_of(WORDS)
    wrapped = seal.wrap(ROOT_KEY, STORE)
    key = seal._derive(Cost(), wrapped[13:29])
    monkeypatch.setattr(seal, "_derive", lambda *_: key)
    assert seal.unwrap(wrapped, STORE) == ROOT_KEY
    for place in (4, 8, 12, 13, 28):
        changed = bytearray(wrapped)
        changed[place] += 1
        with pytest.raises(VaultSealed, match="not the one"):
            seal.unwrap(bytes(changed), STORE)


def test_what_another_seal_wrapped_is_told_without_asking() -> None:
    def ask() -> Secret:
        raise AssertionError

    seal = PassphraseSeal(PassphraseSource(description="a passphrase", read=ask, choose=ask))
    other = MemorySeal()
    other.prepare(STORE)
    with pytest.raises(VaultSealed, match="was not sealed with a passphrase") as caught:
        seal.unwrap(other.wrap(ROOT_KEY, STORE), STORE)
    assert caught.value.lacks_key


def test_a_host_without_the_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(passphrase_seal, "Argon2id", fail)
    with pytest.raises(VaultSealed, match="not 64 MiB of memory"):
        seal_of(WORDS).wrap(ROOT_KEY, STORE)


def test_the_same_passphrase_in_another_form_of_unicode_opens(tmp_path: Path) -> None:
    text = "Grüße aus Łódź"
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    write(tmp_path / "one", forms[0])
    write(tmp_path / "two", forms[1] + "\r\n")
    one, two = (open_seal("passphrase", f"file:{name}", tmp_path) for name in ("one", "two"))
    assert two.unwrap(one.wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY


class TestEnvironment:
    def test_it_is_taken_out_of_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(OLD, WORDS)
        seal = open_seal("passphrase", "", Path())
        wrapped = seal.wrap(ROOT_KEY, STORE)
        assert OLD not in os.environ
        look = f"import os; print({OLD!r} in os.environ)"
        child = subprocess.run([sys.executable, "-c", look], capture_output=True, check=True)
        assert child.stdout == b"False\n"
        again = open_seal("passphrase", "", Path())  # as a second Connector of this process
        assert again.unwrap(wrapped, STORE) == ROOT_KEY

    def test_a_new_vault_is_sealed_with_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(OLD, WORDS)
        seal = open_seal("passphrase", "", Path())
        seal.prepare(STORE)
        assert seal_of(WORDS).unwrap(seal.wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY

    def test_a_new_one_has_a_variable_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(OLD, "the old words")
        monkeypatch.setenv(NEW, WORDS)
        old, new = (open_seal("passphrase", "", Path()) for _ in range(2))
        wrapped = old.wrap(ROOT_KEY, STORE)
        new.prepare(STORE)
        assert seal_of(WORDS).unwrap(new.wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY
        assert seal_of("the old words").unwrap(wrapped, STORE) == ROOT_KEY
        assert NEW not in os.environ

    def test_what_opened_the_vault_is_no_new_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(OLD, WORDS)
        open_seal("passphrase", "", Path()).wrap(ROOT_KEY, STORE)
        with pytest.raises(VaultSealed, match=f"set {NEW}"):
            open_seal("passphrase", "", Path()).prepare(STORE)

    @pytest.mark.parametrize(
        ("text", "message"),
        [("7 chars", "has 7 characters"), ("x", "has one character"), ("\n", "is empty")],
    )
    def test_one_that_is_too_short_seals_nothing(
        self, monkeypatch: pytest.MonkeyPatch, text: str, message: str
    ) -> None:
        monkeypatch.setenv(OLD, text)
        with pytest.raises(VaultSealed, match=message) as caught:
            open_seal("passphrase", "", Path()).prepare(STORE)
        assert "at least 8" in caught.value.remedy

    def test_where_there_is_nobody_to_ask_it_is_said_what_to_do(self) -> None:
        for name in ("", "file:nowhere", "credential:nowhere"):
            with pytest.raises(VaultSealed) as caught:
                open_seal("passphrase", name, Path("/nonexistent")).unwrap(
                    seal_of(WORDS).wrap(ROOT_KEY, STORE), STORE
                )
            assert caught.value.lacks_key
            assert caught.value.remedy

    def test_bytes_that_are_no_text_are_refused(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv(OLD, "\udcff" * 9)
        with pytest.raises(VaultSealed, match=f"{OLD} is not UTF-8"):
            open_seal("passphrase", "", Path()).wrap(ROOT_KEY, STORE)
        write(tmp_path / "words", "").write_bytes(b"\xff" * 9)
        with pytest.raises(VaultSealed, match="not UTF-8"):
            open_seal("passphrase", "file:words", tmp_path).wrap(ROOT_KEY, STORE)

    def test_a_file_that_others_may_read_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "words", WORDS).chmod(0o644)
        with pytest.raises(VaultSealed, match="open to others"):
            open_seal("passphrase", "file:words", tmp_path).wrap(ROOT_KEY, STORE)


class TestAsking:
    @pytest.fixture
    def typed(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
        """What the person types, line by line; all of it is asked for."""
        lines: list[str] = []
        self.questions: list[str] = []
        self.told: list[str] = []

        def ask(question: str) -> str:
            self.questions.append(question)
            return lines.pop(0)

        monkeypatch.setattr(terminal, "has_terminal", lambda: True)
        monkeypatch.setattr(terminal, "ask", ask)
        monkeypatch.setattr(terminal, "tell", self.told.append)
        yield lines
        assert lines == []

    def test_one_that_there_is_is_asked_for_once(self, typed: list[str]) -> None:
        typed += [WORDS]
        seal = open_seal("passphrase", "", Path())
        assert seal.unwrap(seal_of(WORDS).wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY
        assert seal.unwrap(seal_of(WORDS).wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY
        assert self.questions == ["Passphrase of the vault: "]

    def test_a_new_one_is_asked_for_twice(self, typed: list[str]) -> None:
        typed += [WORDS, WORDS]
        seal = open_seal("passphrase", "", Path())
        seal.prepare(STORE)
        assert seal_of(WORDS).unwrap(seal.wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY
        assert self.questions == ["New passphrase for the vault: ", "The same once more: "]
        assert self.told == []

    def test_a_short_or_mistyped_one_is_asked_for_again(self, typed: list[str]) -> None:
        typed += ["short", WORDS, WORDS.upper(), "just enough", "just enough"]
        open_seal("passphrase", "", Path()).prepare(STORE)
        assert self.told[0].startswith("No: the new passphrase has 5 characters. Take at least 8")
        assert self.told[1] == "No: these are two different ones."
        assert self.told[2].startswith("It has 11 characters")

    def test_after_three_tries_nothing_is_changed(self, typed: list[str]) -> None:
        typed += ["1", "2", "3"]
        assert passphrase_source.MOST_TRIES == 3
        with pytest.raises(VaultSealed, match="no new passphrase was chosen"):
            open_seal("passphrase", "", Path()).prepare(STORE)


@pytest.mark.parametrize("kind", ["file", "credential"])
def test_a_part_of_a_long_passphrase_does_not_open(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    path, name = tmp_path / "long", "long"
    source = passphrase_source.passphrase_source(
        f"{kind}:{path if kind == 'file' else name}", tmp_path
    )
    write(path, "x" * 4096)
    assert source.read() == Secret("x" * 4096)
    write(path, "x" * 4096 + " and the rest")
    for ask in (source.read, source.choose):
        with pytest.raises(VaultSealed, match="has more than 4096 bytes"):
            ask()
