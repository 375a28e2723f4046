"""The catalogue: what is known of well-known providers, one TOML file each in ``data/``."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import cast

from connector.errors import ConfigurationError, Problem
from connector.providers.declared_registration import read_registration
from connector.providers.provider import Provider
from connector.providers.schema import read_provider
from connector.toml_section import Section

Table = dict[str, object]


def catalogue_names() -> tuple[str, ...]:
    """Give the names of all entries, sorted."""
    folder = resources.files("connector.providers") / "data"
    names = (Path(entry.name) for entry in folder.iterdir())
    return tuple(sorted(name.stem for name in names if name.suffix == ".toml"))


def catalogue_table(name: str) -> Table:
    """Give an entry as the TOML parser reads it; empty where there is none of that name."""
    return dict(_load(name)) if name in catalogue_names() else {}


def catalogue_provider(name: str, *, daemon_port: int = 8470) -> Provider:
    """Read an entry alone, as `connector providers NAME` shows it.

    Raises:
        ConfigurationError: the entry breaks the schema, which a test of ours forbids.
    """
    problems: list[Problem] = []
    section = Section(
        catalogue_table(name),
        path=("catalogue", name),
        source=f"{name}.toml",
        folder=Path(),
        problems=problems,
    )
    provider = read_provider(name, section, daemon_port=daemon_port)
    read_registration(section, allow_plaintext=False, is_required=False)
    section.finish()
    if problems:
        raise ConfigurationError(problems)
    return provider


def overlay(below: Mapping[str, object], above: Mapping[str, object]) -> Table:
    """Lay one table over another: tables are merged key by key, anything else is replaced."""
    merged: Table = dict(below)
    for key, value in above.items():
        present = merged.get(key)
        if isinstance(present, dict) and isinstance(value, dict):
            merged[key] = overlay(cast("Table", present), cast("Table", value))
        else:
            merged[key] = value
    return merged


@cache
def _load(name: str) -> Mapping[str, object]:
    file = resources.files("connector.providers") / "data" / f"{name}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))
