"""What an answer of the token endpoint means (CHECKLIST 42-51, 61, 165)."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.answer_fields import LONGEST_LIFETIME
from connector.oauth.authorization_server import ErrorRule, TokenAnswer
from connector.oauth.token import TokenSet
from connector.oauth.token_response import (
    RFC_ERRORS,
    Answer,
    Granted,
    OutcomeUnknown,
    Refused,
    RefusedUnexplained,
    Unavailable,
    read_token_response,
)
from connector.secret import Secret

SENT_AT = 1_800_000_000.0
RFC = TokenAnswer()
CANARY = "canary-c0de"
SLACK = TokenAnswer(success={"ok": (True,)})
FACEBOOK_LIKE = TokenAnswer(
    errors=(
        ErrorRule(when={"error.code": (190, 102)}, means="invalid_grant"),
        ErrorRule(
            when={"error.code": (1,), "error.message": ("Error validating client secret.",)},
            means="invalid_client",
        ),
        ErrorRule(when={"error.code": (1, 2, 4)}, means="temporarily_unavailable"),
    ),
    error_description="error.message",
)


def read(
    body: object,
    status: int = 200,
    shape: TokenAnswer = RFC,
    headers: Mapping[str, str] | None = None,
    sent: tuple[str, ...] = (),
) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_token_response(
        status, headers or {}, content, shape=shape, sent_at=SENT_AT, sent=sent
    )


def granted(body: object, shape: TokenAnswer = RFC) -> TokenSet:
    answer = read(body, shape=shape)
    assert isinstance(answer, Granted), answer
    return answer.tokens


# --- success


def test_a_whole_answer() -> None:
    tokens = granted(
        {
            "access_token": "at",
            "token_type": "bearer",
            "expires_in": 3600,
            "refresh_token": "rt",
            "refresh_token_expires_in": 86_400,
            "scope": "a b",
            "id_token": "it",
            "instance_url": "https://na1.example",
            "realmId": 5,
        }
    )
    assert tokens == TokenSet(
        access_token=Secret("at"),
        token_type="bearer",
        sent_at=SENT_AT,
        refresh_token=Secret("rt"),
        scope=("a", "b"),
        expires_at=SENT_AT + 3600,
        refresh_token_expires_at=SENT_AT + 86_400,
        id_token=Secret("it"),
        extra={"instance_url": "https://na1.example", "realmId": 5},
    )
    assert tokens.lifetime == 3600


def test_the_least_answer() -> None:
    """45, 61: absent fields are absent; nothing is made up."""
    tokens = granted({"access_token": "at"})
    assert tokens == TokenSet(access_token=Secret("at"), token_type="Bearer", sent_at=SENT_AT)
    assert tokens.lifetime is None


@pytest.mark.parametrize("status", [200, 201, 202, 203])
def test_any_2xx_can_be_a_success(status: int) -> None:
    assert isinstance(read({"access_token": "at"}, status), Granted)


@pytest.mark.parametrize(
    ("value", "expires_in"),
    [(3600, 3600), ("3600", 3600), (0, 0), (-5, 0), (10**30, LONGEST_LIFETIME), (None, None),
     ("soon", None), (True, None), ([], None), (1e308, LONGEST_LIFETIME)],
)  # fmt: skip
def test_expires_in(value: object, expires_in: float | None) -> None:
    """44: expiry counts from when the request was sent."""
    tokens = granted({"access_token": "at", "expires_in": value})
    assert tokens.lifetime == expires_in


@pytest.mark.parametrize("name", ["refresh_token_expires_in", "refresh_expires_in"])
@pytest.mark.parametrize(("value", "ends_in"), [(60, 60), ("60", 60), (0, None), (None, None)])
def test_the_end_of_a_refresh_token(name: str, value: object, ends_in: float | None) -> None:
    """Zero means "never" (Keycloak's offline tokens)."""
    tokens = granted({"access_token": "at", name: value})
    expected = None if ends_in is None else SENT_AT + ends_in
    assert tokens.refresh_token_expires_at == expected


@pytest.mark.parametrize(
    ("value", "token_type"),
    [("Bearer", "Bearer"), ("bEARER", "bEARER"), ("mac", "mac"), ("", "Bearer"), (None, "Bearer"),
     (5, "Bearer"), ("a\0b\ud800", "a b "), ("x" * 99, "x" * 59 + "…")],
)  # fmt: skip
def test_token_type(value: object, token_type: str) -> None:
    """43: as sent, so far as it can be stored."""
    assert granted({"access_token": "at", "token_type": value}).token_type == token_type


@pytest.mark.parametrize("value", ["", None])
def test_an_empty_refresh_token_is_none(value: object) -> None:
    """61: it must not replace the one that is stored."""
    assert granted({"access_token": "at", "refresh_token": value}).refresh_token is None


@given(
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    st.text(min_size=1).filter(lambda text: text.isprintable()),
)
def test_tokens_are_kept_to_the_byte(access_token: str, refresh_token: str) -> None:
    """50, 51: opaque, whatever they look like."""
    tokens = granted({"access_token": access_token, "refresh_token": refresh_token})
    assert tokens.access_token.reveal() == access_token
    assert tokens.refresh_token is not None
    assert tokens.refresh_token.reveal() == refresh_token


def test_long_tokens_are_kept_whole() -> None:
    """50: however long."""
    long = "A" * 65_536 + "b" * 65_536
    tokens = granted({"access_token": long, "refresh_token": long, "id_token": long})
    for token in (tokens.access_token, tokens.refresh_token, tokens.id_token):
        assert token is not None
        assert token.reveal() == long


@pytest.mark.parametrize("token", ["eyJhbGciOiJub25lIn0.e30.", "a.b.c", "...", "a b", "%&=+|~"])
def test_what_a_token_looks_like_does_not_matter(token: str) -> None:
    """51: no decision is taken from its contents; a space inside is RFC 6749 A.12."""
    assert granted({"access_token": token}).access_token.reveal() == token


@pytest.mark.parametrize(
    ("shape", "body", "expected"),
    [
        (TokenAnswer(encoding="form"), b"access_token=a%2Bb+c%26&expires_in=60", "a+b c&"),
        (TokenAnswer(envelope="data"), {"data": {"access_token": "at"}, "error": ""}, "at"),
        (TokenAnswer(envelope="a.b"), {"a": {"b": {"access_token": "at"}}}, "at"),
        (TokenAnswer(fields={"access_token": ("authed_user.access_token",)}),
         {"ok": True, "authed_user": {"access_token": "at", "id": "U1"}}, "at"),
        (TokenAnswer(fields={"access_token": ("token", "key")}), {"key": "at"}, "at"),
        (SLACK, {"ok": True, "access_token": "at"}, "at"),
    ],
    ids=["form", "envelope", "deep-envelope", "path", "second-name", "success-rule"],
)  # fmt: skip
def test_a_provider_s_own_form(shape: TokenAnswer, body: object, expected: str) -> None:
    assert granted(body, shape).access_token.reveal() == expected


@pytest.mark.parametrize(
    ("moment", "lifetime"),
    [(SENT_AT + 60, 60), (str(int(SENT_AT) + 60), 60), (SENT_AT - 60, 0), (1e300, LONGEST_LIFETIME),
     ("later", None)],
)  # fmt: skip
def test_an_absolute_expiry(moment: object, lifetime: float | None) -> None:
    shape = TokenAnswer(fields={"expires_at": ("expiresAt",), "expires_in": ("expires_in",)})
    assert granted({"access_token": "at", "expiresAt": moment}, shape).lifetime == lifetime
    both = granted({"access_token": "at", "expiresAt": moment, "expires_in": 5}, shape)
    assert both.lifetime == 5


def test_further_fields_are_kept_and_known_ones_are_not_kept_twice() -> None:
    """46: an API may need them; those that have a place of their own are not there twice."""
    shape = TokenAnswer(fields={"access_token": ("user.token",), "scope": ("granted",)})
    body = {"user": {"token": "at"}, "granted": "a", "scope": "b", "instance_url": "u"}
    assert granted(body, shape).extra == {"scope": "b", "instance_url": "u"}


# --- sent, and nothing usable came back


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "not JSON"),
        (b"<html>" + CANARY.encode(), "not JSON"),
        (b'{"access_token": "' + CANARY.encode(), "not JSON"),
        (b'\xff{"access_token": "x"}', "not UTF-8"),
        ([], "not a JSON object"),
        (None, "not a JSON object"),
        (b'{"access_token": "a", "access_token": "b"}', "a name occurs twice"),
        (b'{"access_token": "a", "expires_in": NaN}', "NaN is not JSON"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested too deep"),
        ({}, "no access_token"),
        ({"message": "Not Found"}, "no access_token"),
        ({"access_token": ""}, "no access_token"),
        ({"access_token": None}, "no access_token"),
        ({"access_token": 5}, "no access_token"),
        ({"access_token": {"value": CANARY}}, "no access_token"),
        ({"access_token": [CANARY]}, "no access_token"),
        ({"access_token": f"{CANARY}\r\nX-Evil: 1"}, "a character that no header can carry"),
        ({"access_token": f"{CANARY}é"}, "a character that no header can carry"),
        ({"access_token": f"{CANARY}\ud800"}, "a character that no header can carry"),
        ({"access_token": f" {CANARY}"}, "a character that no header can carry"),
        ({"access_token": f"{CANARY} "}, "a character that no header can carry"),
        ({"access_token": "at", "refresh_token": 5}, "refresh_token is not a string"),
        ({"access_token": "at", "refresh_token": f"{CANARY}\ud800"}, "refresh_token is not a str"),
    ],
)
def test_an_unusable_2xx_is_unknown(body: object, cause: str) -> None:
    """42, 165: the server may have rotated; nothing of the answer is quoted."""
    answer = read(body)
    assert isinstance(answer, OutcomeUnknown)
    assert answer.status == 200
    assert cause in answer.cause
    assert CANARY not in repr(answer)


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (TokenAnswer(encoding="form"), b'{"access_token": "x"}'),
        (TokenAnswer(encoding="form"), "access_token=é".encode()),
        (TokenAnswer(encoding="form"), b"access_token=a&access_token=b"),
        (TokenAnswer(encoding="form"), b"a=1&" * 200),
        (TokenAnswer(encoding="form"), b"<html>"),
        (TokenAnswer(envelope="data"), {"access_token": "at"}),
        (TokenAnswer(envelope="data"), {"data": [{"access_token": "at"}]}),
    ],
    ids=["json", "not-ascii", "twice", "too-many", "html", "no-envelope", "envelope-is-a-list"],
)
def test_an_answer_of_another_form_is_unknown(shape: TokenAnswer, body: object) -> None:
    assert isinstance(read(body, shape=shape), OutcomeUnknown)


