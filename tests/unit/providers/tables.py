"""Reads a provider's table as a configuration would hold it."""

import tomllib
from pathlib import Path

from connector.errors import Problem
from connector.providers.declared_registration import DeclaredRegistration, read_registration
from connector.providers.provider import Provider
from connector.providers.schema import read_provider
from connector.toml_section import Section

#: The least that a provider outside the catalogue must have.
LEAST = """
authorization_endpoint = "https://id.acme.example/authorize"
token_endpoint = "https://id.acme.example/token"
"""


def section_of(text: str) -> tuple[Section, list[Problem]]:
    problems: list[Problem] = []
    section = Section(
        tomllib.loads(text),
        path=("providers", "acme"),
        source="config.toml",
        folder=Path("/etc/connector"),
        problems=problems,
    )
    return section, problems


def read(text: str) -> tuple[Provider, list[Problem]]:
    """Read the provider, unknown keys included."""
    section, problems = section_of(text)
    provider = read_provider("acme", section, daemon_port=8470)
    section.finish()
    return provider, problems


def read_client(
    text: str, *, allow_plaintext: bool = False, is_required: bool = True
) -> tuple[DeclaredRegistration, list[Problem]]:
    section, problems = section_of(text)
    registration = read_registration(
        section, allow_plaintext=allow_plaintext, is_required=is_required
    )
    section.finish()
    return registration, problems
