"""How fast due accounts are refreshed, beside a bare loop that sends as many and stores nothing.

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

ACCOUNTS: Final = 2000
ROUNDS: Final = 3

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
    }
    with _endpoint() as origin, running_server() as server:
        for _ in range(ROUNDS):
            rows["bare loop, kept connections"].append(asyncio.run(_bare(origin, keep=True)))
            rows["bare loop, a connection each"].append(asyncio.run(_bare(origin, keep=False)))
            rows["refresher on SQLite"].append(asyncio.run(_refresh(origin, "sqlite:///vault.db")))
            with server.database() as url:
                text = url.render_as_string(hide_password=False)
                rows["refresher on Postgres"].append(asyncio.run(_refresh(origin, text)))
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


async def _refresh(origin: str, url: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        allow = "allow_plaintext_secrets = true\n" if url.startswith("postgres") else ""
        path.write_text(allow + _CONFIG.format(url=url, origin=origin))
        (Path(folder) / "secret").write_text("a client secret")
        runtime = await open_runtime(load_settings(path), has_background=False, create=True)
        try:
            await _connect(runtime)
            refresher = Refresher(runtime.due, runtime.tokens, now=runtime.now)
            began = time.perf_counter()
            count = 0
            while claimed := await refresher.refresh_due():
                count += claimed
            took = time.perf_counter() - began
            accounts = await runtime.accounts.all()
            assert count == ACCOUNTS == sum(account.generation == 2 for account in accounts)
            return count / took
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

    for first in range(0, ACCOUNTS, 10):
        used = await asyncio.gather(*(one(number) for number in range(first, first + 10)))
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
    main()
