"""Connect links in the database: bound to one browser, tried so often, used up, swept away."""

import asyncio
from dataclasses import replace

import pytest

from connector.store.connect_links import ConnectLink, ConnectLinkStore
from connector.testing import SOME_TIME, Stores

END = SOME_TIME + 3600
LINK = ConnectLink(
    id="l1",
    ticket_hash="hash of the ticket",
    account="acme/one",
    provider="acme",
    created_at=SOME_TIME,
    expires_at=END,
    code_hash="hash of the code",
    new_account="the pending row",
)
OTHER = replace(LINK, id="l2", ticket_hash="another", created_at=SOME_TIME + 1, expires_at=END + 1)


@pytest.fixture
async def links(stores: Stores) -> ConnectLinkStore:
    made = ConnectLinkStore(stores.database)
    await made.add(LINK)
    await made.add(OTHER)
    return made


async def test_no_field_is_lost(links: ConnectLinkStore) -> None:
    assert await links.find("hash of the ticket", now=SOME_TIME) == LINK
    assert await links.find("nothing", now=SOME_TIME) is None
    assert await links.open(now=SOME_TIME) == [OTHER, LINK]


async def test_of_browsers_that_go_on_at_once_one_has_it(links: ConnectLinkStore) -> None:
    bound = await asyncio.gather(
        *(links.bind(LINK, f"browser {number}", now=SOME_TIME) for number in range(8))
    )
    assert bound.count(True) == 1
    found = await links.find("hash of the ticket", now=SOME_TIME)
    assert found is not None
    assert found.browser_hash == f"browser {bound.index(True)}"
    assert await links.bind(LINK, found.browser_hash, now=SOME_TIME), "and may go on again"


async def test_of_codes_that_are_tried_at_once_no_more_are_compared(
    links: ConnectLinkStore,
) -> None:
    counted = await asyncio.gather(*(links.count_try(LINK, most=5) for _ in range(12)))
    assert counted.count(True) == 5
    assert await links.count_try(OTHER, most=5)


async def test_it_is_used_up_with_its_browser_alone(links: ConnectLinkStore) -> None:
    assert await links.bind(LINK, "browser", now=SOME_TIME)
    await links.use_up("another browser", now=SOME_TIME)
    assert len(await links.open(now=SOME_TIME)) == 2
    await links.use_up("browser", now=SOME_TIME)
    assert await links.open(now=SOME_TIME) == [OTHER]
    assert await links.find("hash of the ticket", now=SOME_TIME) is None
    assert not await links.bind(LINK, "browser", now=SOME_TIME)


async def test_it_ends(links: ConnectLinkStore) -> None:
    assert await links.find("hash of the ticket", now=END - 0.001) is not None
    for now in (END, END + 1):
        assert await links.find("hash of the ticket", now=now) is None
        assert not await links.bind(LINK, "browser", now=now)
    assert await links.open(now=END) == [OTHER]


async def test_what_came_to_nothing_is_given_when_it_is_swept_away(
    links: ConnectLinkStore,
) -> None:
    assert await links.bind(OTHER, "browser", now=SOME_TIME)
    await links.use_up("browser", now=SOME_TIME)
    assert await links.take_expired(now=END - 1) == []
    assert await links.take_expired(now=END + 1) == [LINK], "the other has come to something"
    assert await links.take_expired(now=END + 1) == []
    assert await links.find("hash of the ticket", now=SOME_TIME) is None
