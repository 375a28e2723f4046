"""Writes a configuration and reads it."""

from pathlib import Path

import pytest

from connector.errors import ConfigurationError, Problem
from connector.settings import Settings, load_settings

FACEBOOK = """
[providers.facebook]
client_id = "1"
client_secret = "env:FACEBOOK_SECRET"
"""


def load(folder: Path, text: str) -> Settings:
    """Read a configuration of this text."""
    path = folder / "config.toml"
    path.write_text(text)
    return load_settings(path)


def problems(folder: Path, text: str) -> list[Problem]:
    """Give what is wrong with a configuration of this text."""
    with pytest.raises(ConfigurationError) as raised:
        load(folder, text)
    return list(raised.value.problems)


def problem(folder: Path, text: str) -> Problem:
    """Give the one thing that is wrong."""
    (found,) = problems(folder, text)
    return found
