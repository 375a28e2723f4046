"""Who may call a data API: the bearer token and its scope (RFC 6750), and how often.

Each call stands in the ledger with its target and body, the token taken out of both.
"""

import json
from dataclasses import dataclass, replace
from email.utils import formatdate

from connector.simulator.call import Call, RefusedError, Reply, Subject, json_response
from connector.simulator.oauth.bearer import preview_bearer, read_bearer
from connector.simulator.parameters import MalformedParametersError, Parameters
from connector.simulator.state import State

# What the ledger keeps of a body; a search is a few hundred bytes.
BODY_KEPT = 4096

REDACTED = "[token]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """How much of its limit a caller has used, this call included."""

    limit: int
    """Calls in a window; 0: any number."""
    used: int
    reset_at: float
    """When the window ends, on the simulator's clock."""
    wait: float
    """Seconds until then."""

    @property
    def is_over(self) -> bool:
        """Whether this call is one too many."""
        return 0 < self.limit < self.used

    @property
    def remaining(self) -> int:
        """Calls that are left."""
        return max(0, self.limit - self.used)

    @property
    def seconds(self) -> str:
        """Retry-After in whole seconds, rounded up (RFC 9110 §10.2.3)."""
        return str(int(-(-self.wait // 1)))

    @property
    def date(self) -> str:
        """Retry-After as a date."""
        return formatdate(int(-(-self.reset_at // 1)), usegmt=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A call that may be made."""

    subject: Subject
    quota: Quota

    def reply(self, body: object, *, headers: dict[str, str] | None = None) -> Reply:
        """The answer to it."""
        return Reply(response=json_response(body, headers=headers), subject=self.subject)

    def refusal(
        self, status: int, outcome: str, body: object, *, headers: dict[str, str] | None = None
    ) -> RefusedError:
        """What refuses it."""
        response = json_response(body, status=status, headers=headers)
        return RefusedError(Reply(response=response, outcome=outcome, subject=self.subject))


class Access:
    """The way into the data APIs; guarded by the state's lock."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._windows: dict[tuple[str, str | None, int, float], tuple[float, int]] = {}

    def preview(self, call: Call) -> Subject:
        """Whom a call is about, and what it asks."""
        secret = call.headers.get("authorization", "").partition(" ")[2].strip()
        return replace(
            preview_bearer(call, self._state),
            target=_redacted(_target(call), secret),
            body=_redacted(call.body.decode("utf-8", "replace"), secret)[:BODY_KEPT] or None,
        )

    def enter(self, call: Call, *, api: str, scope: str) -> Visit:
        """Let a call in, and count it.

        Raises:
            BearerError: no valid token with the scope.
        """
        bearer = read_bearer(call, self._state, scope=scope)
        return Visit(subject=bearer.subject, quota=self._count(api, bearer.subject.person))

    def _count(self, api: str, person: str | None) -> Quota:
        now = self._state.clock.now()
        limit, window = self._state.settings.apis_rate_limit, self._state.settings.apis_rate_window
        key = (api, person, limit, window)  # one that is changed begins anew
        started_at, used = self._windows.get(key, (now, 0))
        if now >= started_at + window:
            started_at, used = now, 0
        used += 1
        self._windows[key] = (started_at, used)
        reset_at = started_at + window
        return Quota(limit=limit, used=used, reset_at=reset_at, wait=reset_at - now)


def read_json(call: Call) -> dict[str, object]:
    """The JSON object that a call's body is; none counts as an empty one.

    Raises:
        ValueError: it is something else, or not sent as application/json.
    """
    if not call.body:
        return {}
    content_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise ValueError("the body must be application/json")
    try:
        values = json.loads(call.body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError("the body must be a JSON object")
    return values


def read_query(call: Call) -> Parameters:
    """The parameters of the URL, each once.

    Raises:
        ValueError: they cannot be read, or one is repeated.
    """
    parameters = call.query()
    if parameters.repeated():
        message = "a parameter is repeated"
        raise MalformedParametersError(message)
    return parameters


def number_of(value: object, name: str, default: int, *, least: int = 0) -> int:
    """A whole number, given as one or as digits; `default` where it is None.

    Raises:
        ValueError: it is something else, or below `least`.
    """
    if value is None:
        return default
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    # the length keeps int() from being given a book
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) < least:
        message = f"{name} must be a number, {least} or more"
        raise ValueError(message)
    return int(text)


def _target(call: Call) -> str:
    if not call.query_string:
        return call.target
    is_leak = "access_token" in call.query_string
    return f"{call.target}?{REDACTED if is_leak else call.query_string}"


def _redacted(text: str, secret: str) -> str:
    return text.replace(secret, REDACTED) if secret else text