@pytest.mark.parametrize("status", [500, 501, 502, 504, 505, 520, 599, 101, 100])
@pytest.mark.parametrize("body", [b"", {"error": "invalid_grant"}, {"access_token": "at"}])
def test_a_gateway_may_speak_after_the_server_has_acted(status: int, body: object) -> None:
    cause = f"the server answered {status}"
    assert read(body, status) == OutcomeUnknown(cause=cause, status=status)


# --- refused


@pytest.mark.parametrize("status", [400, 401, 403, 422, 200])
@pytest.mark.parametrize("error", sorted(RFC_ERRORS - {"temporarily_unavailable", "server_error"}))
def test_an_rfc_error_is_known_by_its_field(status: int, error: str) -> None:
    """47: never by the status, never by text."""
    body = {"error": error, "error_description": "Token is\x1b[2J bad"}
    refused = Refused(error=error, status=status, description="Token is [2J bad")
    assert read(body, status) == refused


@pytest.mark.parametrize("error", ["temporarily_unavailable", "server_error"])
@pytest.mark.parametrize("status", [400, 200])
def test_an_rfc_error_that_is_nobody_s_fault(error: str, status: int) -> None:
    assert read({"error": error}, status) == Unavailable(status=status)


@pytest.mark.parametrize("status", [408, 429, 503])
@pytest.mark.parametrize("body", [b"", b"<html>", {"error": "invalid_grant"}])
def test_come_back_later(status: int, body: object) -> None:
    """48: nothing happened, whatever the body says."""
    later = read(body, status, headers={"retry-after": "17"})
    assert later == Unavailable(status=status, retry_after=17.0)
    assert read(body, status) == Unavailable(status=status)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"<html>invalid_grant</html>"),
        (400, {"error": "invalid_token"}),
        (400, {"error": "Invalid_Grant"}),
        (400, {"error": "invalid_grant "}),
        (400, {"error": ["invalid_grant"]}),
        (400, {"error": {"code": "invalid_grant"}}),
        (400, {"error_description": "invalid_grant"}),
        (400, {"message": "invalid_grant"}),
        (400, ["invalid_grant"]),
        (400, {"access_token": "at"}),
        (401, b""),
        (403, b""),
        (404, {"message": "Not Found"}),
        (301, {"error": "invalid_grant"}),
        (302, {"access_token": "at"}),
        (307, b""),
        (308, {"error": "invalid_grant"}),
        (200, {"error": "bad_things", "access_token": "at"}),
        (200, {"error": {"message": "x"}, "access_token": "at"}),
        (200, {"error": True}),
    ],
)
def test_a_refusal_that_does_not_say_why_ends_nothing(status: int, body: object) -> None:
    """41, 42, 47: only a well-formed invalid_grant can end a grant; an error beats a token."""
    answer = read(body, status)
    assert isinstance(answer, RefusedUnexplained)
    assert answer.status == status


