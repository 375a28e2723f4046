"""Bad input gets a clear message and its exit status, and loses nothing."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from urllib.parse import parse_qs, urlsplit

import pytest

from connector.simulator import Fault, Person, Simulator

from .installation import Installation, free_port


def snapshot(installation: Installation) -> object:
    """What must not change: every account with its state and scopes."""
    return [
        (one["account"], one["state"], one["scope"])
        for one in json.loads(installation.run("accounts", "--json").stdout)
    ]


def get(url: str, headers: dict[str, str] | None = None) -> int:
    """Fetch a URL, following redirects; give the status."""
    request = urllib.request.Request(url, headers=headers or {})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - loopback
            status: int = response.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


class TestConfiguration:
    def test_missing(self, installation: Installation) -> None:
        (installation.folder / "config.toml").unlink()
        done = installation.run("accounts", environment={"HOME": str(installation.folder)})
        assert done.returncode == 2
        assert "there is no configuration" in done.stderr
        assert "connector init" in done.stderr

    def test_named_and_missing(self, installation: Installation) -> None:
        done = installation.run("accounts", "--config", "other.toml")
        assert (done.returncode, "other.toml: there is no such file" in done.stderr) == (2, True)

    def test_not_toml(self, installation: Installation) -> None:
        (installation.folder / "config.toml").write_text("[vault\nurl = 1")
        done = installation.run("accounts")
        assert (done.returncode, "is not TOML" in done.stderr) == (2, True)

    def test_not_text(self, installation: Installation) -> None:
        (installation.folder / "config.toml").write_bytes(b"\xff\xfe\x00")
        done = installation.run("accounts")
        assert (done.returncode, "is not UTF-8 text" in done.stderr) == (2, True)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_unreadable(self, installation: Installation) -> None:
        (installation.folder / "config.toml").chmod(0)
        done = installation.run("accounts")
        assert (done.returncode, "cannot be read" in done.stderr) == (2, True)

    def test_every_problem_is_told_at_once(self, installation: Installation) -> None:
        (installation.folder / "config.toml").write_text(
            """
            [vault]
            sael = "keyring"
            [daemon]
            port = "8470"
            host = "0.0.0.0"
            [providers.facebok]
            client_id = "1"
            [providers.acme]
            issuer = "http://id.acme.example"
            client_secret = "hunter2-planted"
            [jobs.insights]
            account = "acme/*"
            schedule = "every now and then"
            """
        )
        done = installation.run("serve")
        assert done.returncode == 2
        for expected in (
            "config.toml: vault.sael: is not a known key (did you mean seal?)",
            "config.toml: daemon.port: must be a whole number, not a string",
            "config.toml: daemon.host: '0.0.0.0' is not a loopback address",
            "config.toml: providers.facebok: is not in the catalogue (did you mean facebook?)",
            "config.toml: providers.acme.issuer: must be https",
            "config.toml: providers.acme.client_id: is missing",
            "config.toml: providers.acme.client_secret: is a literal secret",
            "config.toml: jobs.insights.schedule:",
            "config.toml: jobs.insights.run: is missing",
            "config.toml: jobs.insights.destination.to: is missing",
        ):
            assert expected in done.stderr
        assert "hunter2" not in done.stderr

    def test_secret_is_not_there(self, installation: Installation) -> None:
        (installation.folder / "ads.secret").unlink()
        done = installation.run("connect", "ads", "--account", "acme/ads", "--no-browser")
        assert done.returncode == 2
        assert "providers.ads.client_secret" in done.stderr
        assert "ads.secret cannot be read" in done.stderr


class TestUsage:
    def test_unknown_provider(self, installation: Installation) -> None:
        done = installation.run("connect", "facbook", "--account", "acme/ads", "--no-browser")
        assert done.returncode == 2
        assert "there is no provider 'facbook' (did you mean facebook?)" in done.stderr

    def test_unknown_account(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        done = installation.run("token", "acme/adz")
        assert done.returncode == 6
        assert "There is no account acme/adz. Did you mean acme/ads?" in done.stderr

    @pytest.mark.parametrize("name", ["Acme", "acme/", "acme/token", "a b", "acme\n", "-x/y"])
    def test_account_name(self, installation: Installation, name: str) -> None:
        done = installation.run("connect", "ads", f"--account={name}", "--no-browser")
        assert done.returncode == 2
        assert "is not an account name" in done.stderr

    def test_unknown_job(self, installation: Installation) -> None:
        done = installation.run("jobs", "run", "insigts")
        assert (done.returncode, "there is no job 'insigts'" in done.stderr) == (2, True)

    def test_unknown_command_and_option(self, installation: Installation) -> None:
        assert installation.run("tokn", "x").returncode == 2
        assert installation.run("token", "x", "--min-tll", "3").returncode == 2
        assert installation.run("token", "x", "--min-ttl", "-1").returncode == 2


class TestVault:
    def test_not_made_yet(self, installation: Installation) -> None:
        done = installation.run("accounts")
        assert (done.returncode, "connector init" in done.stderr) == (5, True)
        assert not (installation.folder / "vault.db").exists()

    def test_damaged_page(self, installation: Installation) -> None:
        """The daemon finds it at its start, though nothing asks for what is on that page."""
        installation.connect("ads", "acme/ads")
        database = installation.folder / "vault.db"
        with closing(sqlite3.connect(database)) as connection:
            query = "SELECT rootpage FROM sqlite_master WHERE name = 'run'"
            (page,) = connection.execute(query).fetchone()
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = bytearray(database.read_bytes())
        content[(page - 1) * size : page * size] = b"\xa5" * size
        database.write_bytes(content)
        done = installation.run("serve")
        assert done.returncode == 5
        assert "damaged" in done.stderr
        assert "restore the database from a backup" in done.stderr
        assert database.read_bytes() == content
        assert installation.run("token", "acme/ads").returncode == 0, "tokens are still given"

    def test_key_missing(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        key, database = installation.folder / "root.key", installation.folder / "vault.db"
        kept = key.read_bytes()
        key.unlink()
        before = database.read_bytes()
        for command in (["token", "acme/ads"], ["accounts"], ["init"], ["serve"]):
            done = installation.run(*command)
            assert done.returncode == 5, (command, done)
            assert "The vault is sealed" in done.stderr
            assert "root.key" in done.stderr
        assert not key.exists(), "a new key was made over old data"
        assert database.read_bytes() == before
        key.write_bytes(kept)
        key.chmod(0o600)
        assert installation.run("token", "acme/ads").returncode == 0

    def test_key_wrong(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        (installation.folder / "root.key").write_text("A" * 43 + "\n")
        done = installation.run("token", "acme/ads")
        assert done.returncode == 5
        assert "is not the one that this vault was sealed with" in done.stderr

    def test_key_open_to_others(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        (installation.folder / "root.key").chmod(0o644)
        done = installation.run("token", "acme/ads")
        assert (done.returncode, "chmod 600" in done.stderr) == (5, True)

    def test_database_open_to_others(self, installation: Installation) -> None:
        installation.run("init")
        (installation.folder / "vault.db").chmod(0o640)
        done = installation.run("accounts")
        assert (done.returncode, "chmod 600" in done.stderr) == (5, True)

    def test_no_keyring(self, installation: Installation) -> None:
        config = installation.folder / "config.toml"
        config.write_text(config.read_text().replace("file:root.key", "keyring"))
        backend = {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
        done = installation.run("init", environment=backend)
        assert done.returncode == 5
        assert "no keyring that keeps secrets encrypted" in done.stderr
        assert "file:root.key" in done.stderr
        assert not (installation.folder / "vault.db").exists()


class TestPorts:
    def test_redirect_port_taken(self, installation: Installation) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = holder.getsockname()[1]
            text = (installation.folder / "config.toml").read_text()
            text = text.replace("http://localhost/callback", f"http://localhost:{port}/callback")
            (installation.folder / "config.toml").write_text(text)
            done = installation.run("connect", "facebook", "--account", "acme/fb", "--no-browser")
        assert done.returncode == 2
        assert "providers.facebook.redirect_uri: " in done.stderr
        assert "the port is taken (stop the program that holds it, or" in done.stderr

    def test_daemon_port_taken(self, installation: Installation) -> None:
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", installation.port))
            holder.listen()
            done = installation.run("serve")
        assert done.returncode == 2
        assert "daemon.port" in done.stderr
        assert not (installation.folder / "connector.sock").exists()

    def test_second_daemon(self, installation: Installation) -> None:
        installation.serve()
        again = installation.run(
            "serve",
            environment={
                "CONNECTOR_DAEMON_PORT": str(free_port()),
                "CONNECTOR_DAEMON_SOCKET": "other.sock",
            },
        )
        assert again.returncode == 2
        assert "another daemon serves" in again.stderr

    def test_socket_taken(self, installation: Installation) -> None:
        installation.serve()
        again = installation.run("serve", environment={"CONNECTOR_DAEMON_PORT": str(free_port())})
        assert (again.returncode, "stop the other daemon" in again.stderr) == (2, True)


class TestConsent:
    @pytest.fixture(autouse=True)
    def _connected(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        self.before = snapshot(installation)

    def assert_nothing_lost(self, installation: Installation) -> None:
        """The account that was there is as it was, and gives tokens."""
        assert [row for row in snapshot(installation) if row[0] == "acme/ads"] == self.before  # type: ignore[attr-defined]
        assert installation.run("token", "acme/ads").returncode == 0

    @pytest.mark.parametrize("account", ["acme/ads", "acme/new"])
    def test_denied(self, installation: Installation, account: str) -> None:
        process, url = installation.begin_connect("ads", account)
        with Person("ada") as ada:
            page = ada.deliver(ada.consent(url, decision="deny"))
        assert page.status == 400
        assert "Not connected" in page.text
        status, _, err = installation.finish(process)
        assert (status, "access_denied" in err) == (7, True)
        self.assert_nothing_lost(installation)

    def test_denied_at_facebook(self, installation: Installation) -> None:
        process, url = installation.begin_connect("facebook", "acme/fb")
        with Person("ada") as ada:
            ada.deliver(ada.consent(url, decision="deny"))
        status, _, err = installation.finish(process)
        assert (status, "access_denied" in err) == (7, True)

    def test_abandoned(self, installation: Installation) -> None:
        done = installation.run(
            "connect", "ads", "--account", "acme/ads", "--no-browser", "--timeout", "1"
        )
        assert (done.returncode, "nobody answered within 1 s" in done.stderr) == (7, True)
        self.assert_nothing_lost(installation)

    def test_another_person(self, installation: Installation) -> None:
        installation.connect("facebook", "acme/fb", person="ada")
        process, url = installation.begin_connect("facebook", "acme/fb")
        with Person("grace") as grace:
            grace.deliver(grace.consent(url))
        status, _, err = installation.finish(process)
        assert (status, "another person consented" in err) == (7, True)
        assert installation.run("token", "acme/fb").returncode == 0

    def test_stray_hits_keep_it_waiting(self, installation: Installation) -> None:
        process, url = installation.begin_connect("ads", "acme/ads")
        redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        base = redirect_uri.removesuffix("/callback/ads")
        state = parse_qs(urlsplit(url).query)["state"][0]
        assert get(f"{redirect_uri}?code=x&state=wrong") == 404
        assert get(redirect_uri) == 404
        assert get(f"{redirect_uri}?code=a&code=b&state={state}") == 400
        assert get(f"{base}/favicon.ico") == 404
        assert get(f"{base}/callback/other?code=x&state=y") == 404
        assert get(f"{redirect_uri}?code=x&state={state}", {"Host": "evil.example"}) == 400
        for _ in range(1000):
            assert get(f"{base}/junk") == 404
        with Person("ada") as ada:
            assert ada.deliver(ada.consent(url)).status == 200
        assert installation.finish(process)[0] == 0

    def test_pasted_answer(self, installation: Installation) -> None:
        process, url = installation.begin_connect("ads", "acme/pasted", takes_input=True)
        with Person("ada") as ada:
            answer = ada.consent(url)
        state = parse_qs(urlsplit(url).query)["state"][0]
        lines = ["nonsense", answer.replace(state, "0" * len(state)), answer]
        out, err = process.communicate("\n".join(lines) + "\n", timeout=30)
        assert process.returncode == 0, err
        assert "acme/pasted is connected" in out
        assert "paste the whole address" in err
        assert "its state does not match" in err

    def test_token_endpoint_unreachable(self, installation: Installation) -> None:
        text = (installation.folder / "config.toml").read_text()
        nobody = f"http://127.0.0.1:{free_port()}/token"
        text = text.replace(
            "[providers.facebook]", f'token_endpoint = "{nobody}"\n[providers.facebook]'
        ).replace("[providers.ads]", "[providers.elsewhere]")
        (installation.folder / "config.toml").write_text(text)
        process, url = installation.begin_connect("elsewhere", "acme/elsewhere")
        with Person("ada") as ada:
            ada.deliver(ada.consent(url))
        status, _, err = installation.finish(process)
        assert (status, "cannot be reached" in err) == (4, True)

    def test_answer_of_the_exchange_is_lost(
        self, installation: Installation, simulator: Simulator
    ) -> None:
        before = simulator.ledger.count("token", grant_type="authorization_code")
        simulator.faults.add(Fault(endpoint="token", kind="drop", when="after"))
        process, url = installation.begin_connect("ads", "acme/ads")
        with Person("ada") as ada:
            ada.deliver(ada.consent(url))
        status, _, err = installation.finish(process)
        assert (status, "the code is not sent twice" in err) == (4, True)
        assert simulator.ledger.count("token", grant_type="authorization_code") == before + 1
        self.assert_nothing_lost(installation)

    @pytest.mark.parametrize("provider", ["ads", "facebook"])
    def test_wrong_client_secret(self, installation: Installation, provider: str) -> None:
        (installation.folder / f"{provider}.secret").write_text("wrong")
        process, url = installation.begin_connect(provider, "acme/other")
        with Person("ada") as ada:
            ada.deliver(ada.consent(url))
        status, _, err = installation.finish(process)
        assert (status, "rejects our client registration" in err) == (8, True)
        assert f"[providers.{provider}]" in err

    def test_authorization_server_is_away(
        self, installation: Installation, simulator: Simulator
    ) -> None:
        text = (installation.folder / "config.toml").read_text()
        text = text.replace(simulator.issuer, f"http://127.0.0.1:{free_port()}")
        (installation.folder / "config.toml").write_text(text)
        done = installation.run("connect", "ads", "--account", "acme/other", "--no-browser")
        assert (done.returncode, "metadata of provider ads" in done.stderr) == (4, True)

    def test_interrupted(self, installation: Installation) -> None:
        process, _ = installation.begin_connect("ads", "acme/ads")
        process.terminate()
        assert installation.finish(process)[0] == 130
        self.assert_nothing_lost(installation)


def test_a_reader_that_goes_away_is_no_error(installation: Installation) -> None:
    """``connector providers | head -1`` prints one line and no complaint."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m connector providers | head -1"],
        cwd=installation.folder,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("provider")
    assert done.stderr == ""
