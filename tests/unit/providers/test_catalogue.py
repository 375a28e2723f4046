"""The catalogue: every entry loads, and says what the vendors say.

The values are those of the vendors' pages (see each entry's ``documentation``), not copies of the
entries: what a wrong one would break is asserted, through the code that uses it.
"""

from importlib import resources
from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.oauth.authorization_server import Revocation
from connector.oauth.token_response import (
    Answer,
    Granted,
    Refused,
    RefusedUnexplained,
    Unavailable,
    read_token_response,
)
from connector.providers import catalogue
from connector.providers.catalogue import (
    catalogue_names,
    catalogue_provider,
    catalogue_table,
    overlay,
)
from connector.providers.declared_registration import read_registration
from connector.providers.provider import Provider, RotationProfile, TokenExchange
from connector.toml_section import Section

DAY = 86_400.0
NAMES = ("facebook", "github", "google", "hubspot", "microsoft", "salesforce")


def test_the_entries() -> None:
    assert catalogue_names() == NAMES
    folder = resources.files("connector.providers") / "data"
    assert {Path(entry.name).suffix for entry in folder.iterdir()} == {".toml"}


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_loads_by_the_schema(name: str) -> None:
    provider = catalogue_provider(name, daemon_port=9999)
    assert provider.name == name
    assert provider.title != name
    assert provider.documentation is not None
    assert provider.documentation.startswith("https://")
    assert provider.notes
    assert provider.server.authorization_endpoint.startswith("https://")
    assert provider.server.token_endpoint.startswith("https://")
    assert provider.redirect_uri.endswith(f"/callback/{name}")
    assert provider.use_pkce
    assert provider.api.origins
    assert provider.refresh_token.rotation != "unknown"


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_sends_the_secret_in_the_body(name: str) -> None:
    """82: none of the six wants Basic; each needs a secret, and says so."""
    problems: list[object] = []
    section = Section(
        catalogue_table(name) | {"client_id": "c", "client_secret": "env:X"},
        path=(),
        source="x",
        folder=Path(),
        problems=problems,  # type: ignore[arg-type]
    )
    registration = read_registration(section, allow_plaintext=False, is_required=True)
    assert registration.auth_method == "client_secret_post"
    assert problems == []


@pytest.mark.parametrize(
    ("name", "authorization_endpoint", "token_endpoint"),
    [
        ("facebook", "https://www.facebook.com/v26.0/dialog/oauth",
         "https://graph.facebook.com/v26.0/oauth/access_token"),
        ("github", "https://github.com/login/oauth/authorize",
         "https://github.com/login/oauth/access_token"),
        ("google", "https://accounts.google.com/o/oauth2/v2/auth",
         "https://oauth2.googleapis.com/token"),
        ("hubspot", "https://app.hubspot.com/oauth/authorize",
         "https://api.hubapi.com/oauth/v1/token"),
        ("microsoft", "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
         "https://login.microsoftonline.com/common/oauth2/v2.0/token"),
        ("salesforce", "https://login.salesforce.com/services/oauth2/authorize",
         "https://login.salesforce.com/services/oauth2/token"),
    ],
)  # fmt: skip
def test_endpoints(name: str, authorization_endpoint: str, token_endpoint: str) -> None:
    server = catalogue_provider(name).server
    assert server.authorization_endpoint == authorization_endpoint
    assert server.token_endpoint == token_endpoint


@pytest.mark.parametrize(
    ("name", "revocation"),
    [
        ("facebook", Revocation(
            endpoint="https://graph.facebook.com/v26.0/{subject}/permissions"
                     "?appsecret_proof={proof}",
            method="DELETE", encoding="none", authentication="bearer", is_standard=False)),
        ("github", Revocation(
            endpoint="https://api.github.com/applications/{client_id}/grant",
            method="DELETE", encoding="json", authentication="basic", is_standard=False,
            parameters={"access_token": "{access_token}"})),
        ("google", Revocation(
            endpoint="https://oauth2.googleapis.com/revoke", authentication="none")),
        ("hubspot", Revocation(
            endpoint="https://api.hubapi.com/oauth/v1/refresh-tokens/{refresh_token}",
            method="DELETE", encoding="none", authentication="none", is_standard=False)),
        ("microsoft", None),
        ("salesforce", Revocation(
            endpoint="https://login.salesforce.com/services/oauth2/revoke")),
    ],
)  # fmt: skip
def test_revocation(name: str, revocation: Revocation | None) -> None:
    assert catalogue_provider(name).server.revocation == revocation


