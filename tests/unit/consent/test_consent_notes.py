"""What the audit trail says of consents: begun, given, or refused and why."""

import pytest

from connector import errors
from connector.consent import UnknownConsent
from connector.runtime import Runtime
from connector.simulator.person import Person
from tests.unit.audited import audited, detail, events
from tests.unit.workbench import ACCOUNT, Workbench, in_thread

STARTED = ("consent.started", None)


async def test_given(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    account = (await bench.consent(runtime, ada)).account
    started, given = await audited(runtime, "consent")
    assert (started.event, started.account, started.account_id) == (
        "consent.started",
        ACCOUNT,
        None,
    )
    assert (given.event, given.account, given.account_id) == ("consent.given", ACCOUNT, account.id)
    assert detail(started)["consent"] == detail(given)["consent"]
    assert detail(given)["provider"] == "acme"
    assert given.outcome == "full"


async def test_given_in_part(bench: Workbench, ada: Person) -> None:
    bench.configure(scopes=("ads_read", "more"))
    async with bench.runtime() as runtime:
        started = await runtime.consents.begin("acme", ACCOUNT)
        url = (await runtime.consents.url(started.id)).replace("ads_read+more", "ads_read")
        completed = await bench.complete(runtime, await in_thread(ada.consent, url))
        assert completed.missing_scopes == ("more",)
        assert await events(runtime, "consent") == [STARTED, ("consent.given", "partial")]


async def test_denied(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    started = await runtime.consents.begin("acme", ACCOUNT)
    redirect = await in_thread(ada.consent, await runtime.consents.url(started.id), "deny")
    with pytest.raises(errors.ConsentNotGiven):
        await bench.complete(runtime, redirect)
    with pytest.raises(UnknownConsent):
        await bench.complete(runtime, redirect)
    assert await events(runtime, "consent") == [
        STARTED,
        ("consent.refused", "denied"),
        ("consent.refused", "used_before"),
    ]


async def test_too_late(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    redirect = await bench.begin(runtime, ada)
    bench.clock.advance(600)
    with pytest.raises(UnknownConsent):
        await bench.complete(runtime, redirect)
    assert await events(runtime, "consent") == [STARTED, ("consent.refused", "expired")]


async def test_another_person(bench: Workbench, ada: Person, grace: Person) -> None:
    bench.configure(scopes=("openid", "ads_read"))
    async with bench.runtime() as runtime:
        await bench.consent(runtime, ada)
        redirect = await bench.begin(runtime, grace)
        with pytest.raises(errors.ConsentNotGiven):
            await bench.complete(runtime, redirect)
        assert (await events(runtime, "consent"))[-1] == ("consent.refused", "another_person")


async def test_given_up(runtime: Runtime) -> None:
    started = await runtime.consents.begin("acme", ACCOUNT)
    assert await runtime.consents.abandon(started)
    assert not await runtime.consents.abandon(started)
    assert await events(runtime, "consent") == [STARTED, ("consent.refused", "abandoned")]


@pytest.mark.parametrize("kind", ["drop", "status"])
async def test_an_exchange_that_failed(
    bench: Workbench, runtime: Runtime, ada: Person, kind: str
) -> None:
    redirect = await bench.begin(runtime, ada)
    bench.fault(kind, status=503) if kind == "status" else bench.fault(kind, when="after")
    with pytest.raises(errors.TemporarilyUnavailable):
        await bench.complete(runtime, redirect)
    assert await events(runtime, "consent") == [
        STARTED,
        ("consent.refused", "temporarily-unavailable"),
    ]


async def test_a_code_that_is_refused(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    redirect = await bench.begin(runtime, ada)
    code = redirect.partition("code=")[2].partition("&")[0]
    with pytest.raises(errors.ConsentNotGiven):
        await bench.complete(runtime, redirect.replace(code, "another"))
    assert (await events(runtime, "consent"))[-1] == ("consent.refused", "code_refused")


async def test_no_secret_of_a_consent_is_in_it(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    redirect = await bench.begin(runtime, ada)
    await bench.complete(runtime, redirect)
    text = str(await audited(runtime))
    for name in ("code", "state"):
        value = redirect.partition(f"{name}=")[2].partition("&")[0]
        assert value
        assert value not in text
    token = await runtime.tokens.get(ACCOUNT)
    assert token.value not in text
