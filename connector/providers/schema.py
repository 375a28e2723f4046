"""Reads a provider's table, from the catalogue or from a configuration, by one schema.

Endpoints may hold variables (``{tenant}``), which the table's ``variables`` fill in. Every problem
is collected by the `Section`; unknown keys are reported with the nearest known one.
"""

from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import unquote, urlsplit

from connector.oauth.authorization_request import PROTECTED_PARAMETERS
from connector.oauth.authorization_server import AuthorizationServer
from connector.oauth.endpoint_url import check_endpoint_url
from connector.oauth.token import LONGEST_MARGIN
from connector.providers.declared_server import read_server, read_token_parameters
from connector.providers.provider import (
    ROTATIONS,
    Api,
    Identity,
    Provider,
    Rejection,
    Rotation,
    RotationProfile,
    TokenExchange,
)
from connector.providers.template import (
    check_url,
    fill,
    read_conditions,
    read_headers,
    read_url,
    unknown_placeholders,
)
from connector.pulls.reading import read_defaults
from connector.toml_section import Section

DEFAULT_REDIRECT_URI: Final = "http://127.0.0.1/callback/{provider}"
#: What the daemon answers besides redirects; the latter need no key.
OWN_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})
OWN_FOLDERS: Final = ("/v1/", "/connect/", "/consent/")


def read_provider(name: str, section: Section, *, daemon_port: int) -> Provider:
    """Read one provider.

    Args:
        name: of its table in the configuration.
        section: the table, laid over that of the catalogue where there is one.
        daemon_port: what ``{daemon_port}`` stands for in a redirect URI.
    """
    variables = section.text_map("variables")
    server = read_server(section, variables)
    scopes = section.texts("scopes")
    _check_openid(section, server, scopes)
    margin = section.duration("longest_margin", None)
    return Provider(
        name=name,
        title=section.text("title", name),
        documentation=section.optional_text("documentation"),
        catalogue_name=section.optional_text("catalogue_name"),
        server=server,
        redirect_uri=_read_redirect_uri(section, name, daemon_port),
        scopes=scopes,
        authorization_params=_read_authorization_params(section),
        exchange_params=read_token_parameters(section, "exchange_params"),
        refresh_params=read_token_parameters(section, "refresh_params"),
        use_pkce=section.choice("pkce", ("S256", "off"), "S256") == "S256",
        use_par=section.boolean("par", default=False),
        sends_scope=section.boolean("sends_scope", default=True),
        api=_read_api(section, variables),
        identity=_read_identity(section.section("identity"), variables),
        refresh_token=_read_rotation(section.section("refresh_token")),
        exchange=_read_exchange(section.section("exchange")),
        access_token_lifetime=section.duration("access_token_lifetime", None),
        longest_margin=LONGEST_MARGIN if margin is None else margin,
        data_access_lifetime=section.duration("data_access_lifetime", None),
        notes=section.texts("notes"),
    )


def _read_redirect_uri(section: Section, name: str, daemon_port: int) -> str:
    text = section.text("redirect_uri", DEFAULT_REDIRECT_URI)
    url = fill(text, {"provider": name, "daemon_port": str(daemon_port)})
    unknown = unknown_placeholders(url, frozenset())
    for name_of_it in unknown:
        section.problem(
            "redirect_uri", f"has no {name_of_it!r} to fill in", "known: provider, daemon_port"
        )
    if not unknown:
        check_url(section, "redirect_uri", url)
        _check_redirect_path(section, url, name)
    return url


def _check_redirect_path(section: Section, url: str, name: str) -> None:
    """Report an address at which the daemon answers something else."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return  # it is no URL at all, and reported
    if path in OWN_PATHS or path.startswith(OWN_FOLDERS):
        section.problem(
            "redirect_uri",
            f"names {path}, where the daemon answers something else",
            f"register another one, such as {DEFAULT_REDIRECT_URI.format(provider=name)}",
        )


def _check_openid(section: Section, server: AuthorizationServer, scopes: tuple[str, ...]) -> None:
    """Report at once what would only be found after the person has consented."""
    is_discovered = not (server.authorization_endpoint and server.token_endpoint)
    if "openid" not in scopes or is_discovered or (server.issuer and server.jwks_uri):
        return
    section.problem(
        "scopes",
        "openid brings an ID token, and there is no issuer and jwks_uri to check it with",
        "add both, leave the endpoints to discovery, or leave openid out",
    )


def _read_api(section: Section, variables: Mapping[str, str]) -> Api:
    table = section.section("api")
    rejections = [Rejection(status=401)]
    for rejection in table.tables("rejections"):
        status = rejection.integer("status", 400, lowest=400, highest=499)
        rejections.append(Rejection(status=status, when=read_conditions(rejection, "when")))
        rejection.finish()
    api = Api(
        base_url=_read_base_url(table, variables),
        origins=tuple(fill(origin, variables) for origin in section.texts("api_origins")),
        headers=read_headers(table, "headers"),
        scheme=table.text("scheme", "Bearer"),
        proof=table.optional_text("proof"),
        rejections=tuple(rejections),
        pull=read_defaults(table.section("pull")),
    )
    table.finish()
    for origin in api.origins:
        try:
            host = check_endpoint_url(origin.replace("://*.", "://", 1))
        except ValueError as error:
            section.problem("api_origins", f"{origin!r} {error}", 'write ["https://api.example"]')
        else:
            if "*" in host:
                remedy = 'write "https://*.example.com"'
                section.problem("api_origins", f"{origin!r} has '*' within its host", remedy)
    return api


def _read_base_url(table: Section, variables: Mapping[str, str]) -> str | None:
    """Read the API's base; ``{answer.NAME}`` is filled in from each token answer, later."""
    if "{answer." not in table.text("base_url"):
        return read_url(table, "base_url", variables)
    return fill(table.text("base_url"), variables)


def _read_identity(section: Section, variables: Mapping[str, str]) -> Identity | None:
    if not section.table:
        return None
    if "url" not in section:
        section.problem("url", "is missing", 'add url = "https://…"')
    identity = Identity(
        url=read_url(section, "url", variables) or "",
        id=section.text("id", "sub"),
        name=section.optional_text("name"),
    )
    section.finish()
    return identity


def _read_rotation(section: Section) -> RotationProfile:
    profile = RotationProfile(
        rotation=cast("Rotation", section.choice("rotation", ROTATIONS, "unknown")),
        grace=section.duration("grace", 0.0) or 0.0,
        idle=section.duration("idle", None),
        lifetime=section.duration("lifetime", None),
    )
    section.finish()
    return profile


def _read_exchange(section: Section) -> TokenExchange | None:
    if not section.table:
        return None
    exchange = TokenExchange(
        grant_type=section.text("grant_type", is_required=True),
        parameter=section.text("parameter", is_required=True),
        is_after_code=section.boolean("is_after_code", default=True),
    )
    section.finish()
    return exchange


def _read_authorization_params(section: Section) -> dict[str, str]:
    """Read further parameters; one that protects the flow is a problem (CHECKLIST 14)."""
    key = "authorization_params"
    parameters = section.text_map(key)
    for name in sorted(PROTECTED_PARAMETERS & parameters.keys()):
        section.problem(
            f"{key}.{name}", "is set by Connector and cannot be overridden", "remove it"
        )
    return {name: value for name, value in parameters.items() if name not in PROTECTED_PARAMETERS}
