"""The control routes' knobs: each from the members of a JSON request to a JSON answer.

They do what the in-process objects do and nothing else; control.Control calls them from outside.
"""

from dataclasses import asdict, dataclass

from connector.simulator.apis.catalogue import DataApis
from connector.simulator.clock import Clock
from connector.simulator.control_values import (
    ControlRequestError,
    Values,
    number,
    optional,
    text,
    timeout,
)
from connector.simulator.facebook.provider import Provider
from connector.simulator.faults import Faults, fault_from_json
from connector.simulator.gates import Gates
from connector.simulator.ledger import Ledger, Selection
from connector.simulator.oauth.issuance import Issuance
from connector.simulator.options import as_json
from connector.simulator.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What can be worked from outside."""

    state: State
    clock: Clock
    ledger: Ledger
    faults: Faults
    gates: Gates
    facebook: Provider
    apis: DataApis
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
            "max_in_flight": self._controls.ledger.max_in_flight(optional(values, "family")),
        }

    def wait(self, values: Values) -> object:
        """Wait until so many records are selected; says whether they were in time."""
        count, limit = int(number(values, "count", 1)), timeout(values)
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
        wanted = None if values.get("number") is None else int(number(values, "number"))
        return {"cleared": self._controls.faults.clear(wanted)}

    def advance(self, values: Values) -> object:
        """Move the clock forward by seconds."""
        return {"now": self._controls.clock.advance(number(values, "advance"))}

    def grant(self, values: Values) -> object:
        """A consent without its pages; the token answer, secrets included."""
        scope = optional(values, "scope")
        return self._controls.issuance.grant(text(values, "person"), scope=scope)

    def revoke(self, values: Values) -> object:
        """End a person's grants."""
        reason = optional(values, "reason") or "revoked"
        return {"count": self._controls.state.revoke(text(values, "person"), reason=reason)}

    def expire_access_tokens(self, values: Values) -> object:
        """End a person's access tokens."""
        return {"count": self._controls.state.expire_access_tokens(text(values, "person"))}

    def rotate_signing_key(self, values: Values) -> object:
        """Sign ID tokens with a new key."""
        is_old_published = values.get("is_old_published", True) is True
        kid = self._controls.state.rotate_signing_key(is_old_published=is_old_published)
        return {"kid": kid}

    def api_records(self, values: Values) -> object:
        """What a complete pull of a data API has to bring."""
        api, since, until = (
            text(values, "api"),
            optional(values, "since"),
            optional(values, "until"),
        )
        return {"records": self._controls.apis.expected_records(api, since, until)}

    def append_records(self, values: Values) -> object:
        """Add records to a data API."""
        self._controls.apis.append(text(values, "api"), int(number(values, "count", 1)))
        return {}

    def touch_record(self, values: Values) -> object:
        """Change a record of a data API."""
        self._controls.apis.touch(text(values, "api"), int(number(values, "number")))
        return {}

    def gates(self, _values: Values) -> object:
        """How many requests are held at each gate."""
        return self._controls.gates.held()

    def wait_until_held(self, values: Values) -> object:
        """Wait until so many requests are held at a gate; says whether they were in time."""
        count, limit = int(number(values, "count", 1)), timeout(values)
        try:
            self._controls.gates[text(values, "gate")].wait_until_held(count, timeout=limit)
        except TimeoutError as error:
            return {"arrived": False, "detail": str(error)}
        return {"arrived": True}

    def release(self, values: Values) -> object:
        """Let held requests go on."""
        count = None if values.get("count") is None else int(number(values, "count", 1))
        return {"released": self._controls.gates[text(values, "gate")].release(count)}


def _selection(values: Values) -> Selection:
    known = ("endpoint", "outcome", "grant_type", "client_id", "person", "family", "fault")
    unknown = sorted(set(values) - {*known, "after"})
    if unknown:
        message = f"records are not selected by {', '.join(unknown)}"
        raise ControlRequestError(message)
    chosen = {name: optional(values, name) for name in known}
    return Selection(
        endpoint=chosen["endpoint"],
        outcome=chosen["outcome"],
        grant_type=chosen["grant_type"],
        client_id=chosen["client_id"],
        person=chosen["person"],
        family=chosen["family"],
        fault=chosen["fault"],
        after=int(number(values, "after", 0)),
    )
