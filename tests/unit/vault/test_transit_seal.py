"""A seal whose key stays in Transit: bound to the store, and its failures told apart."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from connector.errors import VaultSealed
from connector.seal_kinds import NotASeal
from connector.testing import SealConformance
from connector.vault.seal import Seal, open_seal
from connector.vault.transit_key import parse_transit_key
from connector.vault.transit_seal import TransitSeal, transit_seal

from .transit_server import TOKEN, TransitServer

ROOT_KEY = b"r" * 32
STORE = "store"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TransitServer]:
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    with TransitServer() as running:
        running.make_key("connector")
        yield running


@pytest.fixture
def seal(server: TransitServer) -> Seal:
    return open_seal("transit", f"{server.url}/transit/connector", Path())


class TestTransitSeal(SealConformance):
    @pytest.fixture(autouse=True)
    def _server(self, server: TransitServer) -> None:
        self.server = server

    def open_seal(self, place: Path) -> Seal:
        return open_seal("transit", f"{self.server.url}/transit/{place.name}", place)

    def supply_key(self, place: Path) -> None:
        self.server.make_key(place.name)


def test_it_is_found_as_a_seal_of_anybodys_would_be() -> None:
    (point,) = entry_points(group="connector.seals", name="transit")
    assert point.load() is transit_seal


def test_nobody_else_pays_for_it() -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from connector.vault.seal import open_seal\n"
        "open_seal('file', 'k', Path())\n"
        "names = ('connector.vault.transit_seal', 'httpx2', 'importlib.metadata')\n"
        "print([name for name in names if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout == "[]\n"


def test_what_is_asked(server: TransitServer, seal: Seal) -> None:
    wrapped = seal.wrap(ROOT_KEY, STORE)
    assert wrapped.startswith(b"Tvault:v1:")
    assert seal.unwrap(wrapped, STORE) == ROOT_KEY
    binding = base64.b64encode(STORE.encode()).decode()
    (first, headers, asked), (second, _, again) = server.received
    assert (first, second) == ("/v1/transit/encrypt/connector", "/v1/transit/decrypt/connector")
    assert asked["associated_data"] == asked["context"] == binding
    assert again == {
        "ciphertext": wrapped[1:].decode(), "associated_data": binding, "context": binding,
    }  # fmt: skip
    assert headers["x-vault-token"] == TOKEN
    assert headers["x-vault-request"] == "true"
    assert "x-vault-namespace" not in headers
    assert TOKEN not in repr(seal.description)


def test_a_namespace_and_a_deeper_mount(server: TransitServer) -> None:
    url = f"{server.url}/team/transit/connector?namespace=admin%2Fads"
    with pytest.raises(VaultSealed):
        transit_seal(url, Path()).wrap(ROOT_KEY, STORE)
    ((path, headers, _),) = server.received
    assert path == "/v1/team/transit/encrypt/connector"
    assert headers["x-vault-namespace"] == "admin/ads"


def test_after_its_key_was_rotated_the_old_wrap_opens(server: TransitServer, seal: Seal) -> None:
    wrapped = seal.wrap(ROOT_KEY, STORE)
    server.make_key("connector")
    assert seal.wrap(ROOT_KEY, STORE).startswith(b"Tvault:v2:")
    assert seal.unwrap(wrapped, STORE) == ROOT_KEY


def test_an_engine_that_ignores_what_is_bound_gives_nothing_for_another_store(
    server: TransitServer, seal: Seal
) -> None:
    server.ignores_binding = True
    wrapped = seal.wrap(ROOT_KEY, STORE)
    assert seal.unwrap(wrapped, STORE) == ROOT_KEY
    with pytest.raises(VaultSealed, match="belongs to another vault"):
        seal.unwrap(wrapped, "another store")


def test_what_another_seal_wrapped_is_told_without_asking(
    server: TransitServer, seal: Seal
) -> None:
    for wrapped in (b"", b"\2" * 65, b"P" * 77):
        with pytest.raises(VaultSealed, match="not sealed by Transit") as caught:
            seal.unwrap(wrapped, STORE)
        assert caught.value.lacks_key
    for text in ("vault:v0:" + "A" * 32, "vault:v1:" + "A" * 4096, "x", "vault:v1:AB==" + "=" * 20):
        with pytest.raises(VaultSealed, match="not what Transit gives"):
            seal.unwrap(b"T" + text.encode(), STORE)
    assert server.received == []


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (307, "sends us elsewhere", "active node"),
        (403, "does not let our token use transit/decrypt/connector", "its policy update"),
        (404, "has no transit/decrypt/connector", "Check the mount transit"),
        (400, "refuses to decrypt with connector", "key connector of type aes256-gcm96"),
        (429, "asked too often", "Try again later"),
        (503, "is sealed itself", "vault operator unseal"),
        (500, "failed", "log"),
        (204, "failed (204)", "log"),
    ],
)
def test_each_failure_is_told_with_its_remedy(
    server: TransitServer, seal: Seal, status: int, message: str, remedy: str
) -> None:
    wrapped = seal.wrap(ROOT_KEY, STORE)
    server.status = status
    server.headers = {"Location": "http://127.0.0.1:1/"} if status == 307 else {}
    server.body = b"" if status == 204 else b'{"errors": ["its own word\\u001b[31m"]}'
    asked = len(server.received)
    with pytest.raises(VaultSealed) as caught:
        seal.unwrap(wrapped, STORE)
    assert message in caught.value.reason
    assert remedy in caught.value.remedy
    assert TOKEN not in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(server.received) == asked + 1, "asked once, and nobody else"


def test_a_token_that_is_refused(
    server: TransitServer, seal: Seal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "hvs.expired")
    with pytest.raises(VaultSealed, match=r"does not let our token use .*: permission denied"):
        seal.wrap(ROOT_KEY, STORE)
    assert server.received


@pytest.mark.parametrize(
    "body",
    [
        b"", b"<html>", b"[]", b'{"data": null}', b'{"data": {}}', b'{"data": {"plaintext": 7}}',
        b'{"data": {"plaintext": "!"}}', b'{"data": {"plaintext": "AAAA"}}',
        b'{"data": {"plaintext": ""}, "data": {}}',
    ],
)  # fmt: skip
def test_an_answer_that_is_none_gives_no_key(
    server: TransitServer, seal: Seal, body: bytes
) -> None:
    wrapped = seal.wrap(ROOT_KEY, STORE)
    server.body = body
    with pytest.raises(VaultSealed):
        seal.unwrap(wrapped, STORE)
    with pytest.raises(VaultSealed):
        seal.wrap(ROOT_KEY, STORE)


def test_an_endless_answer_is_cut_off(server: TransitServer, seal: Seal) -> None:
    server.body = b" " * (2 * 1024 * 1024)
    with pytest.raises(VaultSealed, match="cannot be asked"):
        seal.wrap(ROOT_KEY, STORE)


def test_one_that_does_not_answer_is_not_waited_for(server: TransitServer) -> None:
    server.hold.clear()
    key = parse_transit_key(f"{server.url}/transit/connector", Path())
    with pytest.raises(VaultSealed, match="cannot be asked: no answer within 0 s"):
        TransitSeal(key, time_limit=0.2).wrap(ROOT_KEY, STORE)


def test_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    with TransitServer() as gone:
        url = gone.url
    with pytest.raises(VaultSealed, match="cannot be asked: connection failed") as caught:
        transit_seal(f"{url}/transit/connector", Path()).wrap(ROOT_KEY, STORE)
    assert "the network" in caught.value.remedy


@pytest.mark.parametrize("token", ["", "  ", "two words", "a\x00b", "é", "a\r\nX-Forged: 1"])
def test_without_a_token_nothing_is_asked(
    server: TransitServer, tmp_path: Path, token: str
) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(token)
    seal = transit_seal(f"{server.url}/transit/connector?token_file=token", tmp_path)
    with pytest.raises(VaultSealed, match="no token"):
        seal.wrap(ROOT_KEY, STORE)
    assert server.received == []


def test_a_token_may_be_in_a_file_which_another_program_renews(
    server: TransitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("hvs.expired\n")
    seal = transit_seal(f"{server.url}/transit/connector?token_file=token", tmp_path)
    with pytest.raises(VaultSealed, match="does not let our token"):
        seal.wrap(ROOT_KEY, STORE)
    path.write_text(f"{TOKEN}\n")
    assert seal.unwrap(seal.wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY
    path.chmod(0o644)
    with pytest.raises(VaultSealed, match="open to others"):
        seal.wrap(ROOT_KEY, STORE)


def test_a_token_may_be_a_credential(
    server: TransitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VAULT_TOKEN")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    (tmp_path / "token").write_text(TOKEN)
    seal = transit_seal(f"{server.url}/transit/connector?credential=token", tmp_path)
    assert seal.unwrap(seal.wrap(ROOT_KEY, STORE), STORE) == ROOT_KEY


def test_a_file_of_authorities_that_is_none(server: TransitServer, tmp_path: Path) -> None:
    for name in ("nowhere.pem", "empty.pem"):
        (tmp_path / "empty.pem").touch()
        seal = transit_seal(f"{server.url}/transit/connector?ca_file={name}", tmp_path)
        with pytest.raises(VaultSealed, match=f"{name} cannot be used"):
            seal.wrap(ROOT_KEY, STORE)


@pytest.mark.parametrize(
    "address",
    [
        "", "transit/connector", "http://vault.example/transit/connector",
        "https://vault.example", "https://vault.example/connector",
        "https://vault.example/transit/", "https://vault.example/transit/../sys",
        "https://vault.example/transit/a%2Fb", "https://vault.example/transit/a b",
        "https://user:word@vault.example/transit/connector",
        "https://vault.example/transit/connector#x",
        "https://vault.example/transit/connector?token=hvs.secret",
        "https://vault.example/transit/connector?token_file=a&credential=b",
        "https://vault.example/transit/connector?x",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(NotASeal) as caught:
        open_seal("transit", address, Path())
    assert "secret" not in str(caught.value)
    assert "word" not in str(caught.value)
