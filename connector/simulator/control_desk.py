"""The control routes' knobs: each from the members of a JSON request to a JSON answer.

They do what the in-process objects do and nothing else; control.Control calls them from outside.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from connector.simulator.ads_data import AdsData
from connector.simulator.clock import Clock
from connector.simulator.facebook.provider import Provider
from connector.simulator.faults import Faults, fault_from_json
from connector.simulator.gates import Gates
from connector.simulator.ledger import Ledger, Selection
from connector.simulator.oauth.issuance import Issuance
from connector.simulator.options import as_json
from connector.simulator.state import State

# A longer wait is asked for again by whoever still wants it.
LONGEST_WAIT = 60.0

Values = Mapping[str, object]


class ControlRequestError(ValueError):
    """A control request makes no sense; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What can be worked from outside."""

    state: State
    clock: Clock
    ledger: Ledger
    faults: Faults
    gates: Gates
    facebook: Provider
    ads: AdsData
    issuance: Issuance


class Desk:
    """The knobs, each from the members of a request to what it answers."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls

    def summary(self, _values: Values) -> object:
        """Settings, grants, the provider's people, faults and gates; nothing secret."""
        return {
            **self._controls.state.summary(),
            "facebook": self._controls.facebook.summary(),
            "faults": self.waiting_faults({}),
            "gates": self.gates({}),
        }

    def settings(self, _values: Values) -> object:
        """The settings in force, but for the secret ones."""
        return as_json(self._controls.state.settings)

    def change(self, values: Values) -> object:
        """Replace the named settings."""
        return as_json(self._controls.state.change(values))

    def records(self, values: Values) -> object:
        """The selected records of the ledger."""
        records = self._controls.ledger.records(_selection(values))
        return {
            "records": [asdict(record) for record in records],
            "last_number": self._controls.ledger.last_number,
        }

    def counters(self, values: Values) -> object:
        """Settled requests by endpoint and outcome, and the most in flight at once."""
        counters = self._controls.ledger.counters()
        return {
            "counters": [
                {"endpoint": endpoint, "outcome": outcome, "count": count}
                for (endpoint, outcome), count in counters.items()
            ],
            "max_in_flight": self._controls.ledger.max_in_flight(_optional(values, "family")),
        }

    def wait(self, values: Values) -> object:
        """Wait until so many records are selected; says whether they were in time."""
        count, limit = int(_number(values, "count", 1)), _timeout(values)
        chosen = {name: value for name, value in values.items() if name not in {"count", "timeout"}}
        try:
            self._controls.ledger.wait_for(count, _selection(chosen), timeout=limit)
        except TimeoutError as error:
            return {"arrived": False, "detail": str(error)}
        return {"arrived": True}

    def waiting_faults(self, _values: Values) -> object:
        """The faults that are not used up, by number."""
        return {
            str(number): asdict(fault) for number, fault in self._controls.faults.waiting().items()
        }

    def add_fault(self, values: Values) -> object:
        """Queue a fault."""
        return {"number": self._controls.faults.add(fault_from_json(values))}

    def clear_faults(self, values: Values) -> object:
        """Remove one fault by its number, or all."""
        number = None if values.get("number") is None else int(_number(values, "number", 0))
        return {"cleared": self._controls.faults.clear(number)}

    def advance(self, values: Values) -> object:
        """Move the clock forward by seconds."""
        return {"now": self._controls.clock.advance(_number(values, "advance"))}

    def grant(self, values: Values) -> object:
        """A consent without its pages; the token answer, secrets included."""
        scope = _optional(values, "scope")
        return self._controls.issuance.grant(_text(values, "person"), scope=scope)

    def revoke(self, values: Values) -> object:
        """End a person's grants."""
        reason = _optional(values, "reason") or "revoked"
        return {"count": self._controls.state.revoke(_text(values, "person"), reason=reason)}

    def expire_access_tokens(self, values: Values) -> object:
        """End a person's access tokens."""
        return {"count": self._controls.state.expire_access_tokens(_text(values, "person"))}

    def rotate_signing_key(self, values: Values) -> object:
        """Sign ID tokens with a new key."""
        is_old_published = values.get("is_old_published", True) is True
        kid = self._controls.state.rotate_signing_key(is_old_published=is_old_published)
        return {"kid": kid}

    def expire_tokens(self, values: Values) -> object:
        """190/463."""
        return {"count": self._controls.facebook.expire_tokens(_text(values, "person"))}

    def change_password(self, values: Values) -> object:
        """190/460."""
        return {"count": self._controls.facebook.change_password(_text(values, "person"))}

    def log_out(self, values: Values) -> object:
        """190/467."""
        return {"count": self._controls.facebook.log_out(_text(values, "person"))}

    def remove_app(self, values: Values) -> object:
        """190/458."""
        return {"count": self._controls.facebook.remove_app(_text(values, "person"))}

    def decline(self, values: Values) -> object:
        """Withdraw one permission."""
        self._controls.facebook.decline(_text(values, "person"), _text(values, "permission"))
        return {}

    def expire_data_access(self, values: Values) -> object:
        """Let the 90 days be over."""
        self._controls.facebook.expire_data_access(_text(values, "person"))
        return {}

    def restate(self, values: Values) -> object:
        """Change the figures of a range of days."""
        self._controls.ads.restate(
            _text(values, "ad_account"), _text(values, "since"), _text(values, "until")
        )
        return {}

    def rows(self, values: Values) -> object:
        """What a complete pull of a range of days has to bring."""
        form = _optional(values, "form") or "api"
        if form not in {"api", "graph"}:
            raise ControlRequestError("form must be api or graph")
        rows = self._controls.ads.expected_rows(
            _text(values, "ad_account"),
            _text(values, "since"),
            _text(values, "until"),
            "graph" if form == "graph" else "api",
        )
        return {"rows": rows}

    def gates(self, _values: Values) -> object:
        """How many requests are held at each gate."""
        return self._controls.gates.held()

    def wait_until_held(self, values: Values) -> object:
        """Wait until so many requests are held at a gate; says whether they were in time."""
        count, limit = int(_number(values, "count", 1)), _timeout(values)
        try:
            self._controls.gates[_text(values, "gate")].wait_until_held(count, timeout=limit)
        except TimeoutError as error:
            return {"arrived": False, "detail": str(error)}
        return {"arrived": True}

    def release(self, values: Values) -> object:
        """Let held requests go on."""
        count = None if values.get("count") is None else int(_number(values, "count", 1))
        return {"released": self._controls.gates[_text(values, "gate")].release(count)}