@pytest.mark.parametrize(
    ("name", "profile", "access_token_lifetime"),
    [
        ("facebook", RotationProfile(rotation="none"), 60 * DAY),
        ("github", RotationProfile(rotation="strict", idle=184 * DAY), None),
        ("google", RotationProfile(rotation="none", idle=182 * DAY), 3600.0),
        ("hubspot", RotationProfile(rotation="none"), 1800.0),
        ("microsoft", RotationProfile(rotation="lazy", idle=90 * DAY), None),
        ("salesforce", RotationProfile(rotation="strict_family"), None),
    ],
)
def test_lives(name: str, profile: RotationProfile, access_token_lifetime: float | None) -> None:
    provider = catalogue_provider(name)
    assert provider.refresh_token == profile
    assert provider.access_token_lifetime == access_token_lifetime


@pytest.mark.parametrize(
    ("name", "good", "evil"),
    [
        ("facebook", "https://graph.facebook.com/v26.0/act_1/insights", "https://www.facebook.com/"),
        ("github", "https://api.github.com/user", "https://github.com/"),
        ("google", "https://www.googleapis.com/drive/v3", "https://googleapis.com.evil.example/"),
        ("google", "https://sheets.googleapis.com/v4", "https://evilgoogleapis.com/"),
        ("hubspot", "https://api.hubapi.com/crm/v3", "https://app.hubspot.com/"),
        ("microsoft", "https://graph.microsoft.com/v1.0/me", "https://login.microsoftonline.com/"),
        ("salesforce", "https://acme.my.salesforce.com/services", "https://salesforce.com.evil.example/"),
    ],
)  # fmt: skip
def test_where_tokens_go(name: str, good: str, evil: str) -> None:
    api = catalogue_provider(name).api
    assert api.permits(good)
    assert not api.permits(evil)
    assert not api.permits(good.replace("https", "http"))
    if api.base_url is not None and "{answer." not in api.base_url:
        assert api.permits(api.base_url)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("google", {"access_type": "offline", "prompt": "consent"}),
        ("microsoft", {"response_mode": "query"}),
        ("facebook", {}),
    ],
)
def test_what_it_takes_to_be_given_a_refresh_token(name: str, params: dict[str, str]) -> None:
    assert catalogue_provider(name).authorization_params == params


@pytest.mark.parametrize(
    ("name", "scope"), [("microsoft", "offline_access"), ("salesforce", "refresh_token")]
)
def test_the_scope_it_takes_to_be_given_a_refresh_token(name: str, scope: str) -> None:
    assert scope in catalogue_provider(name).scopes


@pytest.mark.parametrize(
    ("name", "host"),
    [("facebook", "localhost"), ("microsoft", "localhost"), ("github", "127.0.0.1"),
     ("google", "127.0.0.1")],
)  # fmt: skip
def test_the_spelling_of_loopback_that_each_registers(name: str, host: str) -> None:
    assert catalogue_provider(name).redirect_uri.startswith(f"http://{host}")


@pytest.mark.parametrize("name", ["facebook", "github", "google", "hubspot", "salesforce"])
def test_what_compares_redirect_uris_exactly_is_given_a_port_that_stays(name: str) -> None:
    """What a person has registered: a free port would be refused as redirect_uri_mismatch."""
    assert ":9999/callback/" in catalogue_provider(name, daemon_port=9999).redirect_uri


def test_identities() -> None:
    """94: an immutable identifier, never an e-mail address."""
    found = {
        name: (identity.url, identity.id)
        for name in NAMES
        if (identity := catalogue_provider(name).identity) is not None
    }
    assert found == {
        "facebook": ("https://graph.facebook.com/v26.0/me", "id"),
        "github": ("https://api.github.com/user", "id"),
        "microsoft": ("https://graph.microsoft.com/v1.0/me", "id"),
        "salesforce": ("https://login.salesforce.com/services/oauth2/userinfo", "user_id"),
    }


