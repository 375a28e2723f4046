"""The keyring: the right ones only, within a time limit, and never anything else instead."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.core
import keyring.errors
import pytest
from keyring.backends import chainer, fail, null

from connector.errors import VaultSealed
from connector.testing import SealConformance
from connector.vault.envelope import Place
from connector.vault.keyring_source import (
    SERVICE,
    TIME_LIMIT,
    keyring_source,
    trusted_keyring,
)
from connector.vault.seal import LocalSeal, Seal, open_seal
from connector.vault.vault import create_vault

ROOT_KEY = b"r" * 32


class Backend:
    """A keyring in memory; not one that the library would find by itself in other tests."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


def _from(module: str, base: type[Backend] = Backend) -> Backend:
    """A backend that comes from a module, as the operating system's do."""
    backend = base()
    backend.__class__ = type("Keyring", (base,), {"__module__": module})
    return backend


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], Seal]:
    """Let a backend be the one that is chosen on this host; give the seal over it."""

    def choose(backend: object) -> Seal:
        monkeypatch.setattr(keyring, "get_keyring", lambda: backend)
        return open_seal("keyring", "", Path())

    return choose


class TestKeyringSeal(SealConformance):
    @pytest.fixture(autouse=True)
    def _places(self) -> None:
        self.places: dict[Path, Backend] = {}

    def open_seal(self, place: Path) -> Seal:
        backend = self.places.setdefault(place, Backend())
        return LocalSeal(keyring_source(find=lambda: backend))


@pytest.mark.parametrize(
    "module",
    [
        "keyring.backends.SecretService",
        "keyring.backends.libsecret",
        "keyring.backends.kwallet",
        "keyring.backends.macOS",
        "keyring.backends.macOS.api",
        "keyring.backends.Windows",
    ],
)
def test_the_keyring_of_the_operating_system_is_used(
    use: Callable[[object], Seal], module: str
) -> None:
    backend = _from(module)
    seal = use(backend)
    seal.prepare("store 1")
    assert list(backend.entries) == [(SERVICE, "store 1")]
    assert seal.unwrap(seal.wrap(ROOT_KEY, "store 1"), "store 1") == ROOT_KEY


def test_two_vaults_do_not_take_each_others_key(use: Callable[[object], Seal]) -> None:
    """CHECKLIST 131; and what is kept there is a key of a few bytes, never a token."""
    backend = _from("keyring.backends.SecretService")
    seal = use(backend)
    seal.prepare("store 1")
    first = backend.entries[SERVICE, "store 1"]
    seal.prepare("store 2")
    seal.prepare("store 1")
    assert backend.entries[SERVICE, "store 1"] == first != backend.entries[SERVICE, "store 2"]
    assert all(len(text) <= 64 for text in backend.entries.values())


