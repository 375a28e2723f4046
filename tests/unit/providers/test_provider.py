"""Where a token may go, how an API refuses one, and what is known of its life."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.authorization_server import AuthorizationServer
from connector.providers.provider import (
    Api,
    Lifetimes,
    Provider,
    Rejection,
    RotationProfile,
)

PROVIDER = Provider(
    name="acme",
    title="Acme",
    server=AuthorizationServer(authorization_endpoint="", token_endpoint=""),
    redirect_uri="http://127.0.0.1/callback/acme",
)


@pytest.mark.parametrize(
    ("origins", "url", "expected"),
    [
        (("https://api.example",), "https://api.example/a?b#c", True),
        (("https://api.example",), "https://API.example:443/", True),
        (("https://api.example/",), "https://api.example/v1", True),
        (("https://api.example:8443",), "https://api.example:8443/", True),
        (("https://api.example",), "https://api.example:8443/", False),
        (("https://api.example",), "http://api.example/", False),
        (("https://api.example",), "http://api.example:443/", False),
        (("https://api.example",), "https://api.example.evil.example/", False),
        (("https://api.example",), "https://xapi.example/", False),
        (("https://api.example",), "https://sub.api.example/", False),
        (("https://api.example",), "https://api.example@evil.example/", False),
        (("https://api.example",), "https://evil.example/https://api.example/", False),
        (("https://api.example",), "https://api.example./", False),
        (("https://api.example",), "https://api.example:0/", False),
        (("https://*.example.com",), "https://a.example.com/", True),
        (("https://*.example.com",), "https://a.b.example.com/", True),
        (("https://*.example.com",), "https://example.com/", False),
        (("https://*.example.com",), "https://evilexample.com/", False),
        (("https://*.example.com",), "https://a.example.com.evil.example/", False),
        (("https://*.example.com",), "https://a.example.com:8443/", False),
        (("https://*.example.com",), "https://evil.example\\.example.com/", False),
        (("https://*.example.com",), "http://a.example.com/", False),
        (("https://*.example.com:8443",), "https://a.example.com:8443/", True),
        (("https://a.example", "https://b.example"), "https://b.example/", True),
        (("http://127.0.0.1:9",), "http://127.0.0.1:9/x", True),
        (("http://127.0.0.1:9",), "http://127.0.0.1:10/x", False),
        (("http://api.example",), "http://api.example/", False),
        ((), "https://anything.example/", True),
        ((), "http://127.0.0.1:5000/", True),
        ((), "http://localhost/", True),
        ((), "http://anything.example/", False),
        ((), "ftp://anything.example/", False),
        ((), "/relative", False),
        ((), "", False),
        ((), "https://host:99999/", False),
    ],
)
def test_where_a_token_may_go(*, origins: tuple[str, ...], url: str, expected: bool) -> None:
    """33: only to the API's own origins, and never in clear text to another machine."""
    assert Api(origins=origins).permits(url) is expected


@given(st.text(alphabet="htps:/.*@\\#?%example[]1") | st.text())
def test_whatever_the_url_a_token_stays_within(text: str) -> None:
    for url in (text, f"https://{text}", f"https://api.example{text}"):
        if Api(origins=("https://api.example",)).permits(url):
            # a port, a path, a query or a fragment may follow; nothing else
            assert url.lower().startswith("https://api.example")
            assert url[len("https://api.example") :][:1] in {"", "/", "?", "#", ":"}


@pytest.mark.parametrize(
    ("rejection", "status", "body", "expected"),
    [
        (Rejection(status=401), 401, None, True),
        (Rejection(status=401), 403, None, False),
        (
            Rejection(status=400, when={"error.code": (190, 102)}),
            400,
            {"error": {"code": 190}},
            True,
        ),
        (Rejection(status=400, when={"error.code": (190,)}), 400, {"error": {"code": 100}}, False),
        (Rejection(status=400, when={"error.code": (190,)}), 401, {"error": {"code": 190}}, False),
        (Rejection(status=400, when={"error.code": (190,)}), 400, None, False),
        (Rejection(status=400, when={"error.code": (190,)}), 400, "190", False),
        (Rejection(status=400, when={"error.code": (1,)}), 400, {"error": {"code": True}}, False),
    ],
)
def test_how_an_api_refuses_a_token(
    *, rejection: Rejection, status: int, body: object, expected: bool
) -> None:
    assert rejection.matches(status, body) is expected


@pytest.mark.parametrize(
    ("change", "lifetimes"),
    [
        ({}, Lifetimes()),
        ({"access_token_lifetime": 60.0}, Lifetimes(access_token=60.0)),
        ({"refresh_token": RotationProfile(idle=5.0, lifetime=9.0)},
         Lifetimes(idle=5.0, consent=9.0)),
        ({"data_access_lifetime": 7.0}, Lifetimes(consent=7.0)),
        ({"data_access_lifetime": 7.0, "refresh_token": RotationProfile(lifetime=5.0)},
         Lifetimes(consent=5.0)),
    ],
)  # fmt: skip
def test_what_is_known_of_a_token_s_life(change: dict[str, object], lifetimes: Lifetimes) -> None:
    assert dataclasses.replace(PROVIDER, **change).lifetimes == lifetimes  # type: ignore[arg-type]


def test_a_provider_is_the_most_fragile_kind_by_default() -> None:
    assert PROVIDER.refresh_token == RotationProfile(rotation="unknown", grace=0.0)
    assert PROVIDER.use_pkce
    assert PROVIDER.sends_scope
    assert PROVIDER.api.rejections == (Rejection(status=401),)
