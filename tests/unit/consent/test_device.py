"""Consent on another device (RFC 8628)."""

from collections.abc import Callable

import pytest

from connector import errors
from connector.consent.device import DeviceAuthorization, begin_device, poll_device
from connector.oauth.token import TokenSet
from connector.providers.client import ProviderClient
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.simulator.person import Person
from tests.unit.workbench import ACCOUNT, NOW, Workbench, in_thread


class Device:
    """Somebody who waits at a device; what happens meanwhile is told by the number of the wait."""

    def __init__(self, bench: Workbench, client: ProviderClient) -> None:
        self.bench = bench
        self.client = client
        self.waits: list[float] = []
        self.speed = 1.0
        self.events: dict[int, Callable[[], object]] = {}

    async def begin(self) -> DeviceAuthorization:
        return await begin_device(self.client, now=self.bench.clock.now())

    async def poll(self, authorization: DeviceAuthorization) -> TokenSet:
        clock = self.bench.clock.now
        return await poll_device(self.client, authorization, ACCOUNT, now=clock, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.bench.clock.advance(seconds * self.speed)
        event = self.events.get(len(self.waits))
        if event is not None:
            await in_thread(event)


@pytest.fixture
async def device(bench: Workbench, runtime: Runtime) -> Device:
    return Device(bench, await runtime.directory.get_for_consent("acme"))


def decide(person: Person, authorization: DeviceAuthorization, decision: str) -> object:
    uri = f"{authorization.verification_uri}?user_code={authorization.user_code}"
    return person.approve_device(uri, decision)  # type: ignore[arg-type]


async def test_allowed_after_a_while(
    bench: Workbench, runtime: Runtime, device: Device, ada: Person
) -> None:
    authorization = await device.begin()
    assert authorization.interval == 5
    assert authorization.expires_at == NOW + 600
    assert authorization.device_code.reveal() not in repr(authorization)
    device.events[3] = lambda: decide(ada, authorization, "allow")
    tokens = await device.poll(authorization)
    assert device.waits == [5, 5, 5], "the interval before each poll, the first too"
    completed = await runtime.consents.activate(
        device.client, ACCOUNT, tokens, ("ads_read",), nonce=None, kept={}
    )
    assert completed.account.state_name == "active"
    bench.clock.advance(3600)
    assert (await runtime.tokens.get(ACCOUNT)).value


async def test_denied(device: Device, ada: Person) -> None:
    authorization = await device.begin()
    device.events[1] = lambda: decide(ada, authorization, "deny")
    with pytest.raises(errors.ConsentNotGiven, match="denied"):
        await device.poll(authorization)


async def test_slow_down_makes_the_pauses_longer(
    bench: Workbench, device: Device, ada: Person
) -> None:
    authorization = await device.begin()
    device.speed = 0.5  # the server's clock is slow: it finds us hasty
    device.events[4] = lambda: decide(ada, authorization, "allow")
    device.events[3] = lambda: setattr(device, "speed", 1.0)
    await device.poll(authorization)
    assert device.waits == [5, 5, 10, 15]
    assert bench.simulator.ledger.count("token", outcome="slow_down") == 2


@pytest.mark.parametrize("kind", ["drop", "status", "html"])
async def test_trouble_makes_the_pauses_longer(
    bench: Workbench, device: Device, ada: Person, kind: str
) -> None:
    authorization = await device.begin()
    bench.fault(kind, times=2)
    device.events[3] = lambda: decide(ada, authorization, "allow")
    await device.poll(authorization)
    assert device.waits == [5, 10, 15]


async def test_nobody_answers(bench: Workbench, device: Device) -> None:
    authorization = await device.begin()
    with pytest.raises(errors.ConsentNotGiven, match="the code has expired"):
        await device.poll(authorization)
    assert sum(device.waits) == 600
    assert bench.simulator.ledger.count("token") == 119, "no poll at its end or after it"


async def test_the_server_says_that_it_has_expired(bench: Workbench, device: Device) -> None:
    authorization = await device.begin()
    bench.fault("falsify", status=400, body='{"error":"expired_token"}')
    with pytest.raises(errors.ConsentNotGiven, match="the code has expired"):
        await device.poll(authorization)


async def test_an_answer_that_is_no_reason_to_go_on(bench: Workbench, device: Device) -> None:
    authorization = await device.begin()
    bench.fault("falsify", status=400, body='{"error":"invalid_scope"}')
    with pytest.raises(errors.TemporarilyUnavailable, match="invalid_scope"):
        await device.poll(authorization)


async def test_the_registration_is_rejected(bench: Workbench, device: Device) -> None:
    authorization = await device.begin()
    bench.simulator.change({"client_secret": "another"})
    with pytest.raises(errors.RegistrationRejected):
        await device.poll(authorization)
    with pytest.raises(errors.RegistrationRejected):
        await device.begin()


async def test_the_provider_offers_none(bench: Workbench, runtime: Runtime) -> None:
    bench.simulator.change({"metadata_overrides": {"device_authorization_endpoint": None}})
    client = await runtime.directory.get_for_consent("acme")
    with pytest.raises(errors.ConfigurationError, match="leave out --device"):
        await begin_device(client, now=NOW)


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"kind": "drop"}, "was lost"),
        ({"kind": "status"}, "HTTP 503"),
        ({"kind": "html"}, "unusable"),
        ({"kind": "falsify", "body": "{}"}, "unusable"),
        (
            {"kind": "falsify", "body": '{"verification_uri":"javascript:alert(1)"}'},
            "unusable",
        ),
        (
            {"kind": "falsify", "body": '{"verification_uri":"http://as.example/device"}'},
            "unusable",
        ),
        (
            {"kind": "falsify", "body": '{"verification_uri":"https://as.example/device"}'},
            "fields are missing",
        ),
    ],
)
async def test_no_code_can_be_had(
    bench: Workbench, device: Device, fault: dict[str, object], says: str
) -> None:
    bench.simulator.faults.add(
        Fault(endpoint="device_authorization", **fault)  # type: ignore[arg-type]
    )
    with pytest.raises(errors.TemporarilyUnavailable, match=says):
        await device.begin()


async def test_an_older_name_of_the_uri_and_no_interval(bench: Workbench, device: Device) -> None:
    body = (
        '{"device_code":"d","user_code":"A\\u0007B","expires_in":"60",'
        '"verification_url":"https://as.example/device"}'
    )
    bench.simulator.faults.add(Fault(endpoint="device_authorization", kind="falsify", body=body))
    authorization = await device.begin()
    assert authorization.verification_uri == "https://as.example/device"
    assert (authorization.interval, authorization.expires_at) == (5, NOW + 60)
    assert authorization.user_code == "A B", "no control character reaches the terminal"