# --- Facebook, whose every answer is its own


@pytest.fixture(scope="module")
def facebook() -> Provider:
    return catalogue_provider("facebook")


def test_facebook_s_requests(facebook: Provider) -> None:
    """A GET with a query; scopes joined by commas; the token is exchanged for a new one."""
    style = facebook.server.token_request
    assert (style.method, style.encoding) == ("GET", "query")
    assert facebook.server.scope_separator == ","
    assert facebook.scopes == ("ads_read",)
    assert facebook.exchange == TokenExchange(
        grant_type="fb_exchange_token", parameter="fb_exchange_token", is_after_code=True
    )
    assert facebook.api.proof == "appsecret_proof"
    assert facebook.lifetimes.consent == 90 * DAY
    assert facebook.redirect_uri == "http://localhost:8470/callback/facebook"


def judged(provider: Provider, status: int, body: str) -> Answer:
    return read_token_response(
        status, {}, body.encode(), shape=provider.server.token_answer, sent_at=1.8e9
    )


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, ('{"error":{"message":"Error validating access token: Session has expired on '
              'Wednesday, 14-Feb-18 18:00:00 PST.","type":"OAuthException","code":190,'
              '"error_subcode":463,"fbtrace_id":"H2il2t5bn4e"}}'), "invalid_grant"),
        (400, ('{"error":{"message":"The user has not authorized application 1.",'
              '"type":"OAuthException","code":190,"error_subcode":458}}'), "invalid_grant"),
        (400, '{"error":{"message":"Password changed","code":190,"error_subcode":460}}',
         "invalid_grant"),
        (200, '{"error":{"message":"Session","code":102}}', "invalid_grant"),
        (400, ('{"error":{"message":"Error validating application. Invalid application ID.",'
              '"type":"OAuthException","code":101}}'), "invalid_client"),
        (400, ('{"error":{"message":"Error validating client secret.",'
              '"type":"OAuthException","code":1}}'), "invalid_client"),
    ],
)  # fmt: skip
def test_facebook_s_errors_that_say_why(
    facebook: Provider, status: int, body: str, error: str
) -> None:
    """47: codes 190 and 102 end the grant; 101, and 1 with one message, are our registration."""
    answer = judged(facebook, status, body)
    assert isinstance(answer, Refused)
    assert answer.error == error
    assert answer.description


@pytest.mark.parametrize(
    ("code", "message"),
    [(1, "An unknown error occurred"), (2, "Service temporarily unavailable"),
     (4, "(#4) Application request limit reached"), (17, "(#17) User request limit reached"),
     (341, "Application limit reached"), (613, "(#613) Calls to this api have exceeded")],
)  # fmt: skip
def test_facebook_s_errors_that_pass(facebook: Provider, code: int, message: str) -> None:
    body = f'{{"error":{{"message":"{message}","type":"OAuthException","code":{code}}}}}'
    assert judged(facebook, 400, body) == Unavailable(status=400)


@pytest.mark.parametrize("code", [3, 10, 100, 200, 299, 368, 459, 190190, "190", 19])
def test_facebook_s_other_errors_end_nothing(facebook: Provider, code: object) -> None:
    literal = f'"{code}"' if isinstance(code, str) else code
    body = f'{{"error":{{"message":"(#190) Invalid OAuth access token","code":{literal}}}}}'
    assert isinstance(judged(facebook, 400, body), RefusedUnexplained)


@pytest.mark.parametrize(
    ("body", "lifetime"),
    [
        ('{"access_token":"EAAB","token_type":"bearer","expires_in":5183944}', 5_183_944.0),
        ('{"access_token":"EAAB","token_type":"bearer"}', None),
    ],
)
def test_facebook_s_tokens(facebook: Provider, body: str, lifetime: float | None) -> None:
    """``expires_in`` may be missing; then sixty days are assumed."""
    answer = judged(facebook, 200, body)
    assert isinstance(answer, Granted)
    assert answer.tokens.lifetime == lifetime
    assert answer.tokens.refresh_token is None


