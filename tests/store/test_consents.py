"""Consents under way: found, consumed once, over, and swept away."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from connector.errors import VaultSealed
from connector.store.consents import ConsentRecord
from connector.testing import SOME_TIME, Stores

from .worker import Crew

RECORD = ConsentRecord(
    id="c1",
    state_hash="hash of the state",
    account="acme/one",
    provider="acme",
    request=b'{"code_verifier": "canary-verifier"}',
    created_at=SOME_TIME,
    expires_at=SOME_TIME + 600,
)
OTHER = replace(RECORD, id="c2", state_hash="another", request=b"other")


async def test_it_is_found_by_state_and_id(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    await stores.consents.add(OTHER)
    assert await stores.consents.find("hash of the state") == RECORD
    assert await stores.consents.get("c1") == RECORD
    assert await stores.consents.find("another") == OTHER
    assert await stores.consents.find("hash of nothing") is None
    assert await stores.consents.get("c3") is None


async def test_no_field_is_lost(stores: Stores) -> None:
    bound = replace(RECORD, browser_hash="hash of the cookie")
    await stores.consents.add(bound)
    assert await stores.consents.get("c1") == bound


async def test_processes_that_consume_it_at_once_leave_one_winner(
    stores: Stores, workers: Crew, address: str
) -> None:
    await stores.consents.add(RECORD)
    results = workers.run("consume", [{"url": address, "consent_id": "c1"}] * 6)
    assert sorted(results) == [False] * 5 + [True]


async def test_tasks_that_consume_it_at_once_leave_one_winner(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    results = await asyncio.gather(
        *(stores.consents.consume(RECORD, now=SOME_TIME) for _ in range(20))
    )
    assert results.count(True) == 1


async def test_until_its_time_is_over_an_answer_is_taken(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    end = RECORD.expires_at
    for now in (end, end + 1):
        assert not await stores.consents.consume(RECORD, now=now)
    assert await stores.consents.consume(RECORD, now=end - 0.001)


async def test_once_consumed_its_request_is_gone(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    assert await stores.consents.consume(RECORD, now=SOME_TIME)
    consumed = await stores.consents.find("hash of the state")
    assert consumed == replace(RECORD, request=b"")
    async with stores.database.read() as connection:
        row = (await connection.execute(text("SELECT request_sealed FROM consent"))).one()
    assert bytes(row[0]) == b"", "the verifier is used once"


async def test_a_request_that_was_blanked_before_its_time_is_refused(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    async with stores.database.write() as connection:
        statement = text("UPDATE consent SET request_sealed = :nothing")
        await connection.execute(statement, {"nothing": b""})
    with pytest.raises(VaultSealed):
        await stores.consents.find("hash of the state")


async def test_a_request_of_another_consent_does_not_open(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    await stores.consents.add(OTHER)
    async with stores.database.write() as connection:
        await connection.execute(
            text(
                "UPDATE consent SET request_sealed ="
                " (SELECT request_sealed FROM consent WHERE id = 'c2') WHERE id = 'c1'"
            )
        )
    with pytest.raises(VaultSealed, match="request of consent c1"):
        await stores.consents.get("c1")
    assert await stores.consents.get("c2") == OTHER, "the others are not harmed"


async def test_its_end_is_told_to_whoever_waits(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    await stores.consents.consume(RECORD, now=SOME_TIME)
    await stores.consents.finish(RECORD, "consent-not-given", "the provider said \0\ud800")
    found = await stores.consents.get("c1")
    assert found is not None
    assert found.outcome == "consent-not-given"
    assert found.message == "the provider said \N{REPLACEMENT CHARACTER}?"
    await stores.consents.finish(RECORD, "connected", None)
    found = await stores.consents.get("c1")
    assert found is not None
    assert (found.outcome, found.message) == ("connected", None)


async def test_an_hour_after_their_end_they_are_swept_away(stores: Stores) -> None:
    await stores.consents.add(RECORD)
    later = RECORD.expires_at + 3600
    await stores.consents.add(replace(OTHER, created_at=later, expires_at=later + 600))
    assert await stores.consents.get("c1") is not None, "whoever waits may still ask"
    third = replace(OTHER, id="c3", state_hash="third", created_at=later + 1)
    await stores.consents.add(replace(third, expires_at=later + 600))
    assert await stores.consents.get("c1") is None
    assert await stores.consents.get("c2") is not None


def test_its_request_is_not_shown() -> None:
    assert "canary" not in repr(RECORD)
