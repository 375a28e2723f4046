"""The process beside a program that was given an endpoint: answers it with tokens while it runs.

It speaks the daemon's own routes, ``GET /v1/accounts/{account}/token`` and, for a token that an API
rejected, ``POST /v1/accounts/{account}/refresh``, for the accounts that were named and with one
key, so that what can ask a daemon over TCP can ask it. A page in a browser
cannot: the key is in a header, the host must be ours, and no page's request is answered (CHECKLIST
143, 144).
"""

import asyncio
import hmac
import json
import os
import socket
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import click
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from connector.cli.asking import Asking, asking, warn_if_short
from connector.cli.endpoint_process import HOST, READY
from connector.cli.main import tell
from connector.cli.session import load, run_async
from connector.client import Token
from connector.errors import ConnectorError, UnknownAccount
from connector.moment import rfc3339
from connector.web.problems import answer_error, problem
from connector.web.server import Server

#: How often it is looked whether the program still runs (seconds).
LOOK_INTERVAL: Final = 0.5
_NO_STORE: Final = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the process is to do; comes as JSON on standard input.

    Attributes:
        config: the configuration file.
        accounts: whose tokens it gives.
        min_ttl: that of a request which names none, in seconds.
        secret: that a request must present.
        listener: the number of the socket.
    """

    config: str
    accounts: list[str]
    min_ttl: float | None
    secret: str
    listener: int

    def __repr__(self) -> str:
        return f"Order(accounts={self.accounts!r})"


class Endpoint:
    """The application.

    Args:
        ask: gives tokens.
        order: to whom, and which.
        port: that it is reached at.
    """

    def __init__(self, ask: Asking, order: Order, port: int) -> None:
        self._ask = ask
        self._order = order
        self._hosts = frozenset({f"{HOST}:{port}", f"localhost:{port}"})

    def app(self) -> Starlette:
        """Give the application."""
        path = "/v1/accounts/{account:path}"
        return Starlette(
            routes=[
                Route(f"{path}/token", self._token, methods=["GET"]),
                Route(f"{path}/refresh", self._renewed, methods=["POST"]),
            ],
            exception_handlers={ConnectorError: answer_error, HTTPException: _no_such},
        )

    async def _token(self, request: Request) -> Response:
        account = self._account(request)
        if isinstance(account, Response):
            return account
        try:
            text = request.query_params.get("min_ttl")
            min_ttl = self._order.min_ttl if text is None else float(text)
        except ValueError:
            min_ttl = -1.0
        if min_ttl is not None and not 0 <= min_ttl < float("inf"):
            return problem(400, "bad-request", "min_ttl must be a number of seconds")
        token = await self._ask.token(account, min_ttl)
        if request.headers.get("accept") == "text/plain":
            return PlainTextResponse(f"{token.value}\n", headers=_NO_STORE)
        return _answer(token)

    async def _renewed(self, request: Request) -> Response:
        account = self._account(request)
        if isinstance(account, Response):
            return account
        rejected = request.headers.get("connector-rejected")
        if (
            not rejected
        ):  # a program that could force refreshes at will could end a grant's patience
            return problem(400, "bad-request", "name the token that was rejected")
        return _answer(await self._ask.renew(account, rejected))

    def _account(self, request: Request) -> str | Response:
        """Give whose token is asked for, or the refusal.

        Raises:
            UnknownAccount: it was not named.
        """
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        account: str = request.path_params["account"]
        if account not in self._order.accounts:
            raise UnknownAccount(account)
        return account

    def _refusal(self, request: Request) -> Response | None:
        headers = request.headers
        if headers.get("host") not in self._hosts:
            return problem(403, "forbidden", "the Host header names another host")
        if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":
            return problem(403, "forbidden", "a page has no business here")
        sent = ",".join(headers.getlist("authorization")).encode()
        if not hmac.compare_digest(sent, f"Bearer {self._order.secret}".encode()):
            challenge = {"WWW-Authenticate": 'Bearer realm="connector exec"'}
            detail = "send Authorization: Bearer and what CONNECTOR_KEY holds"
            return problem(401, "unauthorized", detail, headers=challenge)
        return None


async def serve(order: Order, parent: int) -> None:
    """Answer until the parent has ended.

    Args:
        order: what to do.
        parent: its process.

    Raises:
        ConnectorError: an account has no token now.
    """
    async with asking(load(order.config), lives_on=True) as ask:
        for account in order.accounts:
            warn_if_short(await ask.token(account, order.min_ttl), order.min_ttl)
        listener = socket.socket(fileno=order.listener)
        endpoint = Endpoint(ask, order, listener.getsockname()[1])
        server = Server(endpoint.app(), [listener])
        await server.start()
        _detach()
        try:
            while os.getppid() == parent:  # noqa: ASYNC110 - nobody tells of a parent's end
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            await server.aclose()


def main() -> None:
    """Run the process."""
    parent = os.getppid()
    order = Order(**json.load(sys.stdin))
    context = click.Context(click.Group("connector"), info_name="connector")
    try:
        with click.Context(click.Command("exec"), info_name="exec", parent=context):
            run_async(serve(order, parent))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told
        sys.exit(tell(error))


def _detach() -> None:
    """Say that all is well, and let go of the terminal and of whatever waits for its output."""
    os.setsid()
    sys.stdout.write(READY)
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.close(nowhere)


async def _no_such(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these alone
    return problem(error.status_code, "not-found", "this endpoint gives tokens alone")


def _answer(token: Token) -> JSONResponse:
    """Give a token as the daemon does."""
    document: dict[str, Any] = {"access_token": token.value, "token_type": token.token_type}
    expires_at = token.expires_at
    document["expires_at"] = document["expires_in"] = None
    if expires_at is not None:
        document["expires_at"] = rfc3339(expires_at, "auto")
        document["expires_in"] = int((expires_at - datetime.now(UTC)).total_seconds())
    document["scope"] = token.scope
    return JSONResponse(document, headers=_NO_STORE)


if __name__ == "__main__":
    main()