@pytest.mark.parametrize(
    ("status", "code", "is_rejected"),
    [(400, 190, True), (400, 102, True), (401, 0, True), (400, 100, False), (400, 17, False),
     (403, 190, False), (500, 190, False)],
)  # fmt: skip
def test_how_facebook_s_api_refuses_a_token(
    *, facebook: Provider, status: int, code: int, is_rejected: bool
) -> None:
    """A dead token is a 400 with code 190; a 401 is one anywhere."""
    body = {"error": {"code": code}}
    assert any(rule.matches(status, body) for rule in facebook.api.rejections) is is_rejected


# --- the others' errors


@pytest.mark.parametrize(
    ("name", "status", "body", "expected"),
    [
        ("github", 200, '{"error":"bad_refresh_token","error_description":"expired"}',
         Refused(error="invalid_grant", status=200, description="expired")),
        ("github", 200, '{"error":"bad_verification_code"}',
         Refused(error="invalid_grant", status=200)),
        ("github", 200, '{"error":"incorrect_client_credentials"}',
         Refused(error="invalid_client", status=200)),
        ("github", 200, '{"error":"redirect_uri_mismatch"}',
         RefusedUnexplained(status=200, description="redirect_uri_mismatch")),
        ("hubspot", 400, '{"status":"BAD_REFRESH_TOKEN","message":"missing or invalid"}',
         Refused(error="invalid_grant", status=400, description="missing or invalid")),
        ("hubspot", 400, '{"status":"BAD_CLIENT_SECRET","message":"x"}',
         RefusedUnexplained(status=400, description="x")),
        ("google", 400, '{"error":"invalid_grant","error_description":"Token has been revoked."}',
         Refused(error="invalid_grant", status=400, description="Token has been revoked.")),
        ("microsoft", 400, '{"error":"invalid_grant","error_codes":[70008]}',
         Refused(error="invalid_grant", status=400)),
    ],
)  # fmt: skip
def test_what_their_errors_mean(name: str, status: int, body: str, expected: Answer) -> None:
    assert judged(catalogue_provider(name), status, body) == expected


def test_github_s_empty_scope_is_no_scope() -> None:
    body = '{"access_token":"ghu_x","scope":"","token_type":"bearer","expires_in":28800}'
    answer = judged(catalogue_provider("github"), 200, body)
    assert isinstance(answer, Granted)
    assert answer.tokens.scope == ()


def test_salesforce_s_api_is_where_the_answer_says() -> None:
    assert catalogue_provider("salesforce").api.base_url == "{answer.instance_url}/"
    body = '{"access_token":"x","instance_url":"https://acme.my.salesforce.com","issued_at":"1"}'
    answer = judged(catalogue_provider("salesforce"), 200, body)
    assert isinstance(answer, Granted)
    assert answer.tokens.extra["instance_url"] == "https://acme.my.salesforce.com"
    assert answer.tokens.expires_at is None


# --- the machinery


def test_an_unknown_name_has_no_entry() -> None:
    for name in ("nobody", "../facebook", "facebook.toml", ""):
        assert catalogue_table(name) == {}


def test_a_table_given_away_is_a_copy() -> None:
    catalogue_table("google")["title"] = "changed"
    assert catalogue_table("google")["title"] == "Google"


def test_an_entry_that_breaks_the_schema_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "catalogue_table", lambda _name: {"token_endpoint": "http://x"})
    with pytest.raises(ConfigurationError) as raised:
        catalogue_provider("google")
    assert "google.toml: catalogue.google.token_endpoint: must be https" in str(raised.value)


@pytest.mark.parametrize(
    ("below", "above", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}, {"a": {"x": 1, "y": 3}}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": {"x": 1}}, {"a": {"x": 1}}),
    ],
)
def test_one_table_over_another(
    below: dict[str, object], above: dict[str, object], merged: dict[str, object]
) -> None:
    before = repr((below, above))
    assert overlay(below, above) == merged
    assert repr((below, above)) == before
