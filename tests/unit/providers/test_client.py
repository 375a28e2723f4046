"""Clients made on demand: discovery once, pinned, and never followed elsewhere (32, 34)."""

import dataclasses
from collections.abc import Mapping

import pytest

from connector.errors import ConfigurationError, TemporarilyUnavailable
from connector.oauth.authorization_server import AuthorizationServer, Revocation
from connector.oauth.wire import Wire
from connector.providers.client import ProviderDirectory, complete
from connector.providers.configured import ConfiguredProviders
from connector.providers.declared_registration import DeclaredRegistration
from connector.providers.provider import Provider
from connector.secret import SecretReference
from tests.unit.raw_server import RawServer, answer, hang_up

from .tables import read_client

NOW = 1_800_000_000.0
NOT_FOUND = answer(404, b"")


class Pins:
    """Keeps metadata in a dictionary."""

    def __init__(self) -> None:
        self.pinned: dict[tuple[str, str], Mapping[str, object]] = {}

    async def load(self, provider: str, issuer: str) -> Mapping[str, object] | None:
        return self.pinned.get((provider, issuer))

    async def save(self, provider: str, issuer: str, metadata: Mapping[str, object]) -> None:
        self.pinned[provider, issuer] = metadata


def provider(server: AuthorizationServer) -> Provider:
    return Provider(
        name="acme", title="Acme", server=server, redirect_uri="http://127.0.0.1/callback/acme"
    )


def discovered(server: RawServer, **declared: object) -> Provider:
    """A provider of which the issuer is written down, and perhaps more."""
    known = {"authorization_endpoint": "", "token_endpoint": "", "issuer": server.origin}
    return provider(AuthorizationServer(**(known | declared)))  # type: ignore[arg-type]


def registration(text: str = "") -> DeclaredRegistration:
    return read_client('client_id = "c"\n' + text)[0]


def directory(
    wire: Wire, *providers: Provider, pins: Pins | None = None, text: str = ""
) -> ProviderDirectory:
    return ProviderDirectory(
        ConfiguredProviders(
            {one.name: one for one in providers},
            {one.name: registration(text) for one in providers},
            wire=wire,
            pins=pins or Pins(),
            now=lambda: NOW,
            source="config.toml",
        )
    )


def metadata(server: RawServer, **changes: object) -> dict[str, object]:
    return {
        "issuer": server.origin,
        "authorization_endpoint": f"{server.origin}/authorize",
        "token_endpoint": f"{server.origin}/token",
        **changes,
    }


async def test_endpoints_that_are_written_down_need_no_discovery(
    wire: Wire, server: RawServer
) -> None:
    written = provider(
        AuthorizationServer(
            authorization_endpoint=f"{server.origin}/a",
            token_endpoint=f"{server.origin}/t",
            issuer=server.origin,
        )
    )
    made = directory(wire, written)
    client = await made.get("acme")
    assert client.server == written.server
    assert client.registration.client_id == "c"
    assert client.fingerprint == client.registration.fingerprint(written.server)
    assert client.endpoint.server is client.server
    assert await made.get("acme") is await made.get_for_consent("acme") is client
    assert server.connections == 0


async def test_discovery_happens_once_and_is_pinned(wire: Wire, server: RawServer) -> None:
    pins = Pins()
    server.will(answer(200, metadata(server)), NOT_FOUND)
    one = directory(wire, discovered(server), pins=pins)
    client = await one.get("acme")
    assert client.server.token_endpoint == f"{server.origin}/token"
    assert await one.get("acme") is client
    assert len(server.received) == 2
    # another process, later, while discovery is away
    server.will(hang_up)
    again = await directory(wire, discovered(server), pins=pins).get("acme")
    assert again.server == client.server
    assert again.fingerprint == client.fingerprint
    assert len(server.received) == 2


async def test_a_refresh_does_not_follow_metadata(wire: Wire, server: RawServer) -> None:
    """32: whatever the document says today, a stored token goes where it was pinned."""
    pins = Pins()
    server.will(answer(200, metadata(server)), NOT_FOUND)
    await directory(wire, discovered(server), pins=pins).get("acme")
    server.will(answer(200, metadata(server, token_endpoint="https://evil.example/token")))
    client = await directory(wire, discovered(server), pins=pins).get("acme")
    assert client.server.token_endpoint == f"{server.origin}/token"


@pytest.mark.parametrize(
    ("name", "moved"),
    [
        ("token_endpoint", "https://evil.example/token"),
        ("authorization_endpoint", "https://evil.example/authorize"),
        ("revocation_endpoint", "https://evil.example/revoke"),
    ],
)
async def test_metadata_that_moves_an_endpoint_is_refused(
    wire: Wire, server: RawServer, name: str, moved: str
) -> None:
    """32: until an operator writes the endpoint down; nothing is sent to the new one."""
    pins = Pins()
    before = metadata(server, revocation_endpoint=f"{server.origin}/revoke")
    server.will(answer(200, before), NOT_FOUND)
    made = directory(wire, discovered(server), pins=pins)
    client = await made.get_for_consent("acme")
    server.will(answer(200, before | {name: moved}), NOT_FOUND)
    with pytest.raises(ConfigurationError) as raised:
        await made.get_for_consent("acme")
    (problem,) = raised.value.problems
    assert problem.key == f"providers.acme.{name}"
    assert problem.message == f"the metadata now names {moved}, and named {before[name]} before"
    assert problem.remedy == f"if that is right, write it down: {name} = {moved!r}"
    # refreshing goes on as pinned
    assert (await made.get("acme")).server == client.server
    assert pins.pinned["acme", server.origin] == before


