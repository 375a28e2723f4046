"""A provider's table: what each key comes to, and what is wrong with it."""

import pytest

from connector.errors import Problem
from connector.oauth.authorization_request import PROTECTED_PARAMETERS
from connector.oauth.authorization_server import (
    STANDARD_FIELDS,
    ErrorRule,
    Revocation,
    TokenAnswer,
    TokenRequest,
)
from connector.providers.provider import (
    Api,
    Identity,
    Provider,
    Rejection,
    RotationProfile,
    TokenExchange,
)

from .tables import LEAST, read

WHOLE = """
title = "Acme"
documentation = "https://acme.example/docs"
notes = ["one", "two"]
issuer = "https://{host}"
authorization_endpoint = "https://{host}/authorize"
token_endpoint = "https://{host}/token"
revocation_endpoint = "https://{host}/revoke"
device_authorization_endpoint = "https://{host}/device"
pushed_authorization_request_endpoint = "https://{host}/par"
jwks_uri = "https://{host}/jwks"
userinfo_endpoint = "https://{host}/userinfo"
authorization_response_iss_parameter_supported = true
scope_separator = ","
redirect_uri = "http://localhost:{daemon_port}/callback/{provider}"
scopes = ["openid", "a"]
authorization_params = { prompt = "consent" }
exchange_params = { audience = "x" }
refresh_params = { scope = "a" }
pkce = "off"
par = true
sends_scope = false
api_origins = ["https://api.{host}", "https://*.acme.example"]
access_token_lifetime = "1h"
longest_margin = "60s"
data_access_lifetime = "90d"
refresh_token = { rotation = "grace", grace = "30s", idle = "30d", lifetime = "365d" }
identity = { url = "https://{host}/me", id = "data.id", name = "data.name" }
exchange = { grant_type = "g", parameter = "p", is_after_code = false }

[variables]
host = "id.acme.example"

[token_request]
method = "GET"
encoding = "query"
headers = { X-A = "b" }
parameters = { v = "1" }
renames = { client_id = "client_key" }

[token_answer]
encoding = "form"
envelope = "data"
success = { ok = true }
error_description = "error.message"
fields = { access_token = ["token", "key"] }

[[token_answer.errors]]
when = { "error.code" = [1, 2], "error.type" = "X" }
means = "invalid_grant"

[api]
base_url = "https://api.{host}/v1/"
headers = { Accept = "x/y" }
scheme = "OAuth"
proof = "proof"

[[api.rejections]]
status = 403
when = { code = 5 }

[[api.rejections]]
"""


def test_every_key_is_read() -> None:
    provider, problems = read(WHOLE)
    assert problems == []
    server = provider.server
    assert (server.issuer, server.token_endpoint) == (
        "https://id.acme.example",
        "https://id.acme.example/token",
    )
    assert server.authorization_endpoint == "https://id.acme.example/authorize"
    assert server.revocation == Revocation(endpoint="https://id.acme.example/revoke")
    assert server.device_authorization_endpoint == "https://id.acme.example/device"
    assert server.pushed_authorization_request_endpoint == "https://id.acme.example/par"
    assert server.jwks_uri == "https://id.acme.example/jwks"
    assert server.userinfo_endpoint == "https://id.acme.example/userinfo"
    assert server.authorization_response_iss_parameter_supported
    assert server.scope_separator == ","
    assert server.token_request == TokenRequest(
        method="GET",
        encoding="query",
        headers={"X-A": "b"},
        parameters={"v": "1"},
        renames={"client_id": "client_key"},
    )
    assert server.token_answer == TokenAnswer(
        encoding="form",
        envelope="data",
        fields=STANDARD_FIELDS | {"access_token": ("token", "key")},
        success={"ok": (True,)},
        errors=(
            ErrorRule(when={"error.code": (1, 2), "error.type": ("X",)}, means="invalid_grant"),
        ),
        error_description="error.message",
    )
    assert provider.api == Api(
        base_url="https://api.id.acme.example/v1/",
        origins=("https://api.id.acme.example", "https://*.acme.example"),
        headers={"Accept": "x/y"},
        scheme="OAuth",
        proof="proof",
        rejections=(
            Rejection(status=401),
            Rejection(status=403, when={"code": (5,)}),
            Rejection(status=400),
        ),
    )
    assert provider == Provider(
        name="acme",
        title="Acme",
        server=server,
        redirect_uri="http://localhost:8470/callback/acme",
        documentation="https://acme.example/docs",
        scopes=("openid", "a"),
        authorization_params={"prompt": "consent"},
        exchange_params={"audience": "x"},
        refresh_params={"scope": "a"},
        use_pkce=False,
        use_par=True,
        sends_scope=False,
        api=provider.api,
        identity=Identity(url="https://id.acme.example/me", id="data.id", name="data.name"),
        refresh_token=RotationProfile(
            rotation="grace", grace=30.0, idle=2_592_000.0, lifetime=31_536_000.0
        ),
        exchange=TokenExchange(grant_type="g", parameter="p", is_after_code=False),
        access_token_lifetime=3600.0,
        longest_margin=60.0,
        data_access_lifetime=7_776_000.0,
        notes=("one", "two"),
    )


