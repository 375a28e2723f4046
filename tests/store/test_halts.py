"""Halts: one row for each provider, written over and removed by itself."""

from dataclasses import replace

import pytest

from connector.store.halts import Halt, HaltStore
from connector.testing import SOME_TIME, Stores


@pytest.fixture
def halts(stores: Stores) -> HaltStore:
    return HaltStore(stores.database)


ACME = Halt(
    provider="acme",
    until=SOME_TIME + 60,
    since=SOME_TIME,
    message="acme rejects our registration",
    rejected="invalid_client",
)
OTHER = replace(ACME, provider="other", message="other is unavailable", rejected=None)


async def test_each_provider_has_one(halts: HaltStore) -> None:
    assert await halts.all() == {}
    for halt in (ACME, OTHER):
        await halts.begin(halt)
    assert await halts.all() == {"acme": ACME, "other": OTHER}
    longer = replace(ACME, until=SOME_TIME + 120, rejected=None)
    await halts.begin(longer)
    assert await halts.all() == {"acme": longer, "other": OTHER}


async def test_it_ends_for_its_provider_and_for_no_other(halts: HaltStore) -> None:
    for halt in (ACME, OTHER):
        await halts.begin(halt)
    await halts.end("acme")
    await halts.end("acme")
    assert await halts.all() == {"other": OTHER}
