"""No secret stands in clear in a database, in its files, or in what a value says of itself."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL

from connector.account import Account
from connector.oauth.token import TokenSet
from connector.secret import Secret
from connector.store.consents import ConsentRecord
from connector.store.grants import Consent, NewTokens
from connector.store.runs import Ending
from connector.testing import SOME_TIME, Stores, some_attempt, some_tokens
from tests.postgres import connect

CANARY = "canary-7f3a"


def _tokens(text: str) -> NewTokens:
    tokens = TokenSet(
        access_token=Secret(f"{CANARY}-access-{text}"),
        token_type="Bearer",
        refresh_token=Secret(f"{CANARY}-refresh-{text}"),
        id_token=Secret(f"{CANARY}-id-{text}"),
        sent_at=SOME_TIME,
        extra={"instance_secret": f"{CANARY}-extra-{text}"},
    )
    return NewTokens(
        tokens=tokens,
        terms=some_tokens().terms,
        refresh_token=tokens.refresh_token,
        extra=tokens.extra,
    )


def _record(number: int) -> ConsentRecord:
    return ConsentRecord(
        id=f"c{number}",
        state_hash=f"hash {number}",
        account="acme/one",
        provider="acme",
        request=f'{{"state": "{CANARY}-state", "code_verifier": "{CANARY}-verifier"}}'.encode(),
        created_at=SOME_TIME,
        expires_at=SOME_TIME + 600,
    )


async def _live(stores: Stores) -> list[object]:
    """Lead accounts through all that can happen to them; give every value that was seen."""
    seen: list[object] = [_record(1), _tokens("1")]
    consent = Consent(provider="acme", fingerprint="registration", subject="17")
    for name in ("acme/one", "acme/two"):
        account = await stores.accounts.begin(name, "acme", now=SOME_TIME)
        seen.append(await stores.grants.activate(account, _tokens("1"), consent))
    await stores.consents.add(_record(1))
    await stores.consents.add(_record(2))
    seen.append(await stores.consents.get("c1"))
    await stores.consents.consume(_record(1), now=SOME_TIME)
    one = await stores.accounts.require("acme/one")
    leased = await stores.grants.take_lease(one, "me", some_attempt())
    assert leased is not None
    late = stores.grants.renewal(leased, _tokens("late"))
    renewed = await stores.grants.renew(leased, _tokens("2"))
    assert isinstance(renewed, Account)
    assert await stores.late_tokens.keep(late)
    seen.append(late)
    seen += [leased, renewed, stores.accounts.open_refresh_token(renewed)]
    two = await stores.accounts.require("acme/two")
    debt = await stores.revocations.destroy(two, "revoked", now=SOME_TIME, is_owed=True)
    assert debt is not None
    await stores.revocations.postpone(debt, "503", retry_at=SOME_TIME)
    run = await stores.runs.claim("job", "acme/one", None, owner="me", now=SOME_TIME)
    assert run is not None
    ending = Ending(outcome="succeeded")
    await stores.runs.finish(run, ending, now=SOME_TIME)
    seen += [debt, await stores.revocations.all(), run, ending, stores, stores.vault]
    fingerprint = stores.vault.fingerprint(Secret(f"{CANARY}-access-1"))
    assert CANARY not in fingerprint
    return seen


def _values(value: object) -> Iterator[object]:
    """A value, and those that it is made of."""
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from _values(getattr(value, field.name))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _values(one)


async def test_no_secret_stands_in_the_database_or_beside_it(stores: Stores, url: URL) -> None:
    """CHECKLIST 118, V16: files, log and all columns, while the database is in use."""
    await _live(stores)
    found = _file_bytes(stores) if stores.database.is_sqlite else _server_bytes(url)
    assert b"acme/one" in found, "the search finds what is there"
    assert CANARY.encode() not in found
    assert CANARY.encode().hex().encode() not in found
    async with stores.database.read() as connection:
        names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
        for name in names:
            for row in await connection.execute(text(f'SELECT * FROM "{name}"')):  # noqa: S608
                for cell in row:
                    as_bytes = bytes(cell) if isinstance(cell, bytes | memoryview) else b""
                    assert CANARY not in str(cell)
                    assert CANARY.encode() not in as_bytes


def _file_bytes(stores: Stores) -> bytes:
    path = stores.database.path
    assert path is not None
    script = """
import pathlib, sys
sys.stdout.buffer.write(b"".join(pathlib.Path(name).read_bytes() for name in sys.argv[1:]))
"""
    files = sorted(str(one) for one in path.parent.iterdir())
    assert [Path(one).name for one in files] == ["vault.db", "vault.db-shm", "vault.db-wal"]
    return subprocess.run(
        [sys.executable, "-S", "-E", "-c", script, *files], capture_output=True, check=True
    ).stdout


def _server_bytes(url: URL) -> bytes:
    """All that ``COPY`` would write into a backup."""
    with connect(url) as operator:
        rows = operator.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [str(row[0]) for row in rows]
        dump = b""
        for name in names:
            with operator.cursor().copy(f'COPY "{name}" TO STDOUT') as copy:
                dump += b"".join(bytes(part) for part in copy)
        return dump


async def test_no_value_shows_a_secret(stores: Stores) -> None:
    for value in _values(await _live(stores)):
        if isinstance(value, str | bytes | dict):
            continue  # what a value holds; what it says of itself is asked above
        assert CANARY not in repr(value), type(value)
        assert CANARY not in str(value), type(value)
        assert CANARY not in f"{value}", type(value)
