"""Seals in real processes: a passphrase typed at a terminal, and what comes in the environment."""

import signal
import stat
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.unit.vault.transit_server import TOKEN, TransitServer

from .installation import PATIENCE, Installation
from .terminal import Terminal

pytestmark = pytest.mark.traced

WORDS = "Zwölf Boxkämpfer jagen"
VARIABLE = "CONNECTOR_VAULT_PASSPHRASE"
ASKED = "Passphrase of the vault: "
CHOSEN = "New passphrase for the vault: "
AGAIN = "The same once more: "

Open = Callable[..., Terminal]


@pytest.fixture
def installation(installation: Installation) -> Installation:
    installation.configure()
    configure(installation, "passphrase")
    return installation


@pytest.fixture
def open_terminal(installation: Installation) -> Open:
    def open_one(*arguments: str) -> Terminal:
        return Terminal(
            *arguments, folder=installation.folder, environment=installation.environment
        )

    return open_one


def configure(installation: Installation, seal: str) -> None:
    path = installation.folder / "config.toml"
    path.write_text(path.read_text().replace("file:root.key", seal))


def made(installation: Installation, words: str = WORDS) -> None:
    done = installation.run("init", environment={VARIABLE: words})
    assert done.returncode == 0, done.stderr


def test_a_new_one_is_typed_twice_and_shown_never(
    installation: Installation, open_terminal: Open
) -> None:
    with open_terminal("init") as terminal:
        terminal.expect(CHOSEN)
        terminal.type("kurz\n")
        terminal.expect("has 4 characters. Take at least 8")
        terminal.expect(CHOSEN)
        terminal.type(f"{WORDS}\n")
        terminal.expect(AGAIN)
        terminal.type(f"{WORDS}\n")
        assert terminal.finish() == 0, terminal.shown
    assert "sealed by a passphrase" in terminal.shown
    assert WORDS not in terminal.shown
    assert "kurz" not in terminal.shown
    with open_terminal("accounts") as terminal:
        terminal.expect(ASKED)
        terminal.type(f"{WORDS}\n")
        assert terminal.finish() == 0, terminal.shown
    assert WORDS not in terminal.shown
    for path in installation.folder.rglob("*"):
        if path.is_file() and not stat.S_ISSOCK(path.stat().st_mode):
            assert WORDS.encode() not in path.read_bytes(), path


def test_a_wrong_one_opens_nothing_and_changes_nothing(
    installation: Installation, open_terminal: Open
) -> None:
    made(installation)
    before = (installation.folder / "vault.db").read_bytes()
    with open_terminal("accounts") as terminal:
        terminal.expect(ASKED)
        terminal.type("something else\n")
        assert terminal.finish() == 5
    assert "the passphrase is not the one that this vault was sealed with" in terminal.shown
    done = installation.run("accounts", environment={VARIABLE: "something else"})
    assert done.returncode == 5
    assert (installation.folder / "vault.db").read_bytes() == before


@pytest.mark.parametrize("typed", ["\x03", "half a wo\x03", "\x04"])
def test_who_gives_up_is_let_go_at_once_with_the_terminal_as_it_was(
    installation: Installation, open_terminal: Open, typed: str
) -> None:
    with open_terminal("init") as terminal:
        terminal.expect(CHOSEN)
        terminal.type(typed)
        terminal.expect("no passphrase was given")
        assert terminal.finish() == 5
    assert not (installation.folder / "vault.db").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_question_and_puts_the_terminal_back(
    installation: Installation, open_terminal: Open, number: signal.Signals
) -> None:
    made(installation)
    with open_terminal("accounts") as terminal:
        terminal.expect(ASKED)
        assert not terminal.shows_what_is_typed()
        terminal.process.send_signal(number)
        assert terminal.process.wait(30) == 130
        assert terminal.shows_what_is_typed()


def test_where_nobody_can_be_asked_it_is_said_what_to_do(installation: Installation) -> None:
    done = installation.run("init")
    assert done.returncode == 5
    assert f"set {VARIABLE}" in done.stderr
    assert not (installation.folder / "vault.db").exists()
    made(installation)
    done = installation.run("accounts")
    assert done.returncode == 5
    assert f"set {VARIABLE}" in done.stderr


