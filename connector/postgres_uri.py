"""Where a connection URI of Postgres holds secrets, as libpq reads it (34.1.1.2 of its manual).

libpq is not `urllib`: what stands before the first ``@`` is user and password, where no ``/`` is in
it, whatever other signs are. A message that was made by another reading would show a password.
"""

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

#: Parameters whose values are secret.
_SECRET: Final = frozenset({"password", "sslpassword"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresUri:
    """The parts of a URI.

    Attributes:
        place: hosts and database, as messages name them: no user, no password, no parameters.
        secrets: texts that no message may hold, as they are written and as they are meant.
        is_ambiguous: a password holds ``/`` or ``@`` as they are, so that libpq takes a part of it
            for a host.
    """

    place: str
    secrets: frozenset[str] = field(repr=False)
    is_ambiguous: bool


def split_uri(url: str) -> PostgresUri:
    """Give the parts of ``postgresql://…``."""
    rest = url.partition("//")[2]
    credentials, at, after = rest.partition("@")
    has_credentials = bool(at) and "/" not in credentials
    password = credentials.partition(":")[2] if has_credentials else ""
    place, _, query = (after if has_credentials else rest).partition("?")
    written = {password}
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        if unquote(name) in _SECRET:
            written.add(value)
    return PostgresUri(
        place=place,
        secrets=frozenset(filter(None, written | {unquote(one) for one in written})),
        is_ambiguous="@" in place,
    )
