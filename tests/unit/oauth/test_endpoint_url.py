"""What a URL of an authorization server may look like (CHECKLIST 15, 37)."""

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.endpoint_url import check_endpoint_url, is_loopback_host, origin_of


@pytest.mark.parametrize(
    "url",
    [
        "https://id.example/token",
        "https://id.example",
        "https://id.example:8443/a?b=c",
        "https://192.0.2.1/token",
        "https://[2001:db8::1]:8443/token",
        "https://xn--bcher-kva.example/",
        "http://localhost/cb",
        "http://LOCALHOST:8470/cb",
        "http://127.0.0.1:8470/cb",
        "http://127.1.2.3/cb",
        "http://[::1]:8470/cb",
        "https://id.example/$(id)?x='y'",
    ],
)
def test_a_url_is_taken_as_it_is(url: str) -> None:
    assert check_endpoint_url(url) == url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "is not an absolute https URL"),
        ("/token", "is not an absolute https URL"),
        ("//id.example/token", "is not an absolute https URL"),
        ("id.example/token", "is not an absolute https URL"),
        ("https:/id.example", "is not an absolute https URL"),
        ("https://", "is not an absolute https URL"),
        ("https:///token", "is not an absolute https URL"),
        ("https://:443/token", "is not an absolute https URL"),
        ("ftp://id.example/", "is not an absolute https URL"),
        ("file:///etc/passwd", "is not an absolute https URL"),
        ("javascript:alert(1)", "is not an absolute https URL"),
        ("--help", "is not an absolute https URL"),
        ("-https://id.example/", "is not an absolute https URL"),
        ("%action", "is not an absolute https URL"),
        ("$(id)", "is not an absolute https URL"),
        ("http://id.example/token", "plain http is for loopback hosts only"),
        ("http://localhost.evil.example/", "plain http is for loopback hosts only"),
        ("http://127.0.0.1.evil.example/", "plain http is for loopback hosts only"),
        ("http://0.0.0.0/", "plain http is for loopback hosts only"),
        ("http://2130706433/", "plain http is for loopback hosts only"),
        ("http://0x7f.1/", "plain http is for loopback hosts only"),
        ("http://127.1/", "plain http is for loopback hosts only"),
        ("http://[::]/", "plain http is for loopback hosts only"),
        ("https://user@id.example/", "must not contain user information"),
        ("https://user:pw@id.example/", "must not contain user information"),
        ("https://@id.example/", "must not contain user information"),
        ("https://good.example@evil.example/", "must not contain user information"),
        ("https://id.example/#x", "must not contain a fragment"),
        ("https://id.example/#", "must not contain a fragment"),
        ("https://id.example:99999/", "has a port that is not a number"),
        ("https://id.example:x/", "has a port that is not a number"),
        ("https://id.example:-1/", "has a port that is not a number"),
        ("https://id.example/a b", "contains a character that no URL has"),
        (" https://id.example/", "contains a character that no URL has"),
        ("https://id.example/\r\nX: y", "contains a character that no URL has"),
        ("https://id.example/\t", "contains a character that no URL has"),
        ("https://id.example\\@evil.example/", "contains a character that no URL has"),
        ("https://id.example/\0", "contains a character that no URL has"),
        ("https://id.example/\x7f", "contains a character that no URL has"),
        ("https://b\u00fccher.example/", "contains a character that no URL has"),
        ("https://id\uff0eexample/", "contains a character that no URL has"),
        ("https://id.example/\u202e", "contains a character that no URL has"),
    ],
)
def test_what_no_endpoint_may_have(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_endpoint_url(url)


@pytest.mark.parametrize("url", ["https://[::1", "https://[x]/", "https://::1]/"])
def test_what_is_no_url_at_all(url: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid|does not appear|not an absolute|port"):
        check_endpoint_url(url)


@given(st.text(alphabet="htps:/@[].%#?\\ -\r\n\0é1a") | st.text())
def test_any_text_is_a_safe_url_or_refused(text: str) -> None:
    """15: what is accepted is one printable word that no program takes for an option."""
    for url in (text, f"https://{text}", f"https://id.example/{text}"):
        try:
            check_endpoint_url(url)
        except ValueError:
            continue
        parts = urlsplit(url)
        assert url.isprintable()
        assert url.isascii()
        assert " " not in url
        assert url[:4].lower() == "http"
        assert parts.username is parts.password is None
        assert parts.hostname
        assert parts.scheme == "https" or is_loopback_host(parts.hostname)
        assert origin_of(url).startswith(parts.scheme)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("LocalHost", True), ("127.0.0.1", True), ("127.255.255.254", True),
     ("::1", True), ("[::1]", True), ("0:0:0:0:0:0:0:1", True), ("", False), ("localhost.", False),
     ("localhost.example", False), ("128.0.0.1", False), ("::2", False), ("10.0.0.1", False),
     ("169.254.169.254", False), ("127.1", False), ("0", False), ("example", False)],
)  # fmt: skip
def test_what_is_this_machine(*, host: str, expected: bool) -> None:
    assert is_loopback_host(host) is expected


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example/a?b#c", "https://api.example:443"),
        ("https://API.Example:443", "https://api.example:443"),
        ("HTTPS://api.example:8443/", "https://api.example:8443"),
        ("http://127.0.0.1/", "http://127.0.0.1:80"),
        ("https://[2001:DB8::1]/", "https://[2001:db8::1]:443"),
        ("https://good.example@evil.example/", "https://evil.example:443"),
        ("https://api.example:0/", "https://api.example:0"),
        ("https://api.example./", "https://api.example.:443"),
    ],
)
def test_an_origin_is_written_out(url: str, origin: str) -> None:
    assert origin_of(url) == origin


@pytest.mark.parametrize(
    "url", ["", "/a", "api.example", "ftp://api.example", "https://", "https://evil.example\\.x/"]
)
def test_what_has_no_origin(url: str) -> None:
    with pytest.raises(ValueError, match="has no http origin"):
        origin_of(url)
