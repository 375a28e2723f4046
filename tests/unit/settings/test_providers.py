"""Providers of a configuration: laid over the catalogue, over each other, and kept apart."""

from pathlib import Path

import pytest

from connector.settings.values import Settings

from .configuration import FACEBOOK, load, problem, problems

CANARY = "canary-pr0v"
CLIENT = 'client_id = "1"\nclient_secret = "env:X"\n'
ACME = """
[providers.acme]
issuer = "https://id.acme.example"
client_id = "1"
"""


def test_the_catalogue_is_overridden_key_by_key(tmp_path: Path) -> None:
    """A wrong fact is a change of configuration, not a release."""
    provider = load(
        tmp_path,
        FACEBOOK
        + """
        scopes = ["ads_read", "business_management"]
        refresh_token = { rotation = "grace", grace = "5s" }
        variables = { api_version = "v27.0" }
        token_answer = { error_description = "error.error_user_msg" }
        """,
    ).providers["facebook"]
    assert provider.scopes == ("ads_read", "business_management")
    assert provider.refresh_token.rotation == "grace"
    assert provider.server.token_endpoint == "https://graph.facebook.com/v27.0/oauth/access_token"
    assert provider.server.token_answer.error_description == "error.error_user_msg"
    assert len(provider.server.token_answer.errors) == 4
    assert provider.server.token_request.encoding == "query"
    assert provider.catalogue_name == "facebook"


def test_a_second_registration_at_the_same_provider(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        FACEBOOK
        + """
        scopes = ["ads_management"]
        [providers.facebook-agency]
        like = "facebook"
        client_id = "2"
        client_secret = "file:agency"
        """,
    )
    one, two = settings.providers["facebook"], settings.providers["facebook-agency"]
    assert two.server == one.server
    assert two.scopes == ("ads_management",)
    assert two.redirect_uri == "http://localhost:8470/callback/facebook-agency"
    assert two.catalogue_name == "facebook"
    assert settings.registrations["facebook-agency"].client_id == "2"


@pytest.mark.parametrize("key", ["client_id", "client_secret", "private_key"])
def test_a_registration_is_never_inherited(tmp_path: Path, key: str) -> None:
    """9: one provider cannot use another's client, secret or key."""
    text = """
    [providers.base]
    issuer = "https://id.acme.example"
    client_id = "1"
    client_secret = "env:BASE"
    private_key = "file:base.pem"
    [providers.second]
    like = "base"
    """
    own = {"client_id": '"2"', "client_secret": '"env:X"', "private_key": '"file:x"'}
    own.pop(key)
    text += "\n".join(f"{name} = {value}" for name, value in own.items())
    if key == "client_id":
        assert problem(tmp_path, text).key == "providers.second.client_id"
    else:
        registration = load(tmp_path, text).registrations["second"]
        assert getattr(registration, key) is None


def test_like_goes_on_through_another(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        ACME
        + """
        scopes = ["a"]
        [providers.second]
        like = "acme"
        client_id = "2"
        pkce = "off"
        [providers.third]
        like = "second"
        client_id = "3"
        """,
    )
    third = settings.providers["third"]
    assert third.server.issuer == "https://id.acme.example"
    assert third.scopes == ("a",)
    assert not third.use_pkce
    assert settings.registrations["third"].client_id == "3"


def test_a_table_named_as_an_entry_and_like_another(tmp_path: Path) -> None:
    text = f'[providers.mine]\nlike = "google"\n{CLIENT}'
    provider = load(tmp_path, text).providers["mine"]
    assert provider.title == "Google"
    assert provider.redirect_uri == "http://127.0.0.1:8470/callback/mine"


@pytest.mark.parametrize("like", ["facebook", "own"])
def test_like_itself_is_the_catalogue_s_entry(tmp_path: Path, like: str) -> None:
    text = f'[providers.{like}]\nlike = "{like}"\n{CLIENT}'
    if like == "facebook":
        assert load(tmp_path, text).providers["facebook"].title.startswith("Facebook")
    else:
        problem = problems(tmp_path, text)[0]
        assert "there is no provider 'own'" in problem.message
        assert problem.remedy.startswith("known: facebook, github, google"), "not itself"


