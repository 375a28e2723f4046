"""How fast due accounts are refreshed, beside a bare loop that sends as many and stores nothing.

Each refresher is a process of its own, as a daemon is; "two daemons" share one database.

A token endpoint of a few lines runs in a process of its own and answers at once, so that the cores,
not the endpoint, are the limit. The bare loop sends with as many requests at once, over kept
connections and over a fresh one for each request, as our wire does on purpose (nothing is ever
re-sent behind our back).
"""

import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx2

from connector.account import Terms
from connector.oauth.token import TokenSet
from connector.refresher import CONCURRENCY, Refresher
from connector.runtime import Runtime, open_runtime
from connector.secret import Secret
from connector.settings import load_settings
from connector.store.due import Used
from connector.store.grants import Consent, NewTokens
from tests.benchmarks.table import print_table
from tests.postgres import running_server

ACCOUNTS: Final = 10_000
ROUNDS: Final = 2
#: So many accounts are made at once.
TOGETHER: Final = 64

_ENDPOINT: Final = """
import asyncio, json, secrets
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\\r\\n")
                          if l.startswith(b"content-length"))
            await reader.readexactly(length)
            body = json.dumps({"access_token": secrets.token_hex(16), "token_type": "Bearer",
                "expires_in": 3600, "refresh_token": secrets.token_hex(16)}).encode()
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
                + b"Content-Length: " + str(len(body)).encode() + b"\\r\\n\\r\\n" + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

_CONFIG: Final = """
[vault]
url = "{url}"
seal = "file:root.key"
allow_volatile_journal = true
[providers.acme]
authorization_endpoint = "{origin}/authorize"
token_endpoint = "{origin}/token"
client_id = "client"
client_secret = "file:secret"
refresh_token = {{ rotation = "strict" }}
"""


def main() -> None:
    """Measure in turns, so that a noisy machine is noisy for all alike."""
    rows: dict[str, list[float]] = {
        "bare loop, kept connections": [],
        "bare loop, a connection each": [],
        "refresher on SQLite": [],
        "refresher on Postgres": [],
        "two daemons on Postgres": [],
    }
    with _endpoint() as origin, running_server() as server:
        for _ in range(ROUNDS):
            rows["bare loop, kept connections"].append(asyncio.run(_bare(origin, keep=True)))
            rows["bare loop, a connection each"].append(asyncio.run(_bare(origin, keep=False)))
            rows["refresher on SQLite"].append(_refresh(origin, "sqlite:///vault.db", 1))
            for name, daemons in (("refresher on Postgres", 1), ("two daemons on Postgres", 2)):
                with server.database() as url:
                    text = url.render_as_string(hide_password=False)
                    rows[name].append(_refresh(origin, text, daemons))
    print_table(f"{ACCOUNTS} due accounts, refreshes per second", "1/s", list(rows.items()))


async def _bare(origin: str, *, keep: bool) -> float:
    limits = httpx2.Limits(max_keepalive_connections=CONCURRENCY if keep else 0)
    room = asyncio.Semaphore(CONCURRENCY)
    async with httpx2.AsyncClient(limits=limits, trust_env=False) as client:

        async def one() -> None:
            async with room:
                form = {"grant_type": "refresh_token", "refresh_token": secrets.token_hex(16)}
                answer = await client.post(f"{origin}/token", data=form)
                json.loads(answer.content)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(ACCOUNTS)))
        return ACCOUNTS / (time.perf_counter() - began)


def _refresh(origin: str, url: str, daemons: int) -> float:
    """Make accounts that are due, and have so many processes refresh them; give refreshes/s."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        allow = "allow_plaintext_secrets = true\n" if url.startswith("postgres") else ""
        path.write_text(allow + _CONFIG.format(url=url, origin=origin))
        (Path(folder) / "secret").write_text("a client secret")
        asyncio.run(_prepare(path))
        command = [sys.executable, "-m", "tests.benchmarks.refresher", str(path)]
        workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(daemons)
        ]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        began = time.perf_counter()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        ended = []
        for worker in workers:
            assert worker.stdout is not None
            ended.append(int(worker.stdout.readline()))
        took = time.perf_counter() - began
        for worker in workers:
            worker.communicate()
        assert sum(ended) == asyncio.run(_renewed(path)) == ACCOUNTS
        return ACCOUNTS / took


async def _prepare(path: Path) -> None:
    runtime = await open_runtime(load_settings(path), has_background=False, create=True)
    try:
        await _connect(runtime)
    finally:
        await runtime.aclose()


async def _renewed(path: Path) -> int:
    """Count the accounts that were refreshed once."""
    runtime = await open_runtime(load_settings(path), has_background=False)
    try:
        return sum(account.generation == 2 for account in await runtime.accounts.all())
    finally:
        await runtime.aclose()


async def work(path: Path) -> None:
    """Be one daemon's refresher: say that it is ready, wait, and say how many it has refreshed."""
    runtime = await open_runtime(load_settings(path), has_background=False)
    try:
        refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        count = 0
        while claimed := await refresher.refresh_due():
            count += claimed
        print(count, flush=True)
    finally:
        await runtime.aclose()


async def _connect(runtime: Runtime) -> None:
    """Make accounts whose tokens are used and about to end."""
    client = await runtime.directory.get("acme")
    now = runtime.now()
    terms = Terms(
        token_type="Bearer",
        scope=None,
        minted_at=now - 3600,
        expires_at=now,
        lifetime=3600.0,
        consented_at=now,
        consent_ends_at=None,
    )

    async def one(number: int) -> Used:
        account = await runtime.accounts.begin(f"acme/{number}", "acme", now=now)
        tokens = TokenSet(
            access_token=Secret("a"),
            token_type="Bearer",
            refresh_token=Secret(f"r{number}"),
            sent_at=now,
        )
        new = NewTokens(tokens=tokens, terms=terms, refresh_token=tokens.refresh_token)
        consent = Consent(provider="acme", fingerprint=client.fingerprint)
        active = await runtime.grants.activate(account, new, consent)
        assert active is not None
        return Used(account_id=active.id, generation=active.generation, renew_at=now)

    for first in range(0, ACCOUNTS, TOGETHER):
        numbers = range(first, min(first + TOGETHER, ACCOUNTS))
        used = await asyncio.gather(*(one(number) for number in numbers))
        await runtime.due.note_used(used)


@contextmanager
def _endpoint() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", _ENDPOINT], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1])))
