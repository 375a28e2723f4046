"""The authorization request, and the check of its response (CHECKLIST 1-4, 14, 15, 23, 31)."""

import base64
import copy
import dataclasses
import hashlib
import json
import pickle
import re
import secrets
from collections.abc import Callable
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.authorization_request import (
    LARGEST_RESPONSE,
    PROTECTED_PARAMETERS,
    AuthorizationCode,
    AuthorizationError,
    AuthorizationRequest,
    ResponseRejected,
    add_to_query,
    check_response,
    code_challenge,
    hash_state,
    new_request,
    parse_response,
)
from connector.oauth.authorization_server import AuthorizationServer
from connector.secret import Secret

CANARY = "canary-c0de"
ISSUER = "https://id.example"
SERVER = AuthorizationServer(
    authorization_endpoint="https://id.example/authorize?tenant=a+b",
    token_endpoint="https://id.example/token",
    issuer=ISSUER,
)


def request(
    scopes: tuple[str, ...] = ("ads_read",),
    parameters: dict[str, str] | None = None,
    *,
    use_pkce: bool = True,
    token_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> AuthorizationRequest:
    return new_request(
        client_id="our client",
        redirect_uri="http://127.0.0.1:8470/callback/acme?x=%20y",
        scopes=scopes,
        use_pkce=use_pkce,
        parameters=parameters or {},
        token_bytes=token_bytes,
    )


def counting() -> Callable[[int], bytes]:
    numbers = iter(range(1, 256))
    return lambda size: bytes([next(numbers)]) * size


# --- the request


def test_what_the_person_opens() -> None:
    """1, 2, 4: code, S256, state; each once, and what the endpoint had stays."""
    url = request(("openid", "ads_read"), {"prompt": "consent"}, token_bytes=counting()).url(SERVER)
    assert url.startswith("https://id.example/authorize?tenant=a+b&response_type=code&")
    verifier = base64.urlsafe_b64encode(b"\2" * 32).rstrip(b"=")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
    assert parse_qsl(urlsplit(url).query) == [
        ("tenant", "a b"),
        ("response_type", "code"),
        ("client_id", "our client"),
        ("redirect_uri", "http://127.0.0.1:8470/callback/acme?x=%20y"),
        ("state", base64.urlsafe_b64encode(b"\1" * 32).rstrip(b"=").decode()),
        ("scope", "openid ads_read"),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("nonce", base64.urlsafe_b64encode(b"\3" * 32).rstrip(b"=").decode()),
        ("prompt", "consent"),
    ]


def test_state_verifier_and_nonce_are_fresh_and_long() -> None:
    """2, 4: 256 bits each, of the alphabet of RFC 7636 §4.1, never twice."""
    requests = [request(("openid",)) for _ in range(2000)]
    words = [
        secret.reveal()
        for made in requests
        for secret in (made.state, made.code_verifier, made.nonce)
        if secret is not None
    ]
    assert len(set(words)) == len(words) == 6000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", word) for word in words)


def test_the_challenge_of_rfc_7636() -> None:
    """The example of its appendix B."""
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert code_challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_without_pkce_state_is_sent_still() -> None:
    """3: never plain; where a provider rejects PKCE, state alone protects the flow."""
    query = request(use_pkce=False).query(SERVER)
    assert not {"code_challenge", "code_challenge_method"} & query.keys()
    assert query["state"]


def test_no_nonce_without_openid() -> None:
    made = request(("email",))
    assert made.nonce is None
    assert "nonce" not in made.query(SERVER)


def test_no_scope_where_none_is_asked_for() -> None:
    assert "scope" not in request(()).query(SERVER)


def test_scopes_are_joined_as_the_provider_wants() -> None:
    server = dataclasses.replace(SERVER, scope_separator=",")
    assert request(("a", "b")).query(server)["scope"] == "a,b"


@pytest.mark.parametrize("name", sorted(PROTECTED_PARAMETERS))
def test_a_further_parameter_replaces_none_that_protects(name: str) -> None:
    """14, 1: response_type=token is reachable by no configuration."""
    plain = request(("openid",), token_bytes=counting()).query(SERVER)
    query = request(("openid",), {name: "evil"}, token_bytes=counting()).query(SERVER)
    assert query == plain


def test_what_is_protected() -> None:
    """14, as it lists them."""
    assert {
        "state", "nonce", "code_challenge", "code_challenge_method", "redirect_uri", "client_id",
        "response_type", "iss", "request_uri", "dpop_jkt",
    } <= PROTECTED_PARAMETERS  # fmt: skip


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_any_further_parameters_keep_the_flow(parameters: dict[str, str]) -> None:
    parameters = {k: v for k, v in parameters.items() if k != "scope" and _is_text(k + v)}
    made = request(("openid",), parameters)
    query = parse_qs(urlsplit(made.url(SERVER)).query, keep_blank_values=True)
    assert query["response_type"] == ["code"]
    assert query["state"] == [made.state.reveal()]
    assert query["redirect_uri"] == [made.redirect_uri]
    assert query["code_challenge_method"] == ["S256"]
    assert all(len(values) == 1 for name, values in query.items() if name != "tenant")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/x", "https://a.example/x?k=v+w"),
        ("https://a.example/x?", "https://a.example/x?k=v+w"),
        ("https://a.example/x?a=b", "https://a.example/x?a=b&k=v+w"),
        ("https://a.example", "https://a.example?k=v+w"),
    ],
)
def test_parameters_are_added_to_a_query(url: str, expected: str) -> None:
    assert add_to_query(url, {"k": "v w"}) == expected