@pytest.mark.parametrize(
    ("text", "key", "message", "remedy"),
    [
        (f'[providers.x]\nlike = "facebok"\n{CLIENT}', "providers.x.like",
         "there is no provider 'facebok'", "did you mean facebook?"),
        (f'[providers.x]\nlike = "zzz"\n{CLIENT}', "providers.x.like",
         "there is no provider 'zzz'", "known: facebook, github, google"),
        (f"[providers.facebok]\n{CLIENT}", "providers.facebok",
         "is not in the catalogue", "did you mean facebook?"),
        (f"[providers.zzz]\n{CLIENT}", "providers.zzz.token_endpoint", "is missing",
         "add token_endpoint = …, or issuer = … for discovery"),
        ('[providers.facebook]\nclient_secret = "env:X"', "providers.facebook.client_id",
         "is missing", "add: client_id = …"),
        ('[providers.facebook]\nclient_id = "1"', "providers.facebook.client_secret",
         "is missing", 'add client_secret = "env:NAME"'),
        (f'[providers.facebook]\nclient_id = "1"\nclient_secret = "{CANARY}"',
         "providers.facebook.client_secret", "is a literal secret", "use env:NAME"),
        (f'[providers."Face Book"]\n{CLIENT}', "providers.Face Book",
         "is not a provider's name", "use a-z, 0-9, '-' and '_'"),
        (f'[providers."a/b"]\n{CLIENT}', "providers.a/b", "is not a provider's name", "use a-z"),
        (FACEBOOK + "scops = []", "providers.facebook.scops", "is not a known key",
         "did you mean scopes?"),
        (FACEBOOK + "refresh_token = { rotatoin = 'none' }",
         "providers.facebook.refresh_token.rotatoin", "is not a known key",
         "did you mean rotation?"),
        ("[providers]\nfacebook = 5", "providers.facebook", "must be a table",
         "write it as [providers.facebook]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    tmp_path: Path, text: str, key: str, message: str, remedy: str
) -> None:
    found = [one for one in problems(tmp_path, text) if one.key == key]
    assert len(found) == 1
    assert message in found[0].message
    assert remedy in found[0].remedy
    assert CANARY not in str(found[0])


def test_a_mistake_in_a_table_is_told_once_for_all_that_are_like_it(tmp_path: Path) -> None:
    text = '[providers.a]\nlike = "zzz"\n' + CLIENT + f'[providers.b]\nlike = "a"\n{CLIENT}'
    found = problems(tmp_path, text)
    assert [one.key for one in found].count("providers.a.like") == 1


# --- redirect URIs


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("http://127.0.0.1:8470/callback/x", "http://127.0.0.1:8470/callback/x"),
        ("http://127.0.0.1:8470/callback/x", "http://localhost:8470/callback/x"),
        ("http://127.0.0.1:8470/callback/x", "http://127.0.0.1:9000/callback/x"),
        ("http://127.0.0.1/callback/x?a", "https://connector.example/callback/x?b"),
    ],
)
def test_a_redirect_path_belongs_to_one_provider(tmp_path: Path, one: str, two: str) -> None:
    """8: an answer is told apart by the path on which it arrives, so paths must differ."""
    text = FACEBOOK + f'redirect_uri = "{one}"\n' + ACME + f'redirect_uri = "{two}"'
    found = problem(tmp_path, text)
    assert found.key == "providers.acme.redirect_uri"
    assert "has the same path as that of 'facebook'" in found.message
    assert found.remedy == "give each provider a path of its own"


def test_a_copied_redirect_uri_is_told(tmp_path: Path) -> None:
    text = (
        ACME + 'redirect_uri = "http://127.0.0.1/cb"\n[providers.b]\nlike = "acme"\nclient_id = "2"'
    )
    assert problem(tmp_path, text).key == "providers.b.redirect_uri"


def redirects(settings: Settings) -> dict[str, str]:
    return {name: provider.redirect_uri for name, provider in settings.providers.items()}


def test_redirect_uris_follow_the_port(tmp_path: Path) -> None:
    settings = load(tmp_path, "daemon = { port = 9000 }\n" + FACEBOOK + ACME)
    assert redirects(settings) == {
        "facebook": "http://localhost:9000/callback/facebook",
        "acme": "http://127.0.0.1/callback/acme",
    }


def test_a_public_url_takes_the_redirects(tmp_path: Path) -> None:
    """28: from the configuration only, and each provider keeps a path of its own."""
    settings = load(
        tmp_path,
        'daemon = { public_url = "https://connector.example/" }\n'
        + FACEBOOK
        + ACME
        + 'redirect_uri = "http://127.0.0.1/mine"\n'
        + '[providers.like-acme]\nlike = "acme"\nclient_id = "2"\n',
    )
    assert settings.daemon.public_url == "https://connector.example"
    assert redirects(settings) == {
        "facebook": "https://connector.example/callback/facebook",
        "acme": "http://127.0.0.1/mine",
        "like-acme": "https://connector.example/callback/like-acme",
    }


# --- issuers


ENDPOINTS = """
authorization_endpoint = "https://id.acme.example/{path}/authorize"
token_endpoint = "https://id.acme.example/token"
"""


@pytest.mark.parametrize(
    ("one", "two", "is_good"),
    [
        ("", "", True),
        (ENDPOINTS.format(path="a"), ENDPOINTS.format(path="a"), True),
        (ENDPOINTS.format(path="a"), ENDPOINTS.format(path="b"), False),
        (ENDPOINTS.format(path="a"), "", False),
    ],
)
def test_one_issuer_has_one_set_of_endpoints(
    *, tmp_path: Path, one: str, two: str, is_good: bool
) -> None:
    """38: so that a response names one server and no other."""
    text = ACME + one + ACME.replace("acme]", "other]") + two
    if is_good:
        assert len(load(tmp_path, text).providers) == 2
    else:
        found = problem(tmp_path, text)
        assert found.key == "providers.other.issuer"
        assert found.message == "is the issuer of 'acme' too, with other endpoints (RFC 9207 §2.4)"
        assert found.remedy == "one issuer has one set of endpoints"


def test_other_issuers_do_not_matter(tmp_path: Path) -> None:
    text = (
        ACME + ENDPOINTS.format(path="a") + ACME.replace("acme]", "other]").replace("id.", "id2.")
    )
    assert len(load(tmp_path, text + FACEBOOK).providers) == 3