def test_a_daemon_takes_it_from_the_environment_and_gives_it_to_no_job(
    installation: Installation,
) -> None:
    (installation.folder / "jobs.py").write_text(
        "async def pull(api, context):\n"
        "    with open('environ', 'wb') as file:\n"
        "        file.write(open('/proc/self/environ', 'rb').read())\n"
        "    yield {'id': 1}\n"
    )
    installation.configure(
        extra="""
        [jobs.look]
        account = "acme/*"
        run = "jobs:pull"
        destination = { to = "sqlite:///ads.db", table = "t", key = ["id"] }
        """
    )
    configure(installation, "passphrase")
    installation.environment |= {VARIABLE: WORDS, "CONNECTOR_VAULT_NEW_PASSPHRASE": "unused words"}
    installation.connect("ads", "acme/ads")
    done = installation.run("jobs", "run", "look")
    assert done.returncode == 0, done.stderr
    environ = (installation.folder / "environ").read_bytes()
    assert b"PATH=" in environ
    assert b"PASSPHRASE" not in environ
    daemon = installation.serve()
    try:
        assert installation.run("token", "acme/ads").returncode == 0
    finally:
        installation.stop(daemon)


def test_one_in_a_file(installation: Installation) -> None:
    configure(installation, "passphrase")
    path: Path = installation.folder / "words"
    path.touch(mode=0o600)
    path.write_text(f"{WORDS}\n")
    config = installation.folder / "config.toml"
    config.write_text(config.read_text().replace('"passphrase"', '"passphrase:file:words"'))
    assert installation.run("init").returncode == 0
    assert installation.run("accounts").returncode == 0


def test_another_one_is_chosen_at_the_terminal(
    installation: Installation, open_terminal: Open
) -> None:
    made(installation)
    with open_terminal("vault", "rotate", "--seal", "passphrase") as terminal:
        terminal.expect(ASKED)
        terminal.type(f"{WORDS}\n")
        terminal.expect(CHOSEN)
        terminal.type("other words\n")
        terminal.expect(AGAIN)
        terminal.type("other words\n")
        assert terminal.finish() == 0, terminal.shown
    assert "the vault opens with a passphrase" in terminal.shown
    assert installation.run("accounts", environment={VARIABLE: WORDS}).returncode == 5
    assert installation.run("accounts", environment={VARIABLE: "other words"}).returncode == 0


def test_a_daemon_goes_on_while_its_vault_moves_to_a_passphrase(
    installation: Installation,
) -> None:
    installation.configure()
    installation.connect("ads", "acme/ads")
    daemon = installation.serve()
    try:
        moved = installation.run(
            "vault", "rotate", "--seal", "passphrase", environment={VARIABLE: WORDS}
        )
        assert moved.returncode == 0, moved.stderr
        assert moved.stdout.splitlines()[-1] == 'seal = "passphrase"'
        asked = installation.run("refresh", "acme/ads")
        assert asked.returncode == 5, "the configuration still names the old seal"
        configure(installation, "passphrase")
        socket = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
        with httpx2.Client(transport=socket, base_url="http://connector") as client:
            assert client.post("/v1/accounts/acme/ads/refresh").status_code == 200
            assert client.get("/v1/accounts/acme/ads/token").status_code == 200
    finally:
        installation.stop(daemon)
    shown = installation.run("vault", "status", environment={VARIABLE: WORDS})
    assert "seal: a passphrase, since " in shown.stdout
    assert "opens here" in shown.stdout


def test_a_daemon_whose_key_is_in_its_environment_says_so_once(
    installation: Installation,
) -> None:
    installation.configure()
    configure(installation, "env:ROOT_KEY")
    installation.environment["ROOT_KEY"] = "00" * 32
    _, _, err = installation.stop(installation.serve())
    assert err.count("a systemd credential is safer") == 1
    assert "00" * 32 not in err


def test_a_daemon_whose_seal_is_away_serves_for_its_maximum_age_and_then_ends(
    installation: Installation,
) -> None:
    """V18: in order, so that what is under way is kept; started again it is sealed."""
    installation.environment["VAULT_TOKEN"] = TOKEN
    with TransitServer() as server:
        server.make_key("connector")
        installation.configure()
        configure(installation, f'transit:{server.url}/transit/connector"\nseal_max_age = "4s')
        installation.connect("ads", "acme/ads")
        daemon = installation.serve()
        server.status = 503
        socket = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
        with httpx2.Client(transport=socket, base_url="http://connector") as client:
            assert client.get("/v1/accounts/acme/ads/token").status_code == 200
        daemon.wait(PATIENCE)
        status, _, err = installation.finish(daemon)
        assert status == 5
        assert "it is served for" in err
        assert "vault operator unseal" in err
        assert installation.run("token", "acme/ads").returncode == 5
        server.status = None
        assert installation.run("token", "acme/ads").returncode == 0
