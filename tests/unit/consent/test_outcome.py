"""What became of a consent is told alike by the process that took the answer and by others."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from connector import errors
from connector.consent.outcome import restore
from connector.oauth.authorization_request import hash_state
from connector.runtime import Runtime
from connector.simulator.person import Person
from tests.unit.workbench import ACCOUNT, NOW, Workbench, in_thread


async def both(
    bench: Workbench, runtime: Runtime, redirect: str, edited: tuple[str, str] = ("", "")
) -> tuple[errors.ConnectorError, errors.ConnectorError]:
    """Give the error of the process that takes the answer, and that of one that waits for it."""
    bench.configure(replace=edited)
    async with bench.runtime() as daemon:
        with pytest.raises(errors.ConnectorError) as first:
            await bench.complete(daemon, redirect)
    state = parse_qs(urlsplit(redirect).query)["state"][0]
    record = await runtime.consents.records.find(hash_state(state))
    assert record is not None
    with pytest.raises(errors.ConnectorError) as second:
        await restore(record, runtime.accounts)
    return first.value, second.value


async def begun(runtime: Runtime, person: Person, decision: str = "allow") -> str:
    started = await runtime.consents.begin("acme", ACCOUNT)
    url = await runtime.consents.url(started.id)
    return await in_thread(person.consent, url, decision)


async def test_denied(bench: Workbench, runtime: Runtime, ada: Person) -> None:
    first, second = await both(bench, runtime, await begun(runtime, ada, "deny"))
    assert (type(first), str(first)) == (type(second), str(second))
    assert str(second).count("Consent was not given") == 1


async def test_the_registration_is_rejected(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    redirect = await begun(runtime, ada)
    bench.simulator.change({"client_secret": "another"})
    first, second = await both(bench, runtime, redirect)
    assert isinstance(second, errors.RegistrationRejected)
    assert str(first) == str(second)


async def test_the_configuration_was_edited(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    edited = ("[providers.acme]", "[providers.other]")
    first, second = await both(bench, runtime, await begun(runtime, ada), edited)
    assert isinstance(second, errors.ConfigurationError)
    assert str(first) == str(second)


async def test_the_provider_says_when_to_come_back(
    bench: Workbench, runtime: Runtime, ada: Person
) -> None:
    redirect = await begun(runtime, ada)
    bench.fault("status", status=503, headers={"Retry-After": "600"})
    first, second = await both(bench, runtime, redirect)
    assert isinstance(first, errors.TemporarilyUnavailable)
    assert first.retry_at == datetime.fromtimestamp(NOW + 600, UTC)
    assert str(first) == str(second)
    assert "Try again at 2027-01-15T08:10:00Z" in str(second)


async def test_connected_with_less_than_asked_for(bench: Workbench, ada: Person) -> None:
    bench.configure(scopes=("ads_read", "ads_management"))
    bench.simulator.change({"withheld_scopes": ["ads_management"], "omit": ["refresh_token"]})
    async with bench.runtime() as runtime:
        redirect = await begun(runtime, ada)
        completed = await bench.complete(runtime, redirect)
        state = parse_qs(urlsplit(redirect).query)["state"][0]
        record = await runtime.consents.records.find(hash_state(state))
        assert record is not None
        assert await restore(record, runtime.accounts) == completed
    assert completed.missing_scopes == ("ads_management",)
    assert not completed.can_refresh
