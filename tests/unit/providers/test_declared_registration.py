"""Our registration as it is declared: one method, chosen by data, never by trial (82)."""

import dataclasses
from pathlib import Path

import pytest

from connector.errors import ConfigurationError
from connector.oauth.authorization_server import AuthorizationServer
from connector.secret import Secret

from .tables import read_client

SERVER = AuthorizationServer(
    authorization_endpoint="https://id.example/authorize", token_endpoint="https://id.example/token"
)
ID = 'client_id = "c"\n'
CANARY = "canary-4444"


def test_the_catalogue_has_no_client() -> None:
    registration, problems = read_client("", is_required=False)
    assert problems == []
    assert registration.client_id == ""


@pytest.mark.parametrize(
    ("text", "key", "message", "remedy"),
    [
        ("", "client_id", "is missing", "add: client_id = …"),
        ('client_id = ""', "client_id", "is empty", 'write client_id = "…"'),
        (ID + 'token_endpoint_auth_method = "client_secret_basic"', "client_secret", "is missing",
         'add client_secret = "env:NAME"'),
        (ID + 'token_endpoint_auth_method = "private_key_jwt"', "private_key", "is missing",
         'add private_key = "file:client.pem"'),
        (ID + 'token_endpoint_auth_method = "tls_client_auth"', "token_endpoint_auth_method",
         "is not available in this version", "use private_key_jwt"),
        (ID + 'token_endpoint_auth_method = "client_secret"', "token_endpoint_auth_method",
         "must be one of", "did you mean client_secret_"),
        (ID + "dpop = true", "dpop", "DPoP is not available in this version", "remove it"),
        (ID + f'client_secret = "{CANARY}"', "client_secret", "is a literal secret", "use env:"),
        (ID + f'private_key = "{CANARY}"', "private_key", "is a literal secret", "use env:"),
        (ID + 'client_secret = ""', "client_secret", "is empty", "write client_secret"),
        (ID + 'token_endpoint_auth_signing_alg = "HS256"', "token_endpoint_auth_signing_alg",
         "must be one of ES256", "did you mean"),
        (ID + 'token_endpoint_auth_signing_alg = "none"', "token_endpoint_auth_signing_alg",
         "must be one of ES256", "write one of them"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(text: str, key: str, message: str, remedy: str) -> None:
    (problem,) = read_client(text)[1]
    assert problem.key == f"providers.acme.{key}"
    assert message in problem.message
    assert remedy in problem.remedy
    assert CANARY not in str(problem)


SECRET = 'client_secret = "env:ACME_SECRET"\n'


@pytest.mark.parametrize(
    ("text", "supported", "method"),
    [
        ("", None, "none"),
        ("", ("client_secret_basic",), "none"),
        (SECRET, None, "client_secret_basic"),
        (SECRET, (), "client_secret_basic"),
        (SECRET, ("client_secret_post", "client_secret_basic"), "client_secret_basic"),
        (SECRET, ("client_secret_post",), "client_secret_post"),
        (SECRET, ("private_key_jwt", "client_secret_post"), "client_secret_post"),
        (SECRET, ("tls_client_auth",), "client_secret_basic"),
        (SECRET + 'token_endpoint_auth_method = "client_secret_post"', ("client_secret_basic",),
         "client_secret_post"),
        (SECRET + 'token_endpoint_auth_method = "none"', ("client_secret_basic",), "none"),
    ],
)  # fmt: skip
def test_the_method_comes_from_data(
    monkeypatch: pytest.MonkeyPatch, text: str, supported: tuple[str, ...] | None, method: str
) -> None:
    """82: what is declared, else what metadata says, else Basic (RFC 8414 §2)."""
    monkeypatch.setenv("ACME_SECRET", "a long enough secret for everyone")
    server = dataclasses.replace(SERVER, token_endpoint_auth_methods_supported=supported)
    registration, problems = read_client(ID + text)
    assert problems == []
    resolved = registration.resolve(server)
    assert resolved.auth_method == method
    assert resolved.client_id == "c"


def test_a_secret_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_SECRET", raising=False)
    registration, problems = read_client(ID + SECRET)
    assert problems == []
    with pytest.raises(ConfigurationError, match="ACME_SECRET is not set"):
        registration.resolve(SERVER)
    monkeypatch.setenv("ACME_SECRET", "s")
    assert registration.resolve(SERVER).client_secret == Secret("s")


def test_a_literal_may_be_allowed_and_is_not_shown() -> None:
    registration, problems = read_client(ID + f'client_secret = "{CANARY}"', allow_plaintext=True)
    assert problems == []
    assert registration.resolve(SERVER).client_secret == Secret(CANARY)
    assert CANARY not in repr(registration) + repr(dataclasses.asdict(registration))


@pytest.mark.parametrize("content", ["", "garbage canary-4444", "-----BEGIN PRIVATE KEY-----\nAA"])
def test_a_key_that_is_none_is_told_at_once(tmp_path: Path, content: str) -> None:
    """Not by a traceback in the middle of the first refresh."""
    (tmp_path / "client.pem").write_text(content)
    text = ID + f'private_key = "file:{tmp_path}/client.pem"'
    registration, problems = read_client(text)
    assert problems == []
    with pytest.raises(ConfigurationError) as raised:
        registration.resolve(SERVER)
    (problem,) = raised.value.problems
    assert (problem.source, problem.key) == ("config.toml", "providers.acme.private_key")
    assert problem.message in {"it is empty", "holds no PEM private key for ES256"}
    assert problem.remedy
    assert CANARY not in str(raised.value)
