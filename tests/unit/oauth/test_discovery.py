"""Metadata: fetched, compared, and never believed beyond its issuer (CHECKLIST 30, 34-37, 41)."""

import pytest

from connector.oauth.discovery import DiscoveryFailed, discover, fetch_keys, metadata_urls
from connector.oauth.wire import Wire
from tests.unit.raw_server import RawServer, Script, answer, closed_port, hang_up, silence

RFC_8414 = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"


@pytest.mark.parametrize(
    ("issuer", "urls"),
    [
        ("https://id.example", (f"https://id.example{RFC_8414}", f"https://id.example{OIDC}")),
        ("https://id.example/", (f"https://id.example{RFC_8414}", f"https://id.example{OIDC}")),
        ("https://id.example:8443/t/a",
         (f"https://id.example:8443{RFC_8414}/t/a", f"https://id.example:8443/t/a{OIDC}")),
        ("https://id.example/t/", (f"https://id.example{RFC_8414}/t", f"https://id.example/t{OIDC}")),
    ],
)  # fmt: skip
def test_where_metadata_stands(issuer: str, urls: tuple[str, str]) -> None:
    """RFC 8414 §3.1 puts the well-known part before the path, OpenID Connect behind it."""
    assert metadata_urls(issuer) == urls


def document(server: RawServer, **changes: object) -> dict[str, object]:
    origin = server.origin
    whole = {
        "issuer": origin,
        "authorization_endpoint": f"{origin}/authorize",
        "token_endpoint": f"{origin}/token",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


NOT_FOUND = answer(404, b"not here")


async def test_both_documents_are_read(wire: Wire, server: RawServer) -> None:
    """The first wins, the second fills in what it lacks; nothing else is taken over."""
    origin = server.origin
    server.will(
        answer(
            200, document(server, revocation_endpoint=f"{origin}/revoke", scopes_supported=["a"])
        ),
        answer(
            200,
            document(
                server,
                token_endpoint=f"{origin}/other-token",
                jwks_uri=f"{origin}/jwks",
                authorization_response_iss_parameter_supported=True,
                require_pushed_authorization_requests="true",
                code_challenge_methods_supported=["S256", "plain"],
                token_endpoint_auth_methods_supported="client_secret_basic",
                id_token_signing_alg_values_supported=["RS256", 5],
                userinfo_endpoint=5,
                device_authorization_endpoint="",
            ),
        ),
    )
    assert await discover(wire, origin) == {
        "issuer": origin,
        "authorization_endpoint": f"{origin}/authorize",
        "token_endpoint": f"{origin}/token",
        "revocation_endpoint": f"{origin}/revoke",
        "jwks_uri": f"{origin}/jwks",
        "authorization_response_iss_parameter_supported": True,
        "code_challenge_methods_supported": ["S256", "plain"],
    }
    assert [request.target for request in server.received] == [RFC_8414, OIDC]
    assert {request.method for request in server.received} == {"GET"}
    assert {request.header("Accept") for request in server.received} == {"application/json"}


@pytest.mark.parametrize(
    "other",
    [
        NOT_FOUND,
        answer(200, b"<!doctype html><title>Our single-page app</title>"),
        answer(200, b"[]"),
        answer(302, b"", {"Location": "/login"}),
        answer(500, b""),
        hang_up,
    ],
    ids=["404", "a page for any path", "a list", "redirect", "500", "hang-up"],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_one_document_is_enough(
    *, wire: Wire, server: RawServer, other: Script, is_first: bool
) -> None:
    good = answer(200, document(server))
    server.will(*((other, good) if is_first else (good, other)))
    assert await discover(wire, server.origin) == document(server)


@pytest.mark.parametrize(
    "change",
    [
        lambda issuer: issuer + "/",
        lambda issuer: issuer.upper(),
        lambda issuer: issuer.replace("http", "https"),
        lambda issuer: issuer.replace("127.0.0.1", "localhost"),
        lambda issuer: issuer[:-1],
        lambda issuer: issuer + "0",
        lambda issuer: issuer + "#",
        lambda issuer: issuer + "?x",
        lambda issuer: " " + issuer,
        lambda issuer: [issuer],
        lambda issuer: {"issuer": issuer},
        lambda issuer: "https://xn--i-7iq.example" if issuer else "",
        lambda issuer: None if issuer else "",
        lambda issuer: "" if issuer else None,
    ],
)
async def test_an_issuer_is_compared_as_a_string(
    wire: Wire, server: RawServer, change: object
) -> None:
    """30: a slash, a case, a port, a prefix: nothing is used and nothing more is asked for."""
    assert callable(change)
    server.will(answer(200, document(server, issuer=change(server.origin))))
    with pytest.raises(DiscoveryFailed, match="is the metadata of another issuer") as raised:
        await discover(wire, server.origin)
    assert not raised.value.is_temporary
    assert len(server.received) == 1


async def test_a_second_document_of_another_issuer_spoils_both(
    wire: Wire, server: RawServer
) -> None:
    """30: it is not used, and neither is what may have come with it."""
    evil = document(server, issuer="https://evil.example", jwks_uri="https://evil.example/jwks")
    server.will(answer(200, document(server)), answer(200, evil))
    with pytest.raises(DiscoveryFailed, match="another issuer"):
        await discover(wire, server.origin)


@pytest.mark.parametrize(
    "name",
    ["authorization_endpoint", "token_endpoint", "revocation_endpoint", "jwks_uri",
     "device_authorization_endpoint", "pushed_authorization_request_endpoint",
     "userinfo_endpoint"],
)  # fmt: skip
@pytest.mark.parametrize(
    "url",
    ["http://id.example/x", "file:///etc/passwd", "$(id)", "--flag", "https://u:p@id.example/",
     "https://id.example/#x", "https://id.example/\r\nX: y", "https://id.example\\x", "/relative"],
)  # fmt: skip
async def test_an_unsafe_endpoint_is_refused(
    wire: Wire, server: RawServer, name: str, url: str
) -> None:
    """15, 37: before anything is sent there or opened."""
    server.will(answer(200, document(server, **{name: url})))
    with pytest.raises(DiscoveryFailed, match=name) as raised:
        await discover(wire, server.origin)
    assert not raised.value.is_temporary


@pytest.mark.parametrize(
    ("first", "second", "is_temporary"),
    [
        (404, 404, False),
        (403, 301, False),
        (404, 500, True),
        (503, 404, True),
        (429, 404, True),
        (404, 400, False),
    ],
)
async def test_whether_it_may_be_there_later(
    *, wire: Wire, server: RawServer, first: int, second: int, is_temporary: bool
) -> None:
    server.will(answer(first, b""), answer(second, b""))
    with pytest.raises(DiscoveryFailed) as raised:
        await discover(wire, server.origin)
    assert raised.value.is_temporary is is_temporary
    message = f"{server.origin}{RFC_8414}: HTTP {first}; {server.origin}{OIDC}: HTTP {second}"
    assert str(raised.value) == message


async def test_nobody_there_is_temporary(wire: Wire) -> None:
    with pytest.raises(DiscoveryFailed, match="connection failed") as raised:
        await discover(wire, f"http://127.0.0.1:{closed_port()}")
    assert raised.value.is_temporary


async def test_pages_instead_of_documents(wire: Wire, server: RawServer) -> None:
    server.will(answer(200, b"<html>canary</html>"))
    with pytest.raises(DiscoveryFailed, match="not JSON") as raised:
        await discover(wire, server.origin)
    assert not raised.value.is_temporary
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("missing", ["authorization_endpoint", "token_endpoint"])
async def test_an_endpoint_is_missing(wire: Wire, server: RawServer, missing: str) -> None:
    server.will(answer(200, document(server, **{missing: None})))
    with pytest.raises(DiscoveryFailed, match=f"lacks {missing}"):
        await discover(wire, server.origin)


async def test_a_redirect_is_not_followed(wire: Wire, server: RawServer) -> None:
    """41: nothing goes to where it points."""
    capture = RawServer()
    await capture.start()
    server.will(answer(302, b"", {"Location": f"{capture.origin}{OIDC}"}))
    with pytest.raises(DiscoveryFailed, match="HTTP 302"):
        await discover(wire, server.origin)
    await capture.stop()
    assert capture.connections == 0


# --- keys


async def test_keys_are_fetched(wire: Wire, server: RawServer) -> None:
    """35: anew for each ID token, that is for each consent; so a rotated key is never missed."""
    for kid in ("a", "b"):
        server.will(answer(200, {"keys": [{"kid": kid}]}))
        assert await fetch_keys(wire, f"{server.origin}/jwks") == {"keys": [{"kid": kid}]}
    assert len(server.received) == 2


@pytest.mark.parametrize(
    ("script", "message", "is_temporary"),
    [
        (answer(404, b""), "HTTP 404", True),
        (answer(302, b"", {"Location": "/x"}), "HTTP 302", True),
        (answer(200, b"<html>"), "not JSON", False),
        (answer(200, b"[]"), "not a JSON object", False),
        (hang_up, "connection lost", True),
    ],
)
async def test_keys_that_cannot_be_had(
    *, wire: Wire, server: RawServer, script: Script, message: str, is_temporary: bool
) -> None:
    server.will(script)
    with pytest.raises(DiscoveryFailed, match=message) as raised:
        await fetch_keys(wire, f"{server.origin}/jwks")
    assert raised.value.is_temporary is is_temporary


async def test_a_server_that_never_answers_holds_nobody_up(server: RawServer) -> None:
    from connector.oauth.wire import make_transport

    server.will(silence)
    wire = Wire(make_transport(), deadline=0.1)
    with pytest.raises(DiscoveryFailed) as raised:
        await discover(wire, server.origin)
    await wire.aclose()
    assert raised.value.is_temporary
