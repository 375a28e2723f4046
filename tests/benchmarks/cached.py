"""A cached, valid access token: what a call costs, ours and others', beside the least possible.

The store is filled with 100,000 copies of one account and memory with copies of its
token; they are asked for in random order, as a hit of the processor's caches is not what a daemon
of that size has. All calls are made from loops of the same kind, in turns.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import text

from connector import Connector
from connector.runtime import Runtime
from connector.simulator import Settings
from connector.store.tables import ACCOUNT as ACCOUNTS
from tests.acceptance.real_time import real_time_workbench
from tests.benchmarks import peers
from tests.benchmarks.table import print_table
from tests.unit.workbench import ACCOUNT

ROUNDS = 15
#: Calls in a round; the slowest take 20 µs.
CALLS = 4_000
MANY = 100_000

#: A row's name and one round of it: so many calls.
Contender = tuple[str, Callable[[], Awaitable[None]]]


def main() -> None:
    """Measure; takes about 15 seconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        real_time_workbench(Path(folder), Settings(rotation="strict")) as bench,
    ):
        bench.connect_apart()
        answer = bench.simulator.grant("ada")
        registration = peers.Registration(
            token_endpoint=f"{bench.simulator.issuer}/token",
            client_id=bench.simulator.client.client_id,
            client_secret=bench.simulator.client.client_secret,
        )
        asyncio.run(_measure(bench.config, registration, answer))
        assert bench.refreshes == 0, "nothing was cached"


async def _measure(config: Path, registration: peers.Registration, answer: dict[str, Any]) -> None:
    with Connector.open(config) as connector:
        async with (
            Connector.open_async(config) as asynchronous,
            peers.authlib_async(registration, answer) as authlib_async,
        ):
            connector.get_token(ACCOUNT)
            await asynchronous.get_token(ACCOUNT)
            token = authlib_async.token
            memory = connector._runtime.tokens.memory
            names = connector._portal.call(_fill(connector._runtime))
            contenders: list[Contender] = [
                ("Connector.get_token", _same(connector.get_token, ACCOUNT)),
                ("Connector.get_access_token", _same(connector.get_access_token, ACCOUNT)),
                (
                    f"Connector.get_token, {MANY:,} in random order",
                    _each(connector.get_token, names),
                ),
                ("AsyncConnector.get_token", _awaited(asynchronous.get_token, ACCOUNT)),
                *_floors(names),
                *_synchronous_peers(registration, answer),
                (
                    "Authlib async ensure_active_token",
                    _awaited(authlib_async.ensure_active_token, token),
                ),
            ]
            rows = await _in_turns(contenders)
            assert memory.hit(names[0]) is not None
    print_table("A cached, valid token", "µs", rows)


async def _fill(runtime: Runtime) -> list[str]:
    """Put copies of the one account into the store, and of its token into memory.

    It runs in the Connector's own loop: nothing else writes there meanwhile.

    Returns:
        Their names, in random order.
    """
    memory = runtime.tokens.memory
    remembered = memory.get(ACCOUNT)
    assert remembered is not None
    names = [f"acme/account-{i}" for i in range(MANY)]
    columns = [column.name for column in ACCOUNTS.columns if column.name not in {"id", "name"}]
    others = ", ".join(columns)
    series = (
        "WITH RECURSIVE many(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM many WHERE i + 1 < :many)"
    )
    copy = f"SELECT 'copy-' || i, 'acme/account-' || i, {others} FROM account, many"  # noqa: S608 - our own columns
    insert = f"{series} INSERT INTO account (id, name, {others}) {copy} WHERE name = :one"
    async with runtime.database.write() as connection:
        await connection.execute(text(insert), {"many": MANY, "one": ACCOUNT})
    for i, name in enumerate(names):
        token = replace(remembered.token)
        memory.put(name, replace(remembered, account_id=f"copy-{i}", token=token))
    random.Random(1).shuffle(names)  # noqa: S311 - an order
    await runtime.tokens.check_store()
    for name in names:  # the first use of a token is written down
        assert memory.hit(name) is not None
    await runtime.tokens.check_store()
    return names


def _floors(names: list[str]) -> list[Contender]:
    """The least that can be done: find a token, and see that it has not ended."""
    tokens = {name: ("token", time.time() + peers.AN_HOUR) for name in (ACCOUNT, *names)}

    def look_up(name: str) -> str | None:
        value, expires_at = tokens[name]
        return value if time.time() < expires_at else None

    return [
        ("floor: dict look-up and clock", _same(look_up, ACCOUNT)),
        (f"floor, {MANY:,} in random order", _each(look_up, names)),
    ]


def _synchronous_peers(registration: peers.Registration, answer: dict[str, Any]) -> list[Contender]:
    session = peers.authlib_session(registration, answer, expires_in=peers.AN_HOUR)
    google = peers.google_credentials(registration, answer, expires_in=peers.AN_HOUR)
    request = peers.google_request()
    auth = peers.requests_auth(registration, answer, expires_in=peers.AN_HOUR)
    prepared = peers.a_request()
    acquire = peers.msal_application()
    return [
        ("Authlib ensure_active_token", _calls(session.ensure_active_token)),
        ("google-auth valid", _calls(lambda: google.valid)),
        (
            "google-auth before_request",
            _calls(lambda: google.before_request(request, "GET", "http://127.0.0.1/", {})),
        ),
        ("requests_oauth2client auth", _calls(lambda: auth(prepared))),
        ("msal acquire_token_for_client", _calls(acquire)),
    ]


def _calls(call: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        for _ in range(CALLS):
            call()

    return run


def _same(call: Callable[[str], object], name: str) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        for _ in range(CALLS):
            call(name)

    return run


def _each(call: Callable[[str], object], names: list[str]) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        start = random.randrange(len(names) - CALLS)  # noqa: S311 - where to begin
        for name in names[start : start + CALLS]:
            call(name)

    return run


def _awaited(
    call: Callable[[Any], Awaitable[object]], argument: object
) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        for _ in range(CALLS):
            await call(argument)

    return run


async def _in_turns(contenders: list[Contender]) -> list[tuple[str, list[float]]]:
    """Run all, again and again, so that a noisy machine is noisy for all alike; give µs a call."""
    times: dict[str, list[float]] = {name: [] for name, _ in contenders}
    for turn in range(ROUNDS + 1):
        for name, run in contenders:
            await asyncio.sleep(0.01)  # whoever watches the store has its turn
            began = time.perf_counter()
            await run()
            took = time.perf_counter() - began
            if turn:  # the first warms up
                times[name].append(took / CALLS * 1e6)
    return list(times.items())


if __name__ == "__main__":
    main()
