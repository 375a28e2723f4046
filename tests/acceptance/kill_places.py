"""Ends this process (SIGKILL) where the code comes to a place, for kill_points.

Functions are wrapped, and the database and the transport are listened to: nothing in the code knows
of it, and nothing that is wrapped is given back. The process ends there, or is of no further use.
"""

import inspect
import os
import signal
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, Literal

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.engine.default import DefaultDialect

from connector.journal import Journal, Record
from connector.oauth import wire
from connector.token_source.memory import TokenMemory

#: What a commit is known by: a column that its statement sets.
INTENT: Final = "attempt_fingerprint="
TOKENS: Final = "access_token_sealed="

Place = Literal["before", "after"]


def die() -> None:
    """End this process without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(place: Place, owner: object, name: str, *, is_it: Callable[..., bool] = bool) -> None:
    """End this process where a function is called, or has returned.

    Args:
        place: before it or after it.
        owner: its class or module.
        name: of the function.
        is_it: tells by the arguments whether this call is meant; by default every one is.
    """
    original = getattr(owner, name)

    def is_meant(arguments: tuple[object, ...]) -> bool:
        return is_it is bool or is_it(*arguments)

    if inspect.iscoroutinefunction(original):

        @wraps(original)
        async def wrapped(*arguments: Any, **options: Any) -> Any:
            if place == "before" and is_meant(arguments):
                die()
            result = await original(*arguments, **options)
            if place == "after" and is_meant(arguments):
                die()
            return result

    else:

        @wraps(original)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            if place == "before" and is_meant(arguments):
                die()
            result = original(*arguments, **options)
            if place == "after" and is_meant(arguments):
                die()
            return result

    setattr(owner, name, wrapped)


def die_at_commit(place: Place, column: str) -> None:
    """End this process where a transaction is committed that sets a column of an account."""
    is_meant = False

    @event.listens_for(Engine, "before_cursor_execute")
    def look(_c: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        nonlocal is_meant
        written, _, _ = statement.partition("WHERE")
        is_meant = is_meant or (written.startswith("UPDATE") and column in written)

    die_at(place, DefaultDialect, "do_commit", is_it=lambda *_: is_meant)


def die_on_the_wire(happening: str) -> None:
    """End this process where the transport tells of a happening (httpcore's trace extension)."""
    die_at(
        "after",
        wire._Progress,
        "note",
        is_it=lambda _self, told, *_: told.endswith(happening),
    )


def die_while_keeping(place: Place, sync: int) -> None:
    """End this process where an answer is written to the journal, at one of its syncs."""
    keep, fsync = Journal.keep, os.fsync
    count = 0

    def counted(descriptor: int) -> None:
        nonlocal count
        count += 1
        if (place, count) == ("before", sync):
            die()
        fsync(descriptor)
        if (place, count) == ("after", sync):
            die()

    def kept(journal: Journal, record: Record) -> None:
        os.fsync = counted  # type: ignore[assignment]
        keep(journal, record)

    Journal.keep = kept  # type: ignore[assignment,method-assign]


def die_before_remembering() -> None:
    """End this process where a renewed token comes into its memory; the one before was read."""
    die_at("before", TokenMemory, "put", is_it=lambda _self, _name, token: token.generation > 1)
