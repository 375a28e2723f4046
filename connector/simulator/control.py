"""A client of the control routes, for tests that run the simulator in another process.

It offers what the in-process objects offer, under the same names; standard library only.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from connector.simulator.facebook.control import FacebookControl
from connector.simulator.faults import Fault
from connector.simulator.ledger import EVERYTHING, Counting, Record, Selection


class Control(FacebookControl, Counting):
    """One running simulator, by its control_url and control_key."""

    # Settings, clock and state

    def settings(self) -> dict[str, object]:
        """The settings in force, but for the secret ones."""
        return dict(self.get("settings"))

    def change(self, changes: Mapping[str, object]) -> dict[str, object]:
        """Replace the named settings.

        Raises:
            ControlError: a name is unknown or a value does not fit.
        """
        return dict(self.post("settings", changes))

    def advance(self, seconds: float) -> float:
        """Move the clock forward; returns the new time."""
        return cast("float", self.post("clock", {"advance": seconds})["now"])

    def summary(self) -> dict[str, object]:
        """What the simulator holds, without a secret."""
        return dict(self.get("state"))

    # The ledger

    def records(self, selection: Selection = EVERYTHING) -> tuple[Record, ...]:
        """The selected records, oldest first."""
        answer = self.get("ledger", _selection(selection))
        records = cast("list[dict[str, object]]", answer["records"])
        return tuple(_record(values) for values in records)

    def counters(self) -> dict[tuple[str, str], int]:
        """Settled requests by (endpoint, outcome)."""
        rows = cast("list[dict[str, object]]", self.get("counters")["counters"])
        return {
            (str(row["endpoint"]), str(row["outcome"])): cast("int", row["count"]) for row in rows
        }

    def max_in_flight(self, family: str | None = None) -> int:
        """The most token requests in flight at once for one family, or for any."""
        answer = self.get("counters", {"family": family})
        return cast("int", answer["max_in_flight"])

    def wait_for(self, count: int, selection: Selection, *, timeout: float = 10.0) -> None:
        """Block until `count` records are selected.

        Raises:
            TimeoutError: they are not within `timeout` seconds (60 at most).
        """
        query = {**_selection(selection), "count": str(count), "timeout": str(timeout)}
        _check_arrived(self.get("ledger/wait", query))

    # Faults and gates

    def add_fault(self, fault: Fault) -> int:
        """Queue a fault; returns its number."""
        return cast("int", self.post("faults", asdict(fault))["number"])

    def clear_faults(self, number: int | None = None) -> int:
        """Remove one fault, or all; returns how many went."""
        return cast("int", self.post("faults/clear", {"number": number})["cleared"])

    def wait_until_held(self, gate: str = "gate", count: int = 1, *, timeout: float = 10.0) -> None:
        """Block until `count` requests are held at a gate.

        Raises:
            TimeoutError: they are not within `timeout` seconds (60 at most).
        """
        query = {"gate": gate, "count": str(count), "timeout": str(timeout)}
        _check_arrived(self.get("gates/wait", query))

    def release(self, gate: str = "gate", count: int | None = None) -> int:
        """Let held requests go on; returns how many."""
        return cast("int", self.post("gates/release", {"gate": gate, "count": count})["released"])

    # The authorization server's people

    def grant(self, person: str, *, scope: str | None = None) -> dict[str, object]:
        """A consent without its pages, for tests with thousands; the token answer."""
        return dict(self.post("grant", {"person": person, "scope": scope}))

    def revoke(self, person: str, *, reason: str = "revoked") -> int:
        """End every grant of a person; returns how many ended."""
        return self.turn("revoke", {"person": person, "reason": reason})

    def expire_access_tokens(self, person: str) -> int:
        """End a person's access tokens; returns how many ended."""
        return self.turn("expire_access_tokens", {"person": person})

    def rotate_signing_key(self, *, is_old_published: bool = True) -> str:
        """Sign ID tokens with a new key; returns its `kid`."""
        values = {"is_old_published": is_old_published}
        return str(self.post("signing_key", values)["kid"])

    # The data APIs' records

    def expected_records(
        self, api: str, since: str | None = None, until: str | None = None
    ) -> list[dict[str, object]]:
        """What a complete pull of a data API has to bring; see DataApis.expected_records."""
        query = {"api": api, "since": since, "until": until}
        return cast("list[dict[str, object]]", self.get("apis/records", query)["records"])

    def append(self, api: str, count: int = 1) -> None:
        """Add records to a data API, each newer than all others."""
        self.post("apis/append", {"api": api, "count": count})

    def touch(self, api: str, number: int) -> None:
        """Change a record of a data API, which is then the newest."""
        self.post("apis/touch", {"api": api, "number": number})


def _selection(selection: Selection) -> dict[str, str | None]:
    return {
        name: None if value is None else str(value) for name, value in asdict(selection).items()
    }


def _record(values: Mapping[str, object]) -> Record:
    faults = tuple(cast("list[str]", values["faults"]))
    # written by Ledger from a Record, member by member
    return Record(**{**values, "faults": faults})  # type: ignore[arg-type]


def _check_arrived(answer: Mapping[str, object]) -> None:
    if answer["arrived"] is not True:
        raise TimeoutError(str(answer["detail"]))
