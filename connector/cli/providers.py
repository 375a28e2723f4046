"""``connector providers``: the catalogue, or all that is known of one provider."""

import difflib
from typing import TYPE_CHECKING, Final

import click

from connector.cli.options import common_options, config_path, json_option
from connector.cli.output import print_json, print_table
from connector.duration import format_duration
from connector.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from connector.providers.provider import Provider


#: What metadata may tell.
_DISCOVERED: Final = ("authorization_endpoint", "token_endpoint", "revocation")


@click.command()
@click.argument("name", required=False)
@common_options
@json_option
def providers(name: str | None, config: str | None, *, json: bool) -> None:
    """Show the catalogue of providers, or all that is known of NAME."""
    known = _known(config)
    if name is None:
        rows = [[one, provider.title, used] for one, (provider, used) in known.items()]
        if json:
            print_json(
                [
                    {"provider": row[0], "title": row[1], "configured": row[2] == "yes"}
                    for row in rows
                ]
            )
        else:
            print_table(("provider", "title", "configured"), rows, empty="The catalogue is empty.")
        return
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else "list them: connector providers"
        problem = Problem("providers", name, "is not in the catalogue or the configuration", remedy)
        raise ConfigurationError([problem])
    provider = known[name][0]
    view = _view(provider)
    if json:
        print_json(view)
        return
    for key, value in view.items():
        is_told_later = value is None and key in _DISCOVERED and _is_discovered(provider)
        text = "by discovery" if is_told_later else _text(key, value)
        if text:
            click.echo(f"{key}: {text}")


def _known(config: str | None) -> "dict[str, tuple[Provider, str]]":
    """Give the catalogue's providers, overlaid by the configured ones."""
    from connector.providers.catalogue import catalogue_names, catalogue_provider
    from connector.settings import find_configuration, load_settings

    known = {name: (catalogue_provider(name), "-") for name in catalogue_names()}
    path = config_path(config)
    if path is None:
        try:
            find_configuration()
        except ConfigurationError:
            return known
    settings = load_settings(path)
    return known | {name: (provider, "yes") for name, provider in settings.providers.items()}


def _view(provider: "Provider") -> dict[str, object]:
    """Give what is known; None where only the provider's metadata tells."""
    from connector.pulls.reading.pages import kind_of

    server, refresh, pull = provider.server, provider.refresh_token, provider.api.pull
    is_discovered = _is_discovered(provider)
    return {
        "provider": provider.name,
        "title": provider.title,
        "documentation": provider.documentation,
        "issuer": server.issuer,
        "authorization_endpoint": server.authorization_endpoint or None,
        "token_endpoint": server.token_endpoint or None,
        "revocation": (
            server.revocation.endpoint
            if server.revocation
            else None
            if is_discovered
            else "none offered"
        ),
        "redirect_uri": provider.redirect_uri,
        "scopes": list(provider.scopes),
        "pkce": "S256" if provider.use_pkce else "off",
        "renewal": (
            f"exchange of the valid access token ({provider.exchange.grant_type})"
            if provider.exchange
            else "refresh token"
        ),
        "rotation": refresh.rotation,
        "grace": format_duration(refresh.grace) if refresh.grace else None,
        "access_token_lifetime": _duration(provider.access_token_lifetime),
        "dies_idle_after": _duration(refresh.idle),
        "consent_ends_after": _duration(provider.lifetimes.consent),
        "api_base_url": provider.api.base_url,
        "api_origins": list(provider.api.origins),
        "api_pagination": kind_of(pull.pagination) if pull.pagination else None,
        "api_limit_headers": sorted({header.name for header in pull.limits.headers}),
        "api_error_rules": len(pull.errors) or None,
        "notes": list(provider.notes),
    }


def _is_discovered(provider: "Provider") -> bool:
    """Tell whether the provider's metadata fills in what is not written down."""
    server = provider.server
    return not (server.authorization_endpoint and server.token_endpoint)


def _text(key: str, value: object) -> str:
    if isinstance(value, list):
        return "\n  ".join(["", *value]) if key == "notes" and value else ", ".join(map(str, value))
    return "" if value is None else str(value)


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)
