"""The resident memory of an idle daemon with 10,000 accounts, and what it consists of.

Every row is a process of its own, looked at when its memory has come to rest. In the last one each
account's token was asked for once over the Unix socket, so that all of them are remembered.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connector.account import Terms
from connector.client import Client
from connector.oauth.token import TokenSet
from connector.runtime import Runtime, open_runtime
from connector.secret import Secret
from connector.settings import load_settings
from connector.simulator import Settings, Simulator
from connector.store.grants import Consent, NewTokens
from tests.acceptance.installation import Installation
from tests.benchmarks.table import print_table

ACCOUNTS: Final = 10_000
ROUNDS: Final = 3
#: MiB.
TARGET: Final = 160.0
#: Memory is at rest when it has not grown for so long (seconds).
REST: Final = 3.0
PATIENCE: Final = 60.0

#: What `connector serve` has imported once it listens.
_IMPORTS: Final = "import connector.daemon, connector.cli.serve, uvicorn.protocols.http.h11_impl"
_DATABASE: Final = "import sqlmodel, sqlalchemy.ext.asyncio, aiosqlite"
_WAIT: Final = "import sys; print('ready', flush=True); sys.stdin.read()"


def main() -> None:
    """Measure; takes two minutes, or five on a busy machine."""
    rows: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(Settings(access_token_lifetime=7 * 86_400)) as simulator,
        Installation(Path(folder), simulator) as installation,
    ):
        installation.configure()
        installation.connect("ads", "acme/ads")
        for name, code in {
            "bare Python": "pass",
            "its imports: database": _DATABASE,
            "its imports: all": _IMPORTS,
        }.items():
            rows[name] = [_of_python(code, installation) for _ in range(ROUNDS)]
        rows["daemon, 1 account"] = [_of_daemon(installation, []) for _ in range(ROUNDS)]
        names = asyncio.run(connect_accounts(installation))
        rows[f"daemon, {ACCOUNTS:,} accounts"] = [
            _of_daemon(installation, []) for _ in range(ROUNDS)
        ]
        asked = [_of_daemon(installation, names) for _ in range(ROUNDS)]
        rows[f"daemon, {ACCOUNTS:,} accounts, each asked for"] = asked
    print_table("Resident memory", "MiB", list(rows.items()))
    print(f"\nTarget: {TARGET:.0f} MiB")
    assert max(asked) < TARGET


def _of_python(code: str, installation: Installation) -> float:
    with subprocess.Popen(
        [sys.executable, "-c", f"{code}\n{_WAIT}"],
        cwd=installation.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return _at_rest(process.pid)


def _of_daemon(installation: Installation, names: list[str]) -> float:
    daemon = installation.serve()
    try:
        with _in_folder(installation.folder):  # a socket's path is short
            client = Client("connector.sock")
            for name in names:
                assert client.get_token(name).value
        return _at_rest(daemon.pid)
    finally:
        installation.stop(daemon)


def _at_rest(pid: int) -> float:
    """Give the resident memory of a process, in MiB, once it has stopped growing."""
    ends_at = time.monotonic() + PATIENCE
    largest, grown_at = 0.0, time.monotonic()
    while time.monotonic() - grown_at < REST:
        assert time.monotonic() < ends_at, "its memory does not come to rest"
        resident = _resident(pid)
        if resident > largest:
            largest, grown_at = resident, time.monotonic()
        time.sleep(0.1)  # what is watched is another process
    return largest


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


@contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


async def connect_accounts(installation: Installation) -> list[str]:
    """Make accounts with tokens of the usual length, good for a week."""
    settings = load_settings(installation.folder / "config.toml")
    runtime = await open_runtime(settings, has_background=False)
    try:
        client = await runtime.directory.get("ads")
        names = [f"acme/account-{number}" for number in range(ACCOUNTS)]
        for first in range(0, ACCOUNTS, 50):
            await asyncio.gather(
                *(_connect_one(runtime, name, client.fingerprint) for name in names[first:][:50])
            )
        return names
    finally:
        await runtime.aclose()


async def _connect_one(runtime: Runtime, name: str, fingerprint: str) -> None:
    now = runtime.now()
    account = await runtime.accounts.begin(name, "ads", now=now)
    tokens = TokenSet(
        access_token=Secret(os.urandom(96).hex()),
        token_type="Bearer",
        refresh_token=Secret(os.urandom(96).hex()),
        sent_at=now,
    )
    terms = Terms(
        token_type="Bearer",
        scope=("ads_read",),
        minted_at=now,
        expires_at=now + 7 * 86_400,
        lifetime=7 * 86_400.0,
        consented_at=now,
        consent_ends_at=None,
    )
    new = NewTokens(tokens=tokens, terms=terms, refresh_token=tokens.refresh_token)
    consent = Consent(provider="ads", fingerprint=fingerprint)
    assert await runtime.grants.activate(account, new, consent) is not None


if __name__ == "__main__":
    main()
