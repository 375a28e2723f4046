"""The steps of a refresh, each with a worker that ends itself there (SIGKILL).

As a program it forks workers, so that each has its imports behind it: a worker for each line of
standard input, {"config": …, "account": …, "step": …}. It prints a line when a worker has begun and
another when it has ended. A worker ends itself where a step of the code begins or ends: what it
waits for is wrapped here, and nothing in the code knows of it. See test_kill_points.
"""

import asyncio
import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from connector import journal
from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.journal import Journal
from connector.oauth import token_endpoint
from connector.runtime import Runtime, open_runtime
from connector.settings import load_settings
from connector.store.grants import GrantStore
from connector.token_source.sending import Sending
from connector.token_source.settlement import Settlement
from tests.acceptance.kill_places import (
    INTENT,
    TOKENS,
    die,
    die_at,
    die_at_commit,
    die_before_remembering,
    die_on_the_wire,
    die_while_keeping,
)

#: What a refresh imports on its way, once for all workers.
ON_ITS_WAY: Final = (
    "aiosqlite",
    "anyio._backends._asyncio",
    "authlib.oauth2.client",
    "connector.store.listener",
    "h11",
    "httpcore2",
    "psycopg",
    "truststore",
)

Arm = Callable[[], None]


def away() -> Callable[[], None]:
    """Have no tokens written; give what ends that."""
    apply = GrantStore.apply

    async def fail(*_: object) -> None:
        raise TemporarilyUnavailable("the database is away")

    GrantStore.apply = fail  # type: ignore[assignment]

    def back() -> None:
        GrantStore.apply = apply  # type: ignore[method-assign]

    return back


async def get(runtime: Runtime, account: str, arm: Arm) -> None:
    """Get a token."""
    arm()
    await runtime.tokens.get(account)


async def force(runtime: Runtime, account: str, arm: Arm) -> None:
    """Refresh though the token still works."""
    arm()
    await runtime.tokens.refresh(account)


async def get_while_away(runtime: Runtime, account: str, arm: Arm) -> None:
    """Get a token that cannot be committed."""
    away()
    await get(runtime, account, arm)


async def commit_late(runtime: Runtime, account: str, arm: Arm) -> None:
    """Get a token that cannot be committed, and commit it once the store is back."""
    back = away()
    await runtime.tokens.get(account)
    back()
    arm()
    await runtime.tokens.check_store()


