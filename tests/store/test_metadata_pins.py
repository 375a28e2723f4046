import asyncio

from connector.store.metadata_pins import StoredPins
from connector.testing import FixedClock, Stores

ISSUER = "https://id.example"
DOCUMENT = {"issuer": ISSUER, "scopes_supported": ["openid", "é\0\ud800"], "nested": {"a": None}}


async def test_what_was_pinned_is_given_back(stores: Stores) -> None:
    pins = StoredPins(stores.database, now=FixedClock())
    assert await pins.load("acme", ISSUER) is None
    await pins.save("acme", ISSUER, DOCUMENT)
    assert await pins.load("acme", ISSUER) == DOCUMENT


async def test_a_pin_of_another_issuer_does_not_count(stores: Stores) -> None:
    pins = StoredPins(stores.database, now=FixedClock())
    await pins.save("acme", ISSUER, DOCUMENT)
    assert await pins.load("acme", "https://id.example/") is None
    assert await pins.load("other", ISSUER) is None


async def test_a_new_pin_replaces_the_old_one_of_its_provider(stores: Stores) -> None:
    pins = StoredPins(stores.database, now=FixedClock())
    await pins.save("acme", ISSUER, DOCUMENT)
    await pins.save("other", ISSUER, DOCUMENT)
    await pins.save("acme", "https://new.example", {"issuer": "https://new.example"})
    assert await pins.load("acme", ISSUER) is None
    assert await pins.load("acme", "https://new.example") == {"issuer": "https://new.example"}
    assert await pins.load("other", ISSUER) == DOCUMENT


async def test_daemons_that_pin_at_once_are_not_in_each_others_way(stores: Stores) -> None:
    pins = StoredPins(stores.database, now=FixedClock())
    await asyncio.gather(*(pins.save("acme", ISSUER, {"number": i}) for i in range(12)))
    document = await pins.load("acme", ISSUER)
    assert document is not None
    assert document["number"] in range(12)