def _selection(values: Values) -> Selection:
    known = ("endpoint", "outcome", "grant_type", "client_id", "person", "family", "fault")
    unknown = sorted(set(values) - {*known, "after"})
    if unknown:
        message = f"records are not selected by {', '.join(unknown)}"
        raise ControlRequestError(message)
    chosen = {name: _optional(values, name) for name in known}
    return Selection(
        endpoint=chosen["endpoint"],
        outcome=chosen["outcome"],
        grant_type=chosen["grant_type"],
        client_id=chosen["client_id"],
        person=chosen["person"],
        family=chosen["family"],
        fault=chosen["fault"],
        after=int(_number(values, "after", 0)),
    )


def _text(values: Values, name: str) -> str:
    value = _optional(values, name)
    if value is None:
        message = f"{name} is missing"
        raise ControlRequestError(message)
    return value


def _optional(values: Values, name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        message = f"{name} must be a string"
        raise ControlRequestError(message)
    return value


def _number(values: Values, name: str, default: float | None = None) -> float:
    value = values.get(name, default)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError  # noqa: TRY301 - one message for every way of being wrong
        return float(value)
    except ValueError:
        message = f"{name} must be a number"
        raise ControlRequestError(message) from None


def _timeout(values: Values) -> float:
    return min(max(_number(values, "timeout", 10.0), 0.0), LONGEST_WAIT)
