"""Control over HTTP, for processes outside: the desk's knobs behind the control key.

Everything needs the control key as a bearer token; a write needs application/json, which no web
page can send across origins unasked.
"""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.simulator.call import json_response
from connector.simulator.control_desk import Desk
from connector.simulator.control_values import ControlRequestError, Values
from connector.simulator.facebook.control_desk import FacebookDesk

Knob = Callable[[Values], object]


def control_routes(desk: Desk, facebook: FacebookDesk, key: Callable[[], str]) -> list[Route]:
    """Everything under /control; `key` gives the key in force."""
    reads: Mapping[str, Knob] = {
        "state": desk.summary,
        "settings": desk.settings,
        "ledger": desk.records,
        "counters": desk.counters,
        "faults": desk.waiting_faults,
        "gates": desk.gates,
        **facebook.reads(),
        "apis/records": desk.api_records,
    }
    waits: Mapping[str, Knob] = {"ledger/wait": desk.wait, "gates/wait": desk.wait_until_held}
    writes: Mapping[str, Knob] = {
        "settings": desk.change,
        "faults": desk.add_fault,
        "faults/clear": desk.clear_faults,
        "clock": desk.advance,
        "grant": desk.grant,
        "revoke": desk.revoke,
        "expire_access_tokens": desk.expire_access_tokens,
        "signing_key": desk.rotate_signing_key,
        **facebook.writes(),
        "apis/append": desk.append_records,
        "apis/touch": desk.touch_record,
        "gates/release": desk.release,
    }
    return [
        *(_route(path, knob, key, is_write=False) for path, knob in reads.items()),
        *(_route(path, knob, key, is_write=False, is_wait=True) for path, knob in waits.items()),
        *(_route(path, knob, key, is_write=True) for path, knob in writes.items()),
    ]


def _route(
    path: str, knob: Knob, key: Callable[[], str], *, is_write: bool, is_wait: bool = False
) -> Route:
    async def answer(request: Request) -> Response:
        refusal = _refusal(request, key(), is_write=is_write)
        if refusal is not None:
            return refusal
        try:
            values = await _read_json(request) if is_write else dict(request.query_params)
            content = await asyncio.to_thread(knob, values) if is_wait else knob(values)
        except ValueError as error:
            return json_response({"error": str(error)}, status=400)
        return json_response(content)

    run: Callable[[Request], Awaitable[Response]] = answer
    methods = ["POST"] if is_write else ["GET"]
    return Route(f"/control/{path}", run, methods=methods, name=f"control {path}")


def _refusal(request: Request, key: str, *, is_write: bool) -> Response | None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    is_known = hmac.compare_digest(given.strip().encode(), key.encode())
    if scheme.lower() != "bearer" or not is_known:
        response = json_response({"error": "the control key is missing or wrong"}, status=401)
        response.headers["www-authenticate"] = 'Bearer realm="control"'
        return response
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_write and content_type != "application/json":
        return json_response({"error": "the body must be application/json"}, status=415)
    return None


async def _read_json(request: Request) -> Values:
    try:
        values = json.loads(await request.body())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ControlRequestError("the body must be a JSON object")
    return cast("Values", values)
