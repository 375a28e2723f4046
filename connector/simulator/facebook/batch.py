"""Several Graph calls in one: POST / with `batch`, a JSON list of at most fifty.

Each call in it is made by itself, one after another: it counts towards every limit, has its own
status, and stands in the ledger and in the log of calls. Faults meet the whole alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.routing import compile_path

from connector.simulator.call import NO_SUBJECT, Call, RefusedError, Reply, json_response
from connector.simulator.endpoint import Row
from connector.simulator.facebook.error import bad_parameter, no_token, unknown_path
from connector.simulator.facebook.filtering import read_json
from connector.simulator.facebook.graph_parameters import read_parameters
from connector.simulator.facebook.provider import Provider
from connector.simulator.ledger import Ledger
from connector.simulator.parameters import MalformedParametersError, Parameters

MOST_CALLS = 50

# What the calls of a batch have from it, where they bring none of their own.
INHERITED = ("access_token", "appsecret_proof")

METHODS = frozenset({"GET", "POST", "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    pattern: re.Pattern[str]
    row: Row


class Batch:
    """The batch endpoint over the other rows of the Graph API's table."""

    def __init__(self, provider: Provider, ledger: Ledger, rows: Sequence[Row]) -> None:
        self._provider = provider
        self._ledger = ledger
        self._targets = [_Target(pattern=compile_path(row.path)[0], row=row) for row in rows]

    def answer(self, call: Call) -> Reply:
        """The answers to all calls, in order; each has its own status.

        Raises:
            GraphError: no token for them, or no list of calls.
        """
        parameters = read_parameters(call)
        if "access_token" not in parameters and "authorization" not in call.headers:
            raise no_token()
        text = parameters.get("batch")
        if text is None:
            raise bad_parameter("The parameter batch is required")
        calls = read_json(text, "batch", NO_SUBJECT)
        if not isinstance(calls, list) or not calls:
            raise bad_parameter("Param batch must be a list of calls")
        if len(calls) > MOST_CALLS:
            message = f"Too many requests in batch message. Maximum batch size is {MOST_CALLS}"
            raise bad_parameter(message)
        has_headers = parameters.get("include_headers") != "false"
        answers = [self._answer(call, parameters, each, has_headers=has_headers) for each in calls]
        return Reply(response=json_response(answers))

    def _answer(
        self, call: Call, parameters: Parameters, wanted: object, *, has_headers: bool
    ) -> dict[str, object]:
        try:
            reply = self._make(call, parameters, wanted)
        except RefusedError as refusal:
            reply = refusal.reply
        response = reply.response
        answer: dict[str, object] = {
            "code": response.status_code,
            "body": bytes(response.body).decode(),
        }
        if has_headers:
            answer["headers"] = [
                {"name": name, "value": value} for name, value in response.headers.items()
            ]
        return answer

    def _make(self, call: Call, parameters: Parameters, wanted: object) -> Reply:
        if not isinstance(wanted, dict) or not isinstance(wanted.get("relative_url"), str):
            raise bad_parameter("A call of a batch needs a relative_url")
        method, body = wanted.get("method", "GET"), wanted.get("body", "")
        if method not in METHODS or not isinstance(body, str):
            raise bad_parameter("A call of a batch has a method of the API, and a body of text")
        path, _, query = wanted["relative_url"].lstrip("/").partition("?")
        if not re.match(r"v[0-9]+\.[0-9]+/", path):
            path = f"{call.path.get('version', '')}/{path}"
        try:
            given = Parameters.parse(query)
        except MalformedParametersError as error:
            raise bad_parameter(str(error)) from None
        inherited = [
            (name, parameters.get(name) or "")
            for name in INHERITED
            if name in parameters and "access_token" not in given
        ]
        inner = Call(
            method=method,
            path={},
            target=f"/graph/{path}",
            query_string=urlencode([*given, *inherited]),
            headers=call.headers,
            body=body.encode(),
        )
        return self._dispatch(inner)

    def _dispatch(self, inner: Call) -> Reply:
        for target in self._targets:
            match = target.pattern.match(inner.target)
            if match is not None and inner.method in target.row.methods:
                return self._call(inner, target.row, match.groupdict())
        raise unknown_path(inner.target.removeprefix("/graph/"))

    def _call(self, inner: Call, row: Row, path: dict[str, str]) -> Reply:
        call = Call(
            method=inner.method,
            path=path,
            target=inner.target,
            query_string=inner.query_string,
            headers=inner.headers,
            body=inner.body,
        )
        number = self._ledger.arrive(row.name, call.method, row.preview(call))
        try:
            reply = row.act(call)
        except RefusedError as refusal:
            reply = refusal.reply
        self._ledger.settle(number, reply.outcome, reply.subject, status=reply.response.status_code)
        self._ledger.leave(number)
        return reply