def test_an_unknown_error_is_shown_to_people() -> None:
    answer = read({"error": "org_login_required\x07"}, 400)
    assert answer == RefusedUnexplained(status=400, description="org_login_required ")


@pytest.mark.parametrize(
    ("shape", "status", "body", "expected"),
    [
        (FACEBOOK_LIKE, 400, {"error": {"code": 190, "error_subcode": 463, "message": "Expired"}},
         Refused(error="invalid_grant", status=400, description="Expired")),
        (FACEBOOK_LIKE, 200, {"error": {"code": 102}},
         Refused(error="invalid_grant", status=200)),
        (FACEBOOK_LIKE, 400, {"error": {"code": 1, "message": "Error validating client secret."}},
         Refused(error="invalid_client", status=400,
                 description="Error validating client secret.")),
        (FACEBOOK_LIKE, 400, {"error": {"code": 1, "message": "Unknown"}}, Unavailable(status=400)),
        (FACEBOOK_LIKE, 400, {"error": {"code": "190"}}, RefusedUnexplained(status=400)),
        (FACEBOOK_LIKE, 400, {"error": {"code": True}}, RefusedUnexplained(status=400)),
        (FACEBOOK_LIKE, 400, {"error": {"code": 100, "message": "code 190"}},
         RefusedUnexplained(status=400, description="code 190")),
        (SLACK, 200, {"ok": False, "error": "invalid_refresh_token", "access_token": "at"},
         RefusedUnexplained(status=200, description="invalid_refresh_token")),
        (SLACK, 200, {"ok": 1, "access_token": "at"}, RefusedUnexplained(status=200)),
        (SLACK, 200, {"access_token": "at"}, RefusedUnexplained(status=200)),
        (SLACK, 200, {"ok": False, "error": "invalid_grant"},
         Refused(error="invalid_grant", status=200)),
    ],
)  # fmt: skip
def test_a_provider_s_own_errors(
    shape: TokenAnswer, status: int, body: object, expected: Answer
) -> None:
    """47: whole values at declared paths; true is not 1."""
    assert read(body, status, shape) == expected


