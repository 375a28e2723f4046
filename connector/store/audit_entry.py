"""What the audit trail says of one event: what, whose account, who did it, and how it came out.

Nothing secret by construction: details have names from a fixed list, and their values are texts,
numbers and truths; a token is told by its keyed fingerprint. No word of a provider's stands here,
since it could echo what we have sent; of its errors only the code.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

ActorKind = Literal["uid", "job", "key", "peer"]

#: Every event, and what it says. A row with another one is written by a newer program.
EVENTS: Final = {
    "consent.started": "a person was asked to consent",
    "consent.given": "an account became active",
    "consent.refused": "a consent came to nothing",
    "token.released": "access tokens were given out; `count` times within the interval",
    "refresh.unanswered": "a refresh was sent and its answer was lost",
    "grant.ended": "the grant has ended; a person must consent again",
    "grant.restored": "an end was taken back: its provider refused many accounts alike",
    "grant.held": "the database has gone back: a spent refresh token is not sent",
    "registration.rejected": "the provider rejects our client registration",
    "account.revoked": "an account's tokens were destroyed here",
    "revocation.confirmed": "the provider has confirmed a revocation",
    "account.forgotten": "an account was removed",
    "account.renamed": "an account was given another name",
    "vault.made": "the vault was made",
    "vault.key_made": "a data key was made",
    "vault.resealed": "values were sealed anew under the newest data key; `count` of them",
    "vault.seal_changed": "the root key was moved to another seal",
    "vault.exported": "the vault was exported",
    "vault.imported": "accounts were imported",
    "key.created": "an API key was made",
    "key.revoked": "an API key was revoked",
    "dashboard.code_made": "a code that signs a person in to the dashboard was made",
    "dashboard.opened": "a person has signed in to the dashboard",
    "dashboard.closed": "a person has signed out of the dashboard",
    "value.unreadable": "a sealed value does not open",
    "access.refused": "requests to the daemon were refused; `count` times within the interval",
    "audit.pruned": "rows of this trail were removed as too old; `count` of them",
}

#: The only names that a detail may have.
DETAILS: Final = frozenset(
    {
        "accounts",
        "attempt",
        "before",
        "consent",
        "debt",
        "device",
        "error",
        "file",
        "format",
        "generation",
        "key",
        "kept",
        "kept_grant",
        "name",
        "noted",
        "owed",
        "place",
        "provider",
        "rotation",
        "scopes",
        "seal",
        "status",
        "up_to",
    }
)
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did something, as far as can be told.

    Attributes:
        kind: ``uid``: a user of this host; ``job``: a job of the configuration; ``key``: the holder
            of an API key; ``peer``: the address of somebody who is not known.
        name: the number, the name of job or key, or the address.
        through: what it was done with, in the words of whoever did it: no proof.
    """

    kind: ActorKind
    name: str
    through: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event, before it has a number.

    Attributes:
        event: one of `EVENTS`.
        account: the account's name, where it is about one.
        account_id: its identifier.
        actor: who did it; None: whoever is `acting_as`, else this process.
        at: when, in seconds since the epoch; None: now.
        outcome: how it came out, in a word.
        fingerprint: of the token that it is about.
        count: how often, where several are told in one.
        detail: further fields; those whose names are not among `DETAILS` are left out.
    """

    event: str
    account: str | None = None
    account_id: str | None = None
    actor: Actor | None = None
    at: float | None = None
    outcome: str | None = None
    fingerprint: str | None = None
    count: int = 1
    detail: Mapping[str, object] = field(default_factory=dict)


_acting: ContextVar[Actor | None] = ContextVar("connector_actor", default=None)


def process_actor(through: str) -> Actor:
    """Give this process as an actor.

    Args:
        through: the command, or ``library``.
    """
    return Actor(kind="uid", name=str(os.getuid()), through=through)


def acting() -> Actor | None:
    """Give for whom is being worked here and now; None: for nobody but the process itself."""
    return _acting.get()


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Work for somebody within a ``with`` block, and in the tasks that begin there."""
    token = _acting.set(actor)
    try:
        yield
    finally:
        _acting.reset(token)


def printable(text: str) -> str:
    """Make a text fit for any database and any line: cut, and nothing in it that cannot be seen."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_LONGEST])
    return shown.encode(errors="replace").decode()


def allowed(detail: Mapping[str, object]) -> dict[str, object]:
    """Give the fields of a detail that may be written, each as what may be."""
    return {name: _shown(value) for name, value in detail.items() if name in DETAILS}


def _shown(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return f"<{type(value).__name__}>"