# --- the response


def check(
    response: dict[str, str], server: AuthorizationServer = SERVER
) -> AuthorizationCode | AuthorizationError:
    return check_response(response, state=Secret("s"), server=server)


def test_a_code() -> None:
    """46: other parameters are kept; some providers need them (realmId, instance)."""
    answer = check({"state": "s", "code": CANARY, "iss": ISSUER, "realmId": "5"})
    assert isinstance(answer, AuthorizationCode)
    assert answer.code.reveal() == CANARY
    assert answer.parameters == {"iss": ISSUER, "realmId": "5"}


def test_a_denial() -> None:
    answer = check(
        {"state": "s", "error": "access_denied", "error_description": "Permissions\x1b error"}
    )
    assert answer == AuthorizationError(error="access_denied", description="Permissions  error")


@pytest.mark.parametrize(
    ("error", "shown"), [("", "error"), ("<script>\n" + "x" * 99, "<script> " + "x" * 50 + "…")]
)
def test_an_odd_error_is_made_fit_to_be_shown(error: str, shown: str) -> None:
    """25, 158: printable and short; pages escape it."""
    answer = check({"state": "s", "error": error})
    assert isinstance(answer, AuthorizationError)
    assert answer.error == shown
    assert answer.description is None


@pytest.mark.parametrize(
    ("response", "message"),
    [
        ({}, "state does not match"),
        ({"code": "x"}, "state does not match"),
        ({"code": "x", "state": ""}, "state does not match"),
        ({"code": "x", "state": "S"}, "state does not match"),
        ({"code": "x", "state": "s "}, "state does not match"),
        ({"code": "x", "state": "\u017f"}, "state does not match"),
        ({"error": "access_denied"}, "state does not match"),
        ({"state": "s"}, "neither a code nor an error"),
        ({"state": "s", "code": ""}, "neither a code nor an error"),
        ({"state": "s", "code": "x", "error": "y"}, "both a code and an error"),
        ({"state": "s", "code": "x", "error": ""}, "both a code and an error"),
        ({"state": "s", "code": "x", "iss": ""}, "another authorization server"),
        ({"state": "s", "code": "x", "iss": "https://id.example/"}, "another authorization server"),
        ({"state": "s", "code": "x", "iss": "https://ID.example"}, "another authorization server"),
        ({"state": "s", "code": "x", "iss": "https://id.example:443"}, "another authorization"),
        ({"state": "s", "code": "x", "iss": "https://id.example.evil"}, "another authorization"),
        ({"state": "s", "error": "x", "iss": "https://evil.example"}, "another authorization"),
    ],
)
def test_a_response_that_must_not_be_used(response: dict[str, str], message: str) -> None:
    """23, 31: compared whole, before anything else is looked at."""
    with pytest.raises(ResponseRejected, match=message):
        check(response)


