"""The thin client, and the short way of ``connector token``, against a running daemon."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.client import Client, DaemonUnreachable
from connector.errors import (
    ConfigurationError,
    ConsentRequired,
    Refused,
    TemporarilyUnavailable,
    UnknownAccount,
)
from connector.simulator import Simulator

from .installation import Installation, free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def serving(installation: Installation) -> Iterator[Installation]:
    installation.connect("ads", "acme/ads")
    daemon = installation.serve()
    yield installation
    if daemon.poll() is None:
        installation.stop(daemon)


@pytest.fixture
def client(serving: Installation) -> Iterator[Client]:
    with Client(serving.folder / "connector.sock") as made:
        yield made


class TestRemote:
    """Over TCP, with an API key."""

    @pytest.fixture
    def key(self, serving: Installation) -> str:
        scope = ("--accounts", "acme/*", "--scope", "token:read")
        return serving.run("keys", "create", "remote", *scope).stdout.strip()

    def test_token(self, serving: Installation, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"http://127.0.0.1:{serving.port}"
        value = serving.run("token", "acme/ads").stdout.strip()
        with Client(url=url, key=key) as client:
            assert client.get_access_token("acme/ads") == value
            assert client.get_access_token("acme/ads", min_ttl=5) == value
            assert client.refresh("acme/ads").value != value
        monkeypatch.setenv("CONNECTOR_URL", url)
        monkeypatch.setenv("CONNECTOR_KEY", key)
        with Client() as client:
            assert client.get_token("acme/ads").token_type == "Bearer"
        with Client(serving.folder / "connector.sock") as client:  # the socket was named
            assert client._remote is None

    def test_errors(self, serving: Installation, key: str) -> None:
        url = f"http://127.0.0.1:{serving.port}"
        with Client(url=url, key=key) as client:
            with pytest.raises(UnknownAccount):
                client.get_token("acme/none")
            with pytest.raises(UnknownAccount):
                client.get_token("beta/ads")
            serving.run("revoke", "acme/ads")
            with pytest.raises(ConsentRequired):
                client.get_token("acme/ads")
        with Client(url=url, key=f"{key[:-1]}-") as client, pytest.raises(Refused, match="key"):
            client.get_token("acme/ads")
        with (
            Client(url=f"http://127.0.0.1:{free_port()}", key=key) as client,
            pytest.raises(DaemonUnreachable),
        ):
            client.get_token("acme/ads")

    def test_a_daemon_that_was_started_again(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        daemon = installation.serve()
        scope = ("--accounts", "acme/*", "--scope", "token:read")
        key = installation.run("keys", "create", "remote", *scope).stdout.strip()
        with Client(url=f"http://127.0.0.1:{installation.port}", key=key) as client:
            value = client.get_access_token("acme/ads")
            installation.stop(daemon)
            installation.serve()
            assert client.get_access_token("acme/ads") == value

    @pytest.mark.parametrize(
        ("url", "key"),
        [
            ("http://connector.example", "ck_x"),
            ("ftp://127.0.0.1", "ck_x"),
            ("connector.example", "ck_x"),
            ("https://", "ck_x"),
            ("https://user@connector.example", "ck_x"),
            ("https://connector.example/?a=b", "ck_x"),
            ("https://[::1", "ck_x"),
            ("https://connector.example", ""),
            ("https://connector.example", "ck_x\r\nX: y"),
            ("https://connector.example", "kéy"),
        ],
    )
    def test_what_would_show_the_key_is_refused(
        self, url: str, key: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CONNECTOR_KEY", raising=False)
        with pytest.raises(ConfigurationError) as caught:
            Client(url=url, key=key)
        assert "ck_x" not in str(caught.value)


class TestClient:
    def test_token(self, client: Client, serving: Installation) -> None:
        token = client.get_token("acme/ads")
        assert token.value == serving.run("token", "acme/ads").stdout.strip()
        assert (token.token_type, token.scope) == ("Bearer", "ads_read")
        assert token.expires_at is not None
        assert token.expires_at > datetime.now(UTC)
        assert token.value not in repr(token)

    def test_refresh(self, client: Client) -> None:
        before = client.get_access_token("acme/ads")
        assert client.refresh("acme/ads").value != before

    def test_a_rejected_token_costs_one_refresh(self, client: Client, simulator: Simulator) -> None:
        rejected = client.get_access_token("acme/ads")
        fresh = client.refresh("acme/ads", rejected=rejected).value
        assert fresh != rejected
        assert client.refresh("acme/ads", rejected=rejected).value == fresh, "it is another"
        assert client.refresh("acme/ads", rejected=fresh).value == fresh, "it was minted just now"
        assert simulator.ledger.count("token", grant_type="refresh_token") == 1
        assert client.refresh("acme/ads").value != fresh, "a person asks"

    @pytest.mark.parametrize(
        "name", ["", "a b", "a?b", "a/token?x", "acme/ads\r\nX: y", "é", "a%2Fb"]
    )
    def test_what_is_no_name_is_not_sent(self, client: Client, name: str) -> None:
        with pytest.raises(UnknownAccount):
            client.get_token(name)

    def test_errors(self, client: Client, serving: Installation, simulator: Simulator) -> None:
        with pytest.raises(UnknownAccount):
            client.get_token("acme/none")
        simulator.stop()
        with pytest.raises(TemporarilyUnavailable) as caught:
            client.refresh("acme/ads")
        assert caught.value.retry_at is not None
        simulator.start()
        serving.run("revoke", "acme/ads")
        with pytest.raises(ConsentRequired) as ended:
            client.refresh("acme/ads")
        assert ended.value.command == "connector connect ads --account acme/ads"

    def test_kept_connections_outlive_a_restart(
        self, client: Client, serving: Installation
    ) -> None:
        value = client.get_access_token("acme/ads")
        for process in list(serving._processes):
            serving.stop(process)
        with pytest.raises(DaemonUnreachable):
            client.get_access_token("acme/ads")
        serving.serve()
        assert client.get_access_token("acme/ads") == value

    def test_threads(self, client: Client, simulator: Simulator) -> None:
        values: list[str] = []
        threads = [
            threading.Thread(target=lambda: values.append(client.get_access_token("acme/ads")))
            for _ in range(30)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(values) == 30
        assert len(set(values)) == 1
        assert simulator.ledger.count("token", grant_type="refresh_token") == 0

    def test_no_daemon(self, tmp_path: Path) -> None:
        with Client(tmp_path / "none.sock") as client, pytest.raises(DaemonUnreachable):
            client.get_token("acme/ads")


class TestShortcut:
    """What it prints is what the whole command line prints."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ["acme/ads"],
            ["acme/ads", "--header"],
            ["--min-ttl", "5", "acme/ads"],
            ["acme/ads", "--min-ttl=5", "--strict"],
            ["acme/none"],
            ["acme/ads", "--min-tll", "5"],
            ["acme/ads", "--min-ttl", "soon"],
            ["Acme"],
            ["acme/ads", "--help"],
            [],
        ],
        ids=" ".join,
    )
    def test_same_as_without(self, serving: Installation, arguments: list[str]) -> None:
        short = serving.run("token", *arguments)
        whole = serving.run("token", *arguments, environment={"CONNECTOR_SOCKET": "none.sock"})
        assert (short.returncode, short.stdout) == (whole.returncode, whole.stdout)
        assert ("no such" in short.stderr.lower()) == ("no such" in whole.stderr.lower())

    def test_it_opens_no_store(self, serving: Installation) -> None:
        """Without the vault's key only the daemon can give the token."""
        key = serving.folder / "root.key"
        content = key.read_text()
        key.unlink()
        assert serving.run("token", "acme/ads").returncode == 0
        unreached = {"CONNECTOR_SOCKET": "none.sock"}
        assert serving.run("token", "acme/ads", environment=unreached).returncode == 5
        key.write_text(content)
        key.chmod(0o600)

    def test_a_daemon_of_another_configuration_is_not_asked(
        self, serving: Installation, tmp_path: Path
    ) -> None:
        other = serving.folder / "other.toml"
        text = (serving.folder / "config.toml").read_text()
        other.write_text(text.replace("sqlite:///vault.db", "sqlite:///other.db"))
        done = serving.run("token", "acme/ads", "--config", "other.toml")
        assert done.returncode == 5, "there is no vault of that configuration"
        assert "other.db" in done.stderr
        assert tmp_path.exists()

    def test_revoked(self, serving: Installation) -> None:
        serving.run("revoke", "acme/ads")
        done = serving.run("token", "acme/ads")
        assert (done.returncode, done.stdout) == (3, "")
        assert "connector connect ads --account acme/ads" in done.stderr


def test_the_client_imports_next_to_nothing() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[2]); import connector.client\n"
    code += "print([m for m in sys.modules if m in sys.argv[1].split()])"
    heavy = "typing re json enum socket dataclasses asyncio connector.errors"
    # -S: what a .pth file of this environment imports is not the client's doing
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, heavy, str(ROOT)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