async def test_an_endpoint_that_is_written_down_may_be_told_anew(
    wire: Wire, server: RawServer
) -> None:
    pins = Pins()
    own = discovered(
        server,
        token_endpoint=f"{server.origin}/own-token",
        revocation=Revocation(endpoint=f"{server.origin}/own-revoke"),
    )
    made = directory(wire, own, pins=pins)
    server.will(answer(200, metadata(server)), NOT_FOUND)
    await made.get_for_consent("acme")
    changed = metadata(
        server, token_endpoint=f"{server.origin}/t2", revocation_endpoint="https://x.example/r"
    )
    server.will(answer(200, changed), NOT_FOUND)
    client = await made.get_for_consent("acme")
    assert client.server.token_endpoint == f"{server.origin}/own-token"
    assert client.server.revocation == Revocation(endpoint=f"{server.origin}/own-revoke")


async def test_new_keys_and_methods_are_taken_over_at_a_consent(
    wire: Wire, server: RawServer
) -> None:
    made = directory(wire, discovered(server))
    server.will(answer(200, metadata(server, jwks_uri=f"{server.origin}/1")), NOT_FOUND)
    await made.get_for_consent("acme")
    server.will(answer(200, metadata(server, jwks_uri=f"{server.origin}/2")), NOT_FOUND)
    await made.get_for_consent("acme")
    assert (await made.get("acme")).server.jwks_uri == f"{server.origin}/2"


async def test_metadata_that_cannot_be_had_now(wire: Wire, server: RawServer) -> None:
    """34: nothing is pinned by a failure, and the next try may succeed."""
    made = directory(wire, discovered(server))
    server.will(hang_up)
    with pytest.raises(TemporarilyUnavailable, match="the metadata of provider acme cannot be had"):
        await made.get("acme")
    server.will(answer(200, metadata(server)), NOT_FOUND)
    assert (await made.get("acme")).server.token_endpoint == f"{server.origin}/token"


async def test_refreshing_goes_on_while_discovery_is_away(wire: Wire, server: RawServer) -> None:
    """34: only a new consent has to wait."""
    made = directory(wire, discovered(server))
    server.will(answer(200, metadata(server)), NOT_FOUND)
    client = await made.get("acme")
    server.will(answer(503, b""))
    with pytest.raises(TemporarilyUnavailable):
        await made.get_for_consent("acme")
    assert await made.get("acme") is client


async def test_metadata_of_another_issuer(wire: Wire, server: RawServer) -> None:
    """30: told where to mend it."""
    server.will(answer(200, metadata(server, issuer="https://evil.example")))
    with pytest.raises(ConfigurationError, match=r"providers\.acme\.issuer: .*another issuer"):
        await directory(wire, discovered(server)).get("acme")


async def test_a_provider_that_is_not_configured(wire: Wire, server: RawServer) -> None:
    made = directory(wire, discovered(server))
    with pytest.raises(ConfigurationError, match=r"providers\.acne.*did you mean acme\?"):
        await made.get("acne")
    with pytest.raises(ConfigurationError, match="configured here: acme"):
        await made.get_for_consent("facebook")
    with pytest.raises(ConfigurationError, match="configured here: none"):
        await directory(wire).get("facebook")


async def test_a_secret_that_is_missing(
    wire: Wire, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACME_SECRET", raising=False)
    written = discovered(
        server, authorization_endpoint="https://a.example", token_endpoint="https://t.example"
    )
    made = directory(wire, written, text='client_secret = "env:ACME_SECRET"')
    with pytest.raises(ConfigurationError, match="ACME_SECRET is not set"):
        await made.get("acme")
    monkeypatch.setenv("ACME_SECRET", "s")
    assert (await made.get("acme")).registration.client_secret


async def test_a_client_shows_no_secret(
    wire: Wire, server: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_SECRET", "canary-aaaa")
    written = discovered(
        server, authorization_endpoint="https://a.example", token_endpoint="https://t.example"
    )
    client = await directory(wire, written, text='client_secret = "env:ACME_SECRET"').get("acme")
    assert "canary-aaaa" not in repr(client) + str(client)
    assert isinstance(registration('client_secret = "env:X"').client_secret, SecretReference)


def test_what_is_written_down_comes_before_metadata() -> None:
    server = AuthorizationServer(
        authorization_endpoint="https://own.example/a",
        token_endpoint="",
        issuer="https://id.example",
        userinfo_endpoint="https://own.example/u",
        authorization_response_iss_parameter_supported=True,
    )
    found: dict[str, object] = {
        "issuer": "https://id.example",
        "authorization_endpoint": "https://id.example/a",
        "token_endpoint": "https://id.example/t",
        "revocation_endpoint": "https://id.example/r",
        "userinfo_endpoint": "https://id.example/u",
        "code_challenge_methods_supported": ["S256"],
        "require_pushed_authorization_requests": True,
    }
    assert complete(server, found) == dataclasses.replace(
        server,
        token_endpoint="https://id.example/t",
        revocation=Revocation(endpoint="https://id.example/r"),
        code_challenge_methods_supported=("S256",),
        require_pushed_authorization_requests=True,
    )
    assert complete(server, {}) == server
