"""The secrets within credentials of dlt's: each may stand alone in what a library tells."""

import contextlib
import json
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

#: Of what holds a secret: ``private_key``, ``aws_secret_access_key``, ``motherduck_token``.
_NAMES: Final = re.compile("key|secret|token$|pass|pwd|connection_string|sas", re.IGNORECASE)


def secrets_of(credentials: str) -> frozenset[str]:
    """Give the texts that no message may hold.

    Args:
        credentials: a URL, a JSON object, or whatever else a destination takes; all of it is one.
    """
    secrets = {credentials, quote(credentials), quote(credentials, safe="")}
    with contextlib.suppress(ValueError):
        parts = urlsplit(credentials)
        found = [("password", parts.password or ""), *parse_qsl(parts.query)]
        for name, value in found:
            if _NAMES.search(name):
                secrets |= {value, unquote(value)}
    with contextlib.suppress(ValueError, RecursionError):
        for text in _texts(json.loads(credentials), is_secret=False):
            # as it is, as JSON has it, and as a message of one line
            secrets |= {text, json.dumps(text)[1:-1], " ".join(text.split())}
            secrets |= {line for line in text.split("\n") if not line.startswith("-----")}
    return frozenset(secrets - {""})


def _texts(value: object, *, is_secret: bool) -> Iterator[str]:
    """Give the texts that stand under the name of a secret, however deep."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, is_secret=is_secret or _NAMES.search(str(name)) is not None)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, is_secret=is_secret)
    elif is_secret and isinstance(value, str):
        yield value
