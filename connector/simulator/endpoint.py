"""An endpoint around its act: read the request, meet the faults, write the ledger, answer.

The order is the contract of the faults and of the ledger: arrive, fault before, act, settle,
fault after, leave, first byte. The act runs under the state's lock; no await happens under it.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from threading import RLock

from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from connector.simulator import effects
from connector.simulator.call import (
    NO_SUBJECT,
    Act,
    Call,
    Preview,
    RefusedError,
    Reply,
    Subject,
    plain_response,
)
from connector.simulator.clock import Clock
from connector.simulator.connection import Connection
from connector.simulator.faults import Fault, Faults
from connector.simulator.gates import DEFAULT_GATE, Gates, StoppingError
from connector.simulator.ledger import Ledger

# The longest real request is a token of 64 KiB in a form; anything near a megabyte is junk.
MAX_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What all endpoints of one simulator share."""

    lock: RLock
    clock: Clock
    ledger: Ledger
    faults: Faults
    gates: Gates
    expire_token: Callable[[Call], object]
    """Ends the access tokens of the family that a call's bearer token is of."""
    latency: Callable[[str], float] = lambda _: 0.0
    """Seconds of real time that requests to an endpoint wait before anything is done."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def pause(self, seconds: float) -> None:
        """Wait for seconds of real time.

        Raises:
            StoppingError: the simulator stops first.
        """
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return
        raise StoppingError


def no_preview(_call: Call) -> Subject:
    """For endpoints that learn whom a request is about only by answering it."""
    return NO_SUBJECT


class Endpoint:
    """One named endpoint as an ASGI application."""

    def __init__(self, name: str, act: Act, *, stage: Stage, preview: Preview = no_preview) -> None:
        self.name = name
        self._act = act
        self._stage = stage
        self._preview = preview

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        connection = Connection(scope, receive, send)
        body = await connection.read_body(MAX_BODY)
        if body is None:
            return
        if len(body) > MAX_BODY:
            await connection.send(plain_response(f"more than {MAX_BODY} bytes", status=413))
            return
        call = Call(
            method=scope["method"],
            path=scope.get("path_params", {}),
            query_string=scope["query_string"].decode("latin-1"),
            headers=Headers(scope=scope),
            body=body,
            target=scope["path"],
        )
        with self._stage.lock:
            subject = self._preview(call)
        number = self._stage.ledger.arrive(self.name, call.method, subject)
        try:
            await self._serve(call, number, subject, connection)
        except StoppingError:
            await connection.close()
        finally:
            self._stage.ledger.leave(number)

    async def _serve(
        self, call: Call, number: int, subject: Subject, connection: Connection
    ) -> None:
        ledger = self._stage.ledger
        latency = self._stage.latency(self.name)
        if latency > 0:
            await self._stage.pause(latency)
        before = self._stage.faults.take(self.name, "before", subject)
        if before is not None:
            await self._meet(before, number, call)
            if not before.is_passing:
                ledger.settle(number, f"fault:{before.kind}", NO_SUBJECT)
                ledger.leave(number)
                await effects.apply(before, None, connection, self._stage.pause)
                return
        reply = self._answer(call)
        ledger.settle(number, reply.outcome, reply.subject, status=reply.response.status_code)
        after = self._stage.faults.take(self.name, "after", subject)
        if after is not None:
            await self._meet(after, number, call)
        ledger.leave(number)
        if after is None or after.is_passing:
            await connection.send(reply.response)
        else:
            await effects.apply(after, reply.response, connection, self._stage.pause)

    async def _meet(self, fault: Fault, number: int, call: Call) -> None:
        self._stage.ledger.meet(number, fault.kind)
        if fault.delay:
            await self._stage.pause(fault.delay)
        if fault.gate or fault.kind == "hold":
            await self._stage.gates[fault.gate or DEFAULT_GATE].hold()
        if fault.kind == "expire_token":
            with self._stage.lock:
                self._stage.expire_token(call)

    def _answer(self, call: Call) -> Reply:
        with self._stage.lock:
            try:
                reply = self._act(call)
            except RefusedError as refusal:
                reply = refusal.reply
            # on the simulator's clock, so that a client may measure its own clock by it
            reply.response.headers["date"] = formatdate(self._stage.clock.now(), usegmt=True)
            return reply


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a route table."""

    path: str
    name: str
    act: Act
    methods: Collection[str] = ("GET",)
    preview: Preview = no_preview


def routes(rows: Sequence[Row], stage: Stage) -> list[Route]:
    """The routes of a table."""
    return [
        Route(
            row.path,
            Endpoint(row.name, row.act, stage=stage, preview=row.preview),
            methods=list(row.methods),
            name=row.name,
        )
        for row in rows
    ]