async def adopt(runtime: Runtime, account: str, arm: Arm) -> None:
    """Take over what another worker has left."""
    del account
    arm()
    await runtime.tokens._refresh.settlement.kept.adopt()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Where a worker is killed.

    Attributes:
        name: in words.
        arm: sees to it that the worker ends there; None: who holds its request kills it.
        reach: nothing, or a part of it, has left; or the request has, so that the server acts on
            it; or the answer is in the store or in the journal.
        is_stored: the database has a say in it.
        work: what the worker does.
        fault: what the server does to the request.
        after: the step at which another worker was killed before.
    """

    name: str
    arm: Arm | None
    reach: Literal["unsent", "sent", "durable"] = "unsent"
    is_stored: bool = False
    work: Callable[[Runtime, str, Arm], Coroutine[Any, Any, None]] = get
    fault: dict[str, object] | None = None
    after: str | None = None

    @property
    def is_sent(self) -> bool:
        """The server acts on the request, whoever is dead."""
        return self.reach != "unsent"

    @property
    def is_durable(self) -> bool:
        """Nothing can be lost any more."""
        return self.reach == "durable"


def at_the_end() -> None:
    """Let the worker come to the end of its work, where it ends itself."""


CALLER_HAS_IT: Final = "the caller has a token that is kept"
_BEFORE: Final = partial(partial, die_at, "before")
_AFTER: Final = partial(partial, die_at, "after")
_COMMIT: Final = partial(partial, die_at_commit)
_WIRE: Final = partial(partial, die_on_the_wire)
_SYNC: Final = partial(partial, die_while_keeping)


def _unsent(name: str, arm: Arm | None, *, is_stored: bool = False) -> Step:
    return Step(name=name, arm=arm, is_stored=is_stored)


def _sent(name: str, arm: Arm | None, *, when: str | None = None, is_stored: bool = False) -> Step:
    fault: dict[str, object] | None = {"kind": "hold", "when": when} if when else None
    return Step(name=name, arm=arm, reach="sent", is_stored=is_stored, fault=fault)


def _durable(name: str, arm: Arm, *, is_stored: bool = False) -> Step:
    return Step(name=name, arm=arm, reach="durable", is_stored=is_stored)


#: In the order in which the code takes them.
_STRAIGHT: Final = (
    _unsent("a journal file is about to be held", _BEFORE(Journal, "prepare")),
    _unsent("a journal file is held", _AFTER(Journal, "prepare")),
    _unsent("the lease is about to be taken", _BEFORE(GrantStore, "take_lease")),
    _unsent("the intent is written and not committed", _COMMIT("before", INTENT), is_stored=True),
    _unsent("the intent is committed", _COMMIT("after", INTENT), is_stored=True),
    _unsent("the lease is known to be taken", _AFTER(GrantStore, "take_lease"), is_stored=True),
    _unsent("the first byte is about to leave", _BEFORE(Sending, "is_timely")),
    _unsent("half of the request has left", _WIRE("send_request_headers.complete")),
    _sent("the request has left", _WIRE("send_request_body.complete")),
    _sent("the request has arrived", None, when="before"),
    _sent("the server has acted", None, when="after", is_stored=True),
    _sent("half of the answer is here", _WIRE("response_headers.complete")),
    _sent("the answer is here", _BEFORE(token_endpoint, "read_token_response")),
    _sent("the answer is parsed", _BEFORE(Settlement, "commit")),
    _sent("the answer is sealed", _BEFORE(GrantStore, "apply"), is_stored=True),
    _sent("the tokens are written and not committed", _COMMIT("before", TOKENS), is_stored=True),
    _durable("the tokens are committed", _COMMIT("after", TOKENS), is_stored=True),
    _durable("the tokens are known to be committed", _AFTER(GrantStore, "apply"), is_stored=True),
    _durable("the token is about to be remembered", die_before_remembering),
    _durable("the caller is about to be answered", at_the_end),
)
#: The store is away when the tokens are to be committed.
_AWAY: Final = (
    _sent("the answer is about to be kept", _BEFORE(Journal, "keep")),
    _sent("the record is written without its length", _SYNC("before", 1)),
    _sent("the record is synced without its length", _SYNC("after", 1)),
    _durable("the record is whole and not synced", _SYNC("before", 2)),
    _durable("the record is synced", _SYNC("after", 2)),
    _durable(CALLER_HAS_IT, at_the_end),
)
#: And it comes back.
_BACK: Final = (
    _durable(
        "what was kept is about to be committed", _BEFORE(GrantStore, "apply"), is_stored=True
    ),
    _durable(
        "what was kept is written and not committed", _COMMIT("before", TOKENS), is_stored=True
    ),
    _durable(
        "what was kept is committed and not settled", _BEFORE(Journal, "settle"), is_stored=True
    ),
    _durable("what was kept is settled and its room in use", _BEFORE(journal._File, "_empty")),
    _durable("nothing is kept any more", at_the_end),
)
#: Or the next process finds what was kept.
_FOUND: Final = (
    _durable("what another one kept is about to be adopted", _BEFORE(journal, "_hold")),
    _durable("what another one kept is held and not read", _AFTER(journal, "_hold")),
    _durable("what another one kept is adopted", at_the_end),
)
_FAILED: Final = Step(
    name="a failure is about to be written down",
    arm=_BEFORE(GrantStore, "settle"),
    is_stored=True,
    fault={"kind": "status"},
)
STEPS: Final = (
    *_STRAIGHT,
    *(replace(one, work=get_while_away) for one in _AWAY),
    *(replace(one, work=commit_late) for one in _BACK),
    *(replace(one, work=adopt, after=CALLER_HAS_IT) for one in _FOUND),
    _FAILED,
)
#: As "the server has acted", but ahead of need.
AHEAD_OF_NEED: Final = replace(_sent("ahead of need", None, when="after"), work=force)
EVERY_STEP: Final = (*STEPS, AHEAD_OF_NEED)


async def refresh(config: str, account: str, one: Step) -> None:
    """Do what a worker does; where the place to end at is not there, it lives on."""
    runtime = await open_runtime(load_settings(Path(config)), has_background=False)
    try:
        await one.work(runtime, account, one.arm or at_the_end)
    except ConnectorError as error:
        sys.stderr.write(f"{error}\n")
    else:
        if one.arm is at_the_end:
            die()


def main() -> None:
    """Fork a worker for each line, and wait for it."""
    for name in ON_ITS_WAY:
        importlib.import_module(name)
    gc.freeze()  # no worker copies what it collects
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            asyncio.run(refresh(order["config"], order["account"], EVERY_STEP[order["step"]]))
            os._exit(0)
        say({"pid": pid})
        status = os.waitpid(pid, 0)[1]
        say({"signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None})


def say(value: object) -> None:
    """Print one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
