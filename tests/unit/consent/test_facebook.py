"""The consent at a provider that is not by the RFCs: no refresh token, errors as objects."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from connector import errors
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.simulator.person import Person
from tests.unit.workbench import FACEBOOK, NOW, Workbench, in_thread

LONG = 5183944
SHORT = 3600


def graph_fault(bench: Workbench, kind: str, grant_type: str, **values: object) -> None:
    fault = Fault(
        endpoint="graph_access_token",
        kind=kind,  # type: ignore[arg-type]
        grant_type=grant_type,
        **values,  # type: ignore[arg-type]
    )
    bench.simulator.faults.add(fault)


def calls(bench: Workbench, grant_type: str) -> int:
    return bench.simulator.ledger.count("graph_access_token", grant_type=grant_type)


async def life(bench: Workbench, runtime: Runtime) -> float:
    token = await runtime.tokens.get(FACEBOOK)
    assert token.expires_at is not None
    return token.expires_at.timestamp() - bench.clock.now()


async def test_a_short_lived_token_becomes_a_long_lived_one(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    completed = await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    assert completed.can_refresh
    grant = completed.account.grant
    assert grant is not None
    assert (grant.subject, grant.subject_name) == ("10200000000000101", "Ada Lovelace")
    assert grant.terms.consent_ends_at == NOW + 90 * 86_400, "data access ends first"
    assert grant.sealed.refresh_token is None
    assert await life(bench, runtime) == LONG
    assert calls(bench, "fb_exchange_token") == 1


async def test_the_url_is_as_the_dialog_wants_it(runtime: Runtime) -> None:
    started = await runtime.consents.begin("facebook", FACEBOOK)
    query = parse_qs(urlsplit(await runtime.consents.url(started.id)).query)
    assert query["redirect_uri"] == ["http://localhost:49153/callback/facebook"]
    assert query["scope"] == ["ads_read"]
    assert len(query["state"][0]) == 43


@pytest.mark.parametrize("kind", ["drop", "status", "html", "cut"])
async def test_the_short_lived_token_is_kept_where_the_exchange_fails(
    bench: Workbench, runtime: Runtime, ada: Person, kind: str
) -> None:
    graph_fault(bench, kind, "fb_exchange_token")
    completed = await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    assert completed.account.state_name == "active"
    assert await life(bench, runtime) == SHORT
    bench.clock.advance(SHORT - 1)
    async with asyncio.timeout(20):  # a token that works is given while the exchange is slow
        while await life(bench, runtime) != LONG:  # noqa: ASYNC110 - tells of itself to nobody
            await asyncio.sleep(0.01)


async def test_the_code_is_not_sent_twice(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    graph_fault(bench, "drop", "authorization_code", when="after")
    with pytest.raises(errors.TemporarilyUnavailable, match="not sent twice"):
        await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    assert calls(bench, "authorization_code") == 1


async def test_denied(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    started = await runtime.consents.begin("facebook", FACEBOOK)
    url = await runtime.consents.url(started.id)
    redirect = await in_thread(ada.consent, url, "deny")
    with pytest.raises(errors.ConsentNotGiven, match="access_denied: Permissions error"):
        await bench.complete(runtime, redirect)
    assert calls(bench, "authorization_code") == 0


@pytest.mark.parametrize("setting", ["app_id", "app_secret"])
async def test_the_registration_is_rejected(
    bench: Workbench, runtime: Runtime, ada: Person, setting: str
) -> None:
    redirect = await bench.begin(runtime, ada, FACEBOOK, provider="facebook")
    bench.simulator.change({setting: "1111111111111111"})
    with pytest.raises(errors.RegistrationRejected, match="invalid_client"):
        await bench.complete(runtime, redirect)


async def test_again_by_another_person(
    bench: Workbench, runtime: Runtime, ada: Person, grace: Person
) -> None:
    before = (await bench.consent(runtime, ada, FACEBOOK, provider="facebook")).account
    with pytest.raises(errors.ConsentNotGiven, match=r"another person .*\(Ada Lovelace\)"):
        await bench.consent(runtime, grace, FACEBOOK, provider="facebook")
    assert await runtime.accounts.require(FACEBOOK) == before


async def test_again_by_the_same_person_after_the_end(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    bench.clock.advance(61 * 86_400)
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens.get(FACEBOOK)
    again = await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    assert again.account.state_name == "active"
    assert await life(bench, runtime) == LONG


async def test_who_consented_cannot_be_learned(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    bench.simulator.faults.add(Fault(endpoint="graph_me", kind="status", times=2))
    await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    bench.simulator.faults.add(Fault(endpoint="graph_me", kind="drop", times=None))
    with pytest.raises(errors.TemporarilyUnavailable, match="who consented could not be learned"):
        await bench.consent(runtime, ada, "acme/other", provider="facebook")
    assert await runtime.accounts.get("acme/other") is None


async def test_an_app_that_demands_proof_of_its_secret(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    bench.simulator.change({"require_appsecret_proof": True})
    completed = await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    assert completed.account.state_name == "active"


async def test_no_expires_in(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    bench.simulator.change({"graph_omit_expires_in": True})
    await bench.consent(runtime, ada, FACEBOOK, provider="facebook")
    assert await life(bench, runtime) == 60 * 86_400, "what the catalogue assumes"