@pytest.mark.parametrize(
    "make",
    [
        fail.Keyring,
        null.Keyring,
        lambda: _from("keyrings.alt.file"),
        lambda: _from("keyring.backends.SecretServiceOfMine"),
        lambda: _from("keyring.backends"),
        Backend,
        chainer.ChainerBackend,
    ],
)
def test_a_keyring_that_does_not_keep_secrets_safe_is_refused(
    use: Callable[[object], Seal], make: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CHECKLIST 125, 126: also where the operator has chosen it; other seals are offered."""
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [_from("keyrings.alt.file")])
    backend = make()
    seal = use(backend)
    for call in (
        lambda: seal.prepare("store"),
        lambda: seal.wrap(ROOT_KEY, "store"),
        lambda: seal.unwrap(b"", "store"),
    ):
        with pytest.raises(VaultSealed, match="no keyring that keeps secrets encrypted") as caught:
            call()
        choices = ("credential:root-key", "transit:h", '"passphrase"', "file:root", "env:ROOT")
        places = [caught.value.remedy.index(choice) for choice in choices]
        assert places == sorted(places), "the best first"
    assert getattr(backend, "entries", {}) == {}


@pytest.mark.parametrize("name", ["PYTHON_KEYRING_BACKEND"])
def test_what_the_environment_chooses_is_refused_as_well(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "keyring.backends.null.Keyring")
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    with pytest.raises(VaultSealed, match="no keyring that keeps secrets encrypted"):
        open_seal("keyring", "", Path()).prepare("store")


def test_of_a_chain_the_first_that_is_safe_is_used(
    use: Callable[[object], Seal], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, safe = _from("keyrings.alt.file"), _from("keyring.backends.kwallet")
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [plain, safe])
    make: Callable[[], object] = chainer.ChainerBackend
    use(make()).prepare("store")
    assert plain.entries == {}
    assert list(safe.entries) == [(SERVICE, "store")]
    assert trusted_keyring() is safe


class _Silent(Backend):
    """A keyring that asks somebody who is not there."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.answer.wait()
        return super().get_password(service, username)


@pytest.fixture
def silent() -> Iterator[_Silent]:
    one = _Silent()
    yield one
    one.answer.set()


def test_a_keyring_that_does_not_answer_is_not_waited_for(silent: _Silent) -> None:
    assert TIME_LIMIT <= 5, "CHECKLIST 124"
    seal = LocalSeal(keyring_source(find=lambda: silent, time_limit=0.05))
    with pytest.raises(VaultSealed, match=r"did not answer within 0\.05 s") as caught:
        seal.prepare("store")
    assert "Choose another seal" in caught.value.remedy
    assert silent.entries == {}


def test_a_keyring_that_does_not_even_begin_is_not_waited_for(silent: _Silent) -> None:
    def find() -> Backend:
        silent.answer.wait()
        return silent

    with pytest.raises(VaultSealed, match="did not answer"):
        LocalSeal(keyring_source(find=find, time_limit=0.05)).wrap(ROOT_KEY, "store")


@pytest.mark.parametrize(
    "error", [RuntimeError("canary"), keyring.errors.KeyringLocked("canary"), SystemExit("canary")]
)
def test_a_keyring_that_fails_is_told_without_its_words(error: BaseException) -> None:
    """What a backend says may hold anything; its kind is enough."""

    class Failing(Backend):
        def get_password(self, service: str, username: str) -> str | None:  # noqa: ARG002
            raise error

    seal = LocalSeal(keyring_source(find=Failing))
    with pytest.raises(VaultSealed, match=f"the keyring failed .{type(error).__name__}") as caught:
        seal.prepare("store")
    assert "canary" not in str(caught.value)


def test_a_keyring_that_keeps_nothing_is_found_out() -> None:
    """CHECKLIST 124: before anybody consents, not after."""

    class Forgetful(Backend):
        def set_password(self, service: str, username: str, password: str) -> None:
            """Keep nothing."""

    with pytest.raises(VaultSealed, match="did not keep the key"):
        LocalSeal(keyring_source(find=Forgetful)).prepare("store")


def test_a_keyring_that_has_lost_its_entry_is_told() -> None:
    backend = Backend()
    seal = LocalSeal(keyring_source(find=lambda: backend))
    seal.prepare("store")
    wrapped = seal.wrap(ROOT_KEY, "store")
    backend.entries.clear()
    with pytest.raises(VaultSealed, match="Unlock the keyring"):
        seal.unwrap(wrapped, "store")
    assert backend.entries == {}, "no new key is made"


def test_a_keyring_that_is_gone_does_not_close_an_open_vault() -> None:
    """CHECKLIST 130: an open vault asks the seal no more."""
    backends = [Backend()]
    seal = LocalSeal(keyring_source(find=lambda: backends[0]))
    vault, wrapped_root, _data_key = create_vault(seal, "store")
    backends.clear()
    place = Place(table="account", row="1", field="refresh_token")
    assert vault.open(vault.seal(b"token", place), place) == b"token"
    with pytest.raises(VaultSealed, match="the keyring failed"):
        seal.unwrap(wrapped_root, "store")