def test_the_least_table_has_the_safe_defaults() -> None:
    """2: PKCE is on; a redirect URI of its own; the most fragile rotation."""
    provider, problems = read(LEAST)
    assert problems == []
    assert provider.title == "acme"
    assert provider.use_pkce
    assert provider.redirect_uri == "http://127.0.0.1/callback/acme"
    assert provider.refresh_token == RotationProfile()
    assert provider.server.revocation is None
    assert provider.identity is None
    assert provider.exchange is None
    assert provider.longest_margin == 300.0


def test_an_issuer_is_enough() -> None:
    provider, problems = read('issuer = "https://id.acme.example/tenant/"')
    assert problems == []
    assert provider.server.issuer == "https://id.acme.example/tenant/"
    assert (provider.server.authorization_endpoint, provider.server.token_endpoint) == ("", "")


def test_no_margin_is_no_margin() -> None:
    assert read(LEAST + 'longest_margin = "0s"')[0].longest_margin == 0.0


OWN_CALL = """
[revocation]
endpoint = "https://id.acme.example/{subject}?t={refresh_token}&c={client_id}&p={proof}"
method = "DELETE"
encoding = "json"
authentication = "basic"
parameters = { a = "{access_token}{client_secret}" }
"""


def test_a_revocation_call_of_its_own() -> None:
    provider, problems = read(LEAST + OWN_CALL)
    assert problems == []
    assert provider.server.revocation == Revocation(
        endpoint="https://id.acme.example/{subject}?t={refresh_token}&c={client_id}&p={proof}",
        method="DELETE",
        encoding="json",
        parameters={"a": "{access_token}{client_secret}"},
        authentication="basic",
        is_standard=False,
    )


def test_a_standard_revocation_with_its_own_authentication() -> None:
    text = 'revocation_endpoint = "https://id.acme.example/revoke"\n' + LEAST
    provider, problems = read(text + '[revocation]\nis_standard = true\nauthentication = "none"')
    assert problems == []
    assert provider.server.revocation == Revocation(
        endpoint="https://id.acme.example/revoke", authentication="none", is_standard=True
    )


def test_a_base_url_may_come_with_each_token() -> None:
    text = '[variables]\nv = "v1"\n[api]\nbase_url = "{answer.instance_url}/{v}/"'
    provider, problems = read(LEAST + text)
    assert problems == []
    assert provider.api.base_url == "{answer.instance_url}/v1/"


