"""A reload meets what else goes on, or wrong: the store away, a consent, a stop, a slow server."""

import signal
import socket
import sqlite3
import time
from contextlib import closing

import httpx2
import pytest

from connector.simulator import Person

from .daemon_log import Served
from .installation import PATIENCE, Installation


def test_while_the_store_is_away_nothing_changes(installation: Installation) -> None:
    """Tokens of a provider that is another one could not be read again: they would be withheld."""
    installation.connect("ads", "acme/ads")
    served = Served(installation)
    with served.client() as unix:
        token = unix.get("/v1/accounts/acme/ads/token").json()["access_token"]
        served.change('title = "Ads platform"', 'title = "Other platform"')
        vault = installation.folder / "vault.db"
        with closing(sqlite3.connect(vault)) as other:
            other.execute("ALTER TABLE vault_key RENAME TO vault_key_away")
            assert served.reload() == "reload.refused"
            answer = unix.get("/v1/accounts/acme/ads/token")
            assert (answer.status_code, answer.json()["access_token"]) == (200, token)
            other.execute("ALTER TABLE vault_key_away RENAME TO vault_key")
        assert served.reload() == "reload.done"
        assert unix.get("/v1/accounts/acme/ads/token").json()["access_token"] == token


def test_a_consent_goes_on_from_one_configuration_to_the_next(installation: Installation) -> None:
    """It is begun, answered and shown with a reload after each step."""
    installation.run("init")
    served = Served(installation)
    tcp = httpx2.Client(base_url=f"http://127.0.0.1:{installation.port}", trust_env=False)
    with served.client() as unix, tcp, Person("ada") as ada:
        wish = {"provider": "ads", "account": "acme/ads"}
        link = unix.post("/v1/consents", json=wish).json()["connect_url"]
        assert served.reload() == "reload.done"
        assert tcp.get(link).status_code == 200
        led = tcp.post(link)
        assert served.reload() == "reload.done"
        answer = ada.consent(led.headers["location"])
        taken = tcp.get(answer)
        assert taken.status_code == 303
        assert served.reload() == "reload.done"
        shown = tcp.get(taken.headers["location"], follow_redirects=True)
        assert "is connected" in shown.text, shown.text
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200


def test_one_whose_registration_changed_meanwhile_is_not_completed(
    installation: Installation,
) -> None:
    """Its code belongs to another client: it is not sent, and the person is told to start again."""
    installation.run("init")
    served = Served(installation)
    tcp = httpx2.Client(base_url=f"http://127.0.0.1:{installation.port}", trust_env=False)
    with served.client() as unix, tcp, Person("ada") as ada:
        wish = {"provider": "ads", "account": "acme/ads"}
        link = unix.post("/v1/consents", json=wish).json()["connect_url"]
        answer = ada.consent(tcp.post(link).headers["location"])
        client_id = installation.simulator.client.client_id
        served.change(f'client_id = "{client_id}"', 'client_id = "another"')
        assert served.reload() == "reload.done"
        shown = tcp.get(answer, follow_redirects=True)
        assert "start again" in shown.text
        assert installation.simulator.ledger.count("token") == 0


@pytest.mark.parametrize("is_stopped", [False, True], ids=["served on", "stopped"])
def test_a_new_provider_that_does_not_answer(
    installation: Installation, *, is_stopped: bool
) -> None:
    """Its metadata is asked for; meanwhile calls are served, and the daemon can be stopped."""
    installation.connect("ads", "acme/ads")
    served = Served(installation)
    with socket.create_server(("127.0.0.1", 0)) as tarpit, served.client() as unix:
        issuer = f"http://127.0.0.1:{tarpit.getsockname()[1]}"
        config = installation.folder / "config.toml"
        config.write_text(
            f'{config.read_text()}\n[providers.slow]\nissuer = "{issuer}"\nclient_id = "x"\n'
            'client_secret = "file:ads.secret"\nscopes = ["openid"]\n'
        )
        served.process.send_signal(signal.SIGHUP)
        tarpit.settimeout(PATIENCE)
        connection, _ = tarpit.accept()
        with connection:
            assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
            assert unix.get("/v1/jobs").status_code == 200
            if is_stopped:
                began = time.monotonic()
                assert served.stop() == 0
                assert time.monotonic() - began < PATIENCE / 3
                return
        served.log.wait_for(1, "reload.done", "reload.refused")
        assert served.log.count("provider.problem") == 1, "it is told, and no reason to refuse"
        assert served.log.count("reload.done") == 1
        answer = unix.get("/v1/accounts/acme/ads/token")
        assert answer.status_code == 200