@pytest.mark.parametrize(
    ("is_promised", "issuer", "given_iss", "is_good"),
    [
        (True, ISSUER, ISSUER, True),
        (True, ISSUER, None, False),
        (False, ISSUER, None, True),
        (False, ISSUER, "https://evil.example", False),
        (False, None, "https://any.example", True),
        (False, None, None, True),
    ],
)
def test_iss(
    *, is_promised: bool, issuer: str | None, given_iss: str | None, is_good: bool
) -> None:
    """31 (RFC 9207 §2.4): a server that promises iss must send it."""
    server = dataclasses.replace(
        SERVER, issuer=issuer, authorization_response_iss_parameter_supported=is_promised
    )
    response = {"state": "s", "code": "x"} | ({} if given_iss is None else {"iss": given_iss})
    if is_good:
        assert isinstance(check(response, server), AuthorizationCode)
    else:
        with pytest.raises(ResponseRejected, match="iss"):
            check(response, server)


@pytest.mark.parametrize(
    ("query", "response"),
    [
        ("code=a%2Bb&state=x+y", {"code": "a+b", "state": "x y"}),
        ("code=", {"code": ""}),
        ("", {}),
        ("code=%C3%A9", {"code": "é"}),
        ("error=access_denied&error_description=Permissions+error", {
            "error": "access_denied", "error_description": "Permissions error"}),
    ],
)  # fmt: skip
def test_a_query_is_read(query: str, response: dict[str, str]) -> None:
    assert parse_response(query) == response


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("code=a&code=b", "a parameter occurs twice"),
        ("code=a&code=a", "a parameter occurs twice"),
        ("state=a&%73tate=b", "a parameter occurs twice"),
        ("code=a&&code=", "a parameter occurs twice"),
        ("code=%FF", "malformed"),
        ("code=%ED%A0%80", "malformed"),
        ("code=\udcff", "malformed"),
        ("&".join(f"a{i}=b" for i in range(101)), "malformed"),
        ("code=" + "a" * LARGEST_RESPONSE, "too large"),
    ],
)
def test_what_is_no_response(query: str, message: str) -> None:
    """23: repeated parameters, whatever their spelling."""
    with pytest.raises(ResponseRejected, match=message):
        parse_response(query)


@given(st.text(st.characters(codec=None)) | st.text(alphabet="codestaie=&%;+123FDn\udc80"))
def test_any_query_is_read_or_refused(query: str) -> None:
    """23: whatever is pasted or redirected, nothing else is raised."""
    try:
        response = parse_response(query)
        check(response)
    except ResponseRejected:
        return
    assert response["state"] == "s"
    assert hash_state(response["state"])


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=10))
def test_what_was_written_is_read(response: dict[str, str]) -> None:
    assert parse_response(urlencode(response, quote_via=quote)) == response


def test_a_state_is_found_by_its_hash() -> None:
    """4: it is never stored in clear."""
    assert hash_state("s") == hashlib.sha256(b"s").hexdigest()
    assert hash_state("é") == hashlib.sha256("é".encode()).hexdigest()


# --- secrets


def test_nothing_secret_is_shown() -> None:
    """161: state, verifier and nonce; the code, and what came with it."""
    made = dataclasses.replace(
        request(("openid",)),
        state=Secret(CANARY),
        code_verifier=Secret(CANARY),
        nonce=Secret(CANARY),
    )
    code = check({"state": "s", "code": CANARY, "id_token": CANARY})
    shown = [repr(made), str(made), repr(dataclasses.asdict(made)), repr(copy.deepcopy(made))]
    shown += [repr(code), str(code)]
    assert CANARY not in "".join(shown)
    for value in (made, code):
        with pytest.raises(TypeError):
            pickle.dumps(value)
    with pytest.raises(TypeError):
        json.dumps(dataclasses.asdict(made))
