"""A vault that is backed up under load and goes on elsewhere: real processes, both databases."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx2
import pyrage
import pytest

from connector.simulator import Simulator
from tests.postgres import PostgresServer

from .forked import Nursery
from .installation import Installation
from .test_canary import found_in

pytestmark = pytest.mark.traced

IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
PEOPLE = ("ada", "grace")
ACCOUNTS = tuple(f"acme/{number}" for number in range(4))


@pytest.fixture
def here(installation: Installation, simulator: Simulator) -> Installation:
    """A vault with four accounts, which came out of another program."""
    assert installation.run("init").returncode == 0
    lines = ["account,refresh_token"]
    for number, account in enumerate(ACCOUNTS):
        answer = simulator.grant(PEOPLE[number % 2], scope="ads_read")
        lines.append(f"{account},{answer['refresh_token']}")
    text = "\n".join(lines) + "\n"
    done = installation.run("accounts", "import", "-", "--provider", "ads", input_text=text)
    assert done.returncode == 0, done.stderr
    return installation


@pytest.fixture
def there(tmp_path: Path, simulator: Simulator, nursery: Nursery) -> Iterator[Installation]:
    """Another host, with nothing on it."""
    folder = tmp_path / "there"
    folder.mkdir()
    with Installation(folder, simulator, nursery=nursery) as made:
        made.configure()
        (folder / "key.txt").write_text(IDENTITY)
        (folder / "key.txt").chmod(0o600)
        yield made


@contextmanager
def minting(installation: Installation) -> Iterator[list[int]]:
    """Force refreshes of all accounts, one after the other, for as long as the block runs."""
    is_over = threading.Event()
    minted = [0]

    def work(first: int) -> None:
        socket = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
        with closing(httpx2.Client(transport=socket, timeout=30)) as client:
            while not is_over.is_set():
                for account in ACCOUNTS[first::2]:
                    answer = client.post(f"http://connector/v1/accounts/{account}/refresh")
                    minted[0] += answer.status_code == 200

    threads = [threading.Thread(target=work, args=(first,)) for first in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield minted
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def lines_of(file: Path) -> list[dict[str, object]]:
    identity = pyrage.x25519.Identity.from_str(IDENTITY)
    return [json.loads(line) for line in pyrage.decrypt(file.read_bytes(), [identity]).splitlines()]


def accounts_of(installation: Installation) -> list[dict[str, object]]:
    done = installation.run("accounts", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


@pytest.mark.timeout(240)
def test_a_backup_under_load_opens_and_all_accounts_are_in_it(
    here: Installation, there: Installation
) -> None:
    """V15: restored elsewhere, it verifies, and names every account as it was."""
    daemon = here.serve()
    files = []
    with minting(here) as minted:
        for number in range(4):
            before = minted[0]
            file = here.folder / f"backup-{number}.age"
            done = here.run("vault", "export", file.name, "--recipient", RECIPIENT)
            assert done.returncode == 0, done.stderr
            files.append(file)
            assert minted[0] > before, "nobody stands still for it"
    here.stop(daemon)
    for file in files:
        accounts = [line for line in lines_of(file) if line["kind"] == "account"]
        assert {line["name"] for line in accounts} == set(ACCOUNTS)
        assert {line["state"] for line in accounts} == {"active"}
    assert there.run("init").returncode == 0
    done = there.run("vault", "import", str(files[-1]), "--identity", "key.txt")
    assert done.returncode == 0, done.stderr
    assert [account["account"] for account in accounts_of(there)] == sorted(ACCOUNTS)
    verified = there.run("vault", "verify")
    assert (verified.returncode, verified.stdout) == (
        0,
        "values that open: 8 with data key 1\n",
    )


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_moved_after_its_daemon_has_stopped_it_goes_on_and_loses_nobody(
    kind: str,
    here: Installation,
    there: Installation,
    postgres_server: PostgresServer,
    simulator: Simulator,
) -> None:
    with ExitStack() as stack:
        if kind == "postgres":
            url = stack.enter_context(postgres_server.database())
            config = there.folder / "config.toml"
            address = url.render_as_string(hide_password=False)
            config.write_text(config.read_text().replace("sqlite:///vault.db", address))
            (there.folder / "config.toml").chmod(0o600)
        daemon = here.serve()
        with minting(here) as minted:
            while minted[0] < 20:  # bounded by the test's time limit
                threading.Event().wait(0.01)
        here.stop(daemon)
        seen = accounts_of(here)
        done = here.run("vault", "export", "vault.age", "--recipient", RECIPIENT)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("exported: 4 accounts")
        assert there.run("init").returncode == 0
        file = str(here.folder / "vault.age")
        done = there.run("vault", "import", file, "--identity", "key.txt")
        assert done.returncode == 0, done.stderr
        assert "WARNING: do not start the installation" in done.stderr
        assert accounts_of(there) == seen
        sent = simulator.ledger.count("token", grant_type="refresh_token")
        done = there.run("refresh", ACCOUNTS[0])
        assert done.returncode == 0, done.stderr
        daemon = there.serve()
        socket = httpx2.HTTPTransport(uds=str(there.folder / "connector.sock"))
        with closing(httpx2.Client(transport=socket)) as client:
            for account in ACCOUNTS:
                answer = client.post(f"http://connector/v1/accounts/{account}/refresh")
                assert answer.status_code == 200, answer.text
        there.stop(daemon)
        assert simulator.ledger.count("token", grant_type="refresh_token") > sent + len(ACCOUNTS)


@pytest.mark.timeout(240)
def test_no_secret_is_in_clear_in_a_file_or_in_what_is_printed(
    here: Installation, there: Installation
) -> None:
    """CHECKLIST 123, 161: the export, what lies beside it, and temporary files, at DEBUG."""
    temporary = here.folder / "temporary"
    temporary.mkdir()
    for installation in (here, there):
        installation.environment |= {"CONNECTOR_DEBUG": "1", "TMPDIR": str(temporary)}
    assert there.run("init").returncode == 0
    assert here.run("refresh", ACCOUNTS[0]).returncode == 0
    done = here.run("vault", "export", "vault.age", "--recipient", RECIPIENT)
    assert done.returncode == 0, done.stderr
    passphrase = {"CONNECTOR_EXPORT_PASSPHRASE": "canary-passphrase"}
    assert here.run("vault", "export", "with.age", environment=passphrase).returncode == 0
    assert found_in(json.dumps(lines_of(here.folder / "vault.age")).encode()), "they are in it"
    for file, options, environment in (
        ("vault.age", ("--identity", "key.txt"), {}),
        ("with.age", ("--replace",), passphrase),
        ("with.age", (), {"CONNECTOR_EXPORT_PASSPHRASE": "another"}),
    ):
        there.run("vault", "import", str(here.folder / file), *options, environment=environment)
    assert len(accounts_of(there)) == len(ACCOUNTS)
    for text in (*here.printed, *there.printed):
        assert found_in(text.encode()) == {}
        assert "canary-passphrase" not in text
    kept = {"ads.secret", "facebook.secret", "root.key"}
    files = [file for file in here.folder.rglob("*") if file.is_file() and file.name not in kept]
    assert {"vault.age", "with.age", "vault.db"} <= {file.name for file in files}
    for path in files:
        assert found_in(path.read_bytes()) == {}, path.name
    assert list(temporary.iterdir()) == []


@pytest.mark.timeout(240)
def test_by_way_of_a_pipe(here: Installation, there: Installation) -> None:
    """Nothing of it is ever on a disk: ``connector vault export - | ssh … import -``."""
    import subprocess
    import sys

    assert there.run("init").returncode == 0
    command = [sys.executable, "-m", "connector", "vault"]
    exported = subprocess.run(
        [*command, "export", "-", "--recipient", RECIPIENT],
        cwd=here.folder,
        env=here.environment,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert exported.stderr.startswith(b"exported: 4 accounts")
    imported = subprocess.run(
        [*command, "import", "-", "--identity", "key.txt"],
        cwd=there.folder,
        env=there.environment,
        input=exported.stdout,
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert imported.stdout.startswith(b"imported: 4 accounts")