# --- secrets


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        (RFC, {"error": "invalid_grant", "error_description": f"Malformed token {CANARY}"}),
        (RFC, {"error": "odd", "error_description": f"{CANARY}{CANARY}"}),
        (RFC, {"error": f"odd: {CANARY}"}),
        (RFC, {"error": "odd", "error_description": "x" * 295 + CANARY}),
        (FACEBOOK_LIKE, {"error": {"code": 190, "message": f"Malformed access token {CANARY}"}}),
        (FACEBOOK_LIKE, {"error": {"code": 7, "message": f"Bad {CANARY}"}}),
    ],
)
def test_a_secret_that_the_server_quotes_is_not_shown(shape: TokenAnswer, body: object) -> None:
    """165: Facebook answers "Malformed access token EAA…"; that text goes into logs and tables."""
    answer = read(body, 400, shape, sent=("", CANARY, CANARY[:9]))
    assert isinstance(answer, Refused | RefusedUnexplained)
    assert answer.description is not None
    assert CANARY[:6] not in answer.description
    assert "…" in answer.description


def test_tokens_are_not_shown() -> None:
    body = {"access_token": CANARY, "refresh_token": CANARY, "id_token": CANARY, "extra": CANARY}
    answer = read(body)
    assert CANARY not in repr(answer)
    assert CANARY not in str(answer)


# --- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "access_token", "ok", "x"]), inner)
    ),
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["access_token", "refresh_token", "expires_in", "scope", "token_type", "id_token", "error",
         "error_description", "refresh_token_expires_in", "expires_at", "ok", "data", "x"]
    ),
    JSON,
)  # fmt: skip
SHAPES = st.sampled_from(
    [RFC, FACEBOOK_LIKE, SLACK, TokenAnswer(encoding="form"), TokenAnswer(envelope="data")]
)
BODIES = st.binary() | JSON.map(json.dumps).map(str.encode) | FIELDS.map(json.dumps).map(str.encode)


@given(st.integers(100, 599), BODIES, SHAPES)
def test_any_answer_means_something(status: int, body: bytes, shape: TokenAnswer) -> None:
    """42: nothing that a server sends raises, and a grant ends on a well-formed error alone."""
    answer = read(body, status, shape)
    if isinstance(answer, Granted):
        assert 200 <= status < 300
        tokens = answer.tokens
        assert tokens.access_token
        assert tokens.access_token.reveal().encode("ascii").strip()
        assert all(word.encode() for word in tokens.scope or ())
        assert tokens.token_type.encode()
        if tokens.refresh_token is not None:
            assert tokens.refresh_token.reveal().encode()
    if isinstance(answer, Refused):
        assert answer.error in RFC_ERRORS
        assert not 300 <= status < 400
        assert status < 500