@pytest.mark.parametrize(
    ("text", "key", "message", "remedy"),
    [
        ('pkce = "plain"', "pkce", "must be one of S256, off", "write one of them"),
        ("pkce = false", "pkce", "must be a string", 'write pkce = "…"'),
        ('response_type = "token"', "response_type", "is not a known key", "known here"),
        ('grant = "password"', "grant", "is not a known key", "known here"),
        ('grant_type = "password"', "grant_type", "is not a known key", "known here"),
        ("authorisation_params = {}", "authorisation_params", "is not a known key",
         "did you mean authorization_params?"),
        ('issuer = "http://id.acme.example"', "issuer", "must be https", 'write issuer = "https'),
        ('issuer = "https://id.acme.example?x=y"', "issuer", "must not contain a query", "remove"),
        ('jwks_uri = "https://u:p@id.acme.example"', "jwks_uri", "user information", "write"),
        ('userinfo_endpoint = "https://id.acme.example/#x"', "userinfo_endpoint", "fragment", ""),
        ('device_authorization_endpoint = "--x"', "device_authorization_endpoint",
         "is not an absolute https URL", "write"),
        ('revocation_endpoint = "https://id.{tenant}.example"', "revocation_endpoint",
         "needs the variable 'tenant'", 'set variables = { tenant = "…" }'),
        ('redirect_uri = "http://connector.example/cb"', "redirect_uri", "must be https", "write"),
        ('redirect_uri = "http://localhost:{port}/cb"', "redirect_uri", "has no 'port' to fill in",
         "known: provider, daemon_port"),
        ('redirect_uri = "http://localhost/v1/x"', "redirect_uri", "where the daemon", "register"),
        ('redirect_uri = "http://localhost/%76%31/x"', "redirect_uri", "/v1/x, where", "register"),
        ('redirect_uri = "http://localhost/healthz"', "redirect_uri", "names /healthz", "register"),
        ('redirect_uri = "urn:ietf:wg:oauth:2.0:oob"', "redirect_uri", "is not an absolute", ""),
        ('scopes = "a b"', "scopes", "must be a list", 'write scopes = ["…"]'),
        ('scopes = ["openid"]', "scopes", "openid brings an ID token", "add both"),
        ("authorization_params = { a = 1 }", "authorization_params", "must be a table of", ""),
        ('exchange_params = { code = "x" }', "exchange_params.code",
         "cannot be overridden", "remove it"),
        ('refresh_params = { refresh_token = "x" }', "refresh_params.refresh_token",
         "cannot be overridden", "remove it"),
        ('api_origins = ["http://api.acme.example"]', "api_origins", "must be https", "write"),
        ('api_origins = ["api.acme.example"]', "api_origins", "is not an absolute https URL", ""),
        ('api_origins = ["https://a.*.acme.example"]', "api_origins", "'*' within its host", ""),
        ('api_origins = ["https://*"]', "api_origins", "'*' within its host", "write"),
        ('api_origins = ["https://*acme.example"]', "api_origins", "'*' within its host", "write"),
        ("longest_margin = 5", "longest_margin", "must be a string", "write"),
        ('access_token_lifetime = "1 fortnight"', "access_token_lifetime", "is not a duration", ""),
        ('refresh_token = { rotation = "often" }', "refresh_token.rotation", "must be one of", ""),
        ('refresh_token = { gras = "5s" }', "refresh_token.gras", "is not a known key",
         "did you mean grace?"),
        ('identity = { id = "x" }', "identity.url", "is missing", "add url"),
        ('identity = { url = "http://x.example" }', "identity.url", "must be https", "write"),
        ('exchange = { parameter = "x" }', "exchange.grant_type", "is missing", "add: grant_type"),
        ('[revocation]\nmethod = "POST"', "revocation.endpoint", "is missing", "add endpoint"),
        ('[revocation]\nendpoint = "http://x.example/{subject}"', "revocation.endpoint",
         "must be https", "write"),
        ('[revocation]\nendpoint = "https://{subject}@x.example"', "revocation.endpoint",
         "user information", "write"),
        ('[revocation]\nendpoint = "https://x.example/{token}"', "revocation.endpoint",
         "needs the variable 'token'", "set variables"),
        ('[revocation]\nendpoint = "https://x.example"\nencoding = "none"',
         "revocation.authentication", "needs a body", "write basic, bearer or none"),
        ('[revocation]\nendpoint = "https://x.example"\nparameters = { a = "{token}" }',
         "revocation.parameters.a", "has no 'token' to fill in", "known: access_token"),
        ('[token_request]\nmethod = "PUT"', "token_request.method", "must be one of POST, GET", ""),
        ('[token_request]\nheaders = { A = "b\\r\\nC: d" }', "token_request.headers",
         "control or invisible", "remove it"),
        ('[token_request]\nparameters = { client_secret = "x" }',
         "token_request.parameters.client_secret", "cannot be overridden", "remove it"),
        ('[token_request]\nparameters = { grant_type = "password" }',
         "token_request.parameters.grant_type", "cannot be overridden", "remove it"),
        ('[[token_answer.errors]]\nmeans = "invalid_grant"', "token_answer.errors[0].when",
         "is missing", "write when"),
        ("[[token_answer.errors]]\nwhen = { a = 1 }", "token_answer.errors[0].means",
         "is missing", "one of: invalid_grant"),
        ('[[token_answer.errors]]\nwhen = { a = 1 }\nmeans = "revoked"',
         "token_answer.errors[0].means", "must be one of", ""),
        ('[[token_answer.errors]]\nwhen = { error.code = 190 }\nmeans = "invalid_grant"',
         "token_answer.errors[0].when.error", "must be a value or a list of values", "in quotes"),
        ("[token_answer]\nsuccess = { ok = [] }", "token_answer.success.ok",
         "must be a value or a list of values", "in quotes"),
        ('[token_answer]\nfields = { token = ["x"] }', "token_answer.fields.token",
         "is not a known key", "did you mean"),
        ('[api]\nbase_url = "http://api.acme.example"', "api.base_url", "must be https", "write"),
        ('[api]\nbase_url = "https://{region}.acme.example"', "api.base_url",
         "needs the variable 'region'", "set variables"),
        ('[api]\nheaders = { X = "é" }', "api.headers.X", "is not ASCII text", "no header"),
        ('[token_request]\nheaders = { X = "é" }', "token_request.headers.X", "is not ASCII", ""),
        ("[[api.rejections]]\nstatus = 200", "api.rejections[0].status", "must be from 400", ""),
        ("[[api.rejections]]\ncode = 5", "api.rejections[0].code", "is not a known key", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text: str, key: str, message: str, remedy: str) -> None:
    """1, 3, 14, 37: told with the key and what to do; nothing weaker is reachable."""
    found = read(LEAST + text)[1]
    (problem,) = [problem for problem in found if problem.key == f"providers.acme.{key}"]
    assert message in problem.message
    assert remedy in problem.remedy
    assert problem.remedy
    assert problem.source == "config.toml"
    assert len(found) <= 2


@pytest.mark.parametrize("name", sorted(PROTECTED_PARAMETERS))
def test_a_parameter_that_protects_cannot_be_set(name: str) -> None:
    """14: it is told, and left out."""
    provider, problems = read(LEAST + f'authorization_params = {{ {name} = "x", prompt = "y" }}')
    assert problems == [
        Problem(
            "config.toml",
            f"providers.acme.authorization_params.{name}",
            "is set by Connector and cannot be overridden",
            "remove it",
        )
    ]
    assert provider.authorization_params == {"prompt": "y"}


@pytest.mark.parametrize(
    "text",
    ["", 'scopes = ["a"]', 'token_endpoint = "https://id.acme.example/token"'],
    ids=["nothing", "no endpoints", "no authorization endpoint"],
)
def test_endpoints_or_an_issuer(text: str) -> None:
    problems = read(text)[1]
    assert problems
    assert {problem.remedy for problem in problems} <= {
        "add authorization_endpoint = …, or issuer = … for discovery",
        "add token_endpoint = …, or issuer = … for discovery",
    }


@pytest.mark.parametrize(
    "text",
    [
        'issuer = "https://id.acme.example"\nscopes = ["openid"]',
        LEAST
        + 'issuer = "https://i.example"\njwks_uri = "https://i.example/j"\nscopes = ["openid"]',
    ],
)
def test_openid_with_what_it_needs(text: str) -> None:
    assert read(text)[1] == []


@pytest.mark.parametrize(
    "value", ["evil.example/x?", "evil.example#", "u:p@evil.example", "a b", "evil.example\\\\"]
)
def test_a_variable_smuggles_nothing_into_a_url(value: str) -> None:
    provider, problems = read(
        f"""
        issuer = "https://i.example"
        token_endpoint = "https://{{h}}/t"
        variables = {{ h = "{value}" }}
        """
    )
    if not problems:  # then it was only a path more
        assert provider.server.token_endpoint == "https://evil.example/x?/t"
