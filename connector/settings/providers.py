"""Reads ``[providers.*]``: each laid over its entry in the catalogue, or over what it is like."""

import difflib
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from connector.providers.catalogue import Table, catalogue_names, catalogue_table, overlay
from connector.providers.declared_registration import DeclaredRegistration, read_registration
from connector.providers.provider import Provider
from connector.providers.schema import read_provider
from connector.toml_section import Section

#: Runs at once for a provider: half of all, so that one that hangs leaves the other half.
DEFAULT_RUNS: Final = 8
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


def read_providers(
    section: Section, *, daemon_port: int, public_url: str, allow: bool
) -> tuple[dict[str, Provider], dict[str, DeclaredRegistration], dict[str, int]]:
    """Read all providers, our registrations there, and how many runs each has at once.

    Args:
        section: the whole configuration.
        daemon_port: what ``{daemon_port}`` stands for in redirect URIs.
        public_url: where people reach the daemon; it then takes the redirects.
        allow: literal secrets are accepted.
    """
    providers: dict[str, Provider] = {}
    registrations: dict[str, DeclaredRegistration] = {}
    runs: dict[str, int] = {}
    own = dict(section.sections("providers"))
    for name, table in own.items():
        if _NAME.fullmatch(name) is None:
            table.problem("", "is not a provider's name", "use a-z, 0-9, '-' and '_'")
            continue
        merged = _merged(table, name, own)
        if public_url and "redirect_uri" not in table.table:
            merged["redirect_uri"] = f"{public_url}/callback/{{provider}}"
        whole = Section(
            merged,
            path=table.path,
            source=table.source,
            folder=table.folder,
            problems=table.problems,
            overrides=table.overrides,
        )
        whole.text("like")  # known; `_merged` has used it
        allow_here = whole.boolean("allow_plaintext_secrets", default=allow)
        providers[name] = read_provider(name, whole, daemon_port=daemon_port)
        registrations[name] = read_registration(whole, allow_plaintext=allow_here, is_required=True)
        runs[name] = whole.integer("concurrent_runs", DEFAULT_RUNS, lowest=1, highest=1024)
        whole.finish()
    _check_together(section, providers)
    return providers, registrations, runs


def _merged(table: Section, name: str, own: Mapping[str, Section]) -> Table:
    """Lay a provider's table over what it is like: another table, or an entry of the catalogue.

    A registration is never inherited: each table has its own (CHECKLIST 9).
    """
    like = table.text("like")
    if like and like in own and like != name:
        others = {other: section for other, section in own.items() if other != name}
        below = _merged(_silent(own[like]), like, others)
        for key in ("client_id", "client_secret", "private_key"):
            below.pop(key, None)
        return overlay(below, table.table)
    base = like or name
    if like and like not in catalogue_names():
        known = (*catalogue_names(), *(other for other in own if other != name))
        nearest = difflib.get_close_matches(like, known, n=1)
        table.problem(
            "like",
            f"there is no provider {like!r}",
            f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(known)}",
        )
    entry = catalogue_table(base)
    if entry:
        entry["catalogue_name"] = base
    elif not table.table.keys() & {"issuer", "authorization_endpoint", "token_endpoint"}:
        nearest = difflib.get_close_matches(base, catalogue_names(), n=1)
        if nearest:
            table.problem("", "is not in the catalogue", f"did you mean {nearest[0]}?")
    return overlay(entry, table.table)


def _silent(table: Section) -> Section:
    """Give the same table; its problems are told where it is read for itself."""
    return Section(
        table.table, path=table.path, source=table.source, folder=table.folder, problems=[]
    )


def _check_together(section: Section, providers: Mapping[str, Provider]) -> None:
    """Find what makes two providers confusable (CHECKLIST 8, 38)."""
    by_path: dict[str, str] = {}
    endpoints: dict[str, tuple[str, tuple[str, str]]] = {}
    for name, provider in providers.items():
        other = by_path.setdefault(urlsplit(provider.redirect_uri).path, name)
        if other != name:
            section.problem(
                f"providers.{name}.redirect_uri",
                f"has the same path as that of {other!r}: their answers could be confused",
                "give each provider a path of its own",
            )
        issuer = provider.server.issuer
        pair = (provider.server.authorization_endpoint, provider.server.token_endpoint)
        if issuer is None:
            continue
        first, known = endpoints.setdefault(issuer, (name, pair))
        if known != pair:
            section.problem(
                f"providers.{name}.issuer",
                f"is the issuer of {first!r} too, with other endpoints (RFC 9207 §2.4)",
                "one issuer has one set of endpoints",
            )
