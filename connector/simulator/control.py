"""A client of the control routes, for tests that run the simulator in another process.

It offers what the in-process objects offer, under the same names; standard library only.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Literal, cast
from urllib.parse import urlencode, urlsplit

from connector.simulator.faults import Fault
from connector.simulator.ledger import EVERYTHING, Record, Selection

# What the server waits at most, and a little for the way.
DEADLINE = 90.0


class ControlError(Exception):
    """The simulator refused a control request; the message is its own."""


class Control:
    """One running simulator, by its control_url and control_key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._key = key

    # Settings, clock and state

    def settings(self) -> dict[str, object]:
        """The settings in force, but for the secret ones."""
        return _object(self._get("settings"))

    def change(self, changes: Mapping[str, object]) -> dict[str, object]:
        """Replace the named settings.

        Raises:
            ControlError: a name is unknown or a value does not fit.
        """
        return _object(self._post("settings", changes))

    def advance(self, seconds: float) -> float:
        """Move the clock forward; returns the new time."""
        return cast("float", self._post("clock", {"advance": seconds})["now"])

    def summary(self) -> dict[str, object]:
        """What the simulator holds, without a secret."""
        return _object(self._get("state"))

    # The ledger

    def records(self, selection: Selection = EVERYTHING) -> tuple[Record, ...]:
        """The selected records, oldest first."""
        answer = self._get("ledger", _selection(selection))
        records = cast("list[dict[str, object]]", answer["records"])
        return tuple(_record(values) for values in records)

    def count(  # noqa: PLR0913 - as Ledger.count
        self,
        endpoint: str | None = None,
        *,
        outcome: str | None = None,
        grant_type: str | None = None,
        client_id: str | None = None,
        person: str | None = None,
        family: str | None = None,
        fault: str | None = None,
        after: int = 0,
    ) -> int:
        """How many records agree with every argument given."""
        selection = Selection(
            endpoint=endpoint,
            outcome=outcome,
            grant_type=grant_type,
            client_id=client_id,
            person=person,
            family=family,
            fault=fault,
            after=after,
        )
        return len(self.records(selection))

    def counters(self) -> dict[tuple[str, str], int]:
        """Settled requests by (endpoint, outcome)."""
        rows = cast("list[dict[str, object]]", self._get("counters")["counters"])
        return {
            (str(row["endpoint"]), str(row["outcome"])): cast("int", row["count"]) for row in rows
        }

    def max_in_flight(self, family: str | None = None) -> int:
        """The most token requests in flight at once for one family, or for any."""
        answer = self._get("counters", {"family": family})
        return cast("int", answer["max_in_flight"])

    def wait_for(self, count: int, selection: Selection, *, timeout: float = 10.0) -> None:
        """Block until `count` records are selected.

        Raises:
            TimeoutError: they are not within `timeout` seconds (60 at most).
        """
        query = {**_selection(selection), "count": str(count), "timeout": str(timeout)}
        _check_arrived(self._get("ledger/wait", query))

    # Faults and gates

    def add_fault(self, fault: Fault) -> int:
        """Queue a fault; returns its number."""
        return cast("int", self._post("faults", asdict(fault))["number"])

    def clear_faults(self, number: int | None = None) -> int:
        """Remove one fault, or all; returns how many went."""
        return cast("int", self._post("faults/clear", {"number": number})["cleared"])

    def wait_until_held(self, gate: str = "gate", count: int = 1, *, timeout: float = 10.0) -> None:
        """Block until `count` requests are held at a gate.

        Raises:
            TimeoutError: they are not within `timeout` seconds (60 at most).
        """
        query = {"gate": gate, "count": str(count), "timeout": str(timeout)}
        _check_arrived(self._get("gates/wait", query))

    def release(self, gate: str = "gate", count: int | None = None) -> int:
        """Let held requests go on; returns how many."""
        return cast("int", self._post("gates/release", {"gate": gate, "count": count})["released"])

    # The authorization server's people

    def grant(self, person: str, *, scope: str | None = None) -> dict[str, object]:
        """A consent without its pages, for tests with thousands; the token answer."""
        return _object(self._post("grant", {"person": person, "scope": scope}))

    def revoke(self, person: str, *, reason: str = "revoked") -> int:
        """End every grant of a person; returns how many ended."""
        return self._turn("revoke", {"person": person, "reason": reason})

    def expire_access_tokens(self, person: str) -> int:
        """End a person's access tokens; returns how many ended."""
        return self._turn("expire_access_tokens", {"person": person})

    def rotate_signing_key(self, *, is_old_published: bool = True) -> str:
        """Sign ID tokens with a new key; returns its `kid`."""
        values = {"is_old_published": is_old_published}
        return str(self._post("signing_key", values)["kid"])

    # The ads provider's people and figures

    def expire_tokens(self, person: str) -> int:
        """End a person's tokens as if their time were over (190/463)."""
        return self._turn("facebook/expire_tokens", {"person": person})

    def change_password(self, person: str) -> int:
        """End a person's tokens by a new password (190/460)."""
        return self._turn("facebook/change_password", {"person": person})

    def log_out(self, person: str) -> int:
        """End a person's tokens by logging out (190/467)."""
        return self._turn("facebook/log_out", {"person": person})

    def remove_app(self, person: str) -> int:
        """Take the app out of a person's account (190/458)."""
        return self._turn("facebook/remove_app", {"person": person})

    def decline(self, person: str, permission: str) -> None:
        """Withdraw one permission."""
        self._post("facebook/decline", {"person": person, "permission": permission})

    def expire_data_access(self, person: str) -> None:
        """Let the 90 days of data access be over."""
        self._post("facebook/expire_data_access", {"person": person})

    def restate(self, ad_account: str, since: date | str, until: date | str) -> None:
        """Change the figures of a range of days (both ends included)."""
        values = {"ad_account": ad_account, "since": str(since), "until": str(until)}
        self._post("ads/restate", values)

    def expected_rows(
        self,
        ad_account: str,
        since: date | str,
        until: date | str,
        form: Literal["api", "graph"] = "api",
    ) -> list[dict[str, object]]:
        """What a complete pull of a range of days (both ends included) has to bring."""
        query = {"ad_account": ad_account, "since": str(since), "until": str(until), "form": form}
        return cast("list[dict[str, object]]", self._get("ads/rows", query)["rows"])

    # HTTP

    def _turn(self, path: str, values: Mapping[str, object]) -> int:
        return cast("int", self._post(path, values)["count"])

    def _get(
        self, path: str, query: Mapping[str, str | None] | None = None
    ) -> Mapping[str, object]:
        chosen = {name: value for name, value in (query or {}).items() if value is not None}
        return self._send("GET", f"{path}?{urlencode(chosen)}" if chosen else path, None)

    def _post(self, path: str, values: Mapping[str, object]) -> Mapping[str, object]:
        return self._send("POST", path, json.dumps(dict(values)))

    def _send(self, method: str, path: str, body: str | None) -> Mapping[str, object]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=DEADLINE)
        headers = {"Authorization": f"Bearer {self._key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, f"{self._path}/{path}", body=body, headers=headers)
            response = connection.getresponse()
            content = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ControlError(content["error"])
        return cast("Mapping[str, object]", content)


def _selection(selection: Selection) -> dict[str, str | None]:
    return {
        name: None if value is None else str(value) for name, value in asdict(selection).items()
    }


def _record(values: Mapping[str, object]) -> Record:
    faults = tuple(cast("list[str]", values["faults"]))
    # written by Ledger from a Record, member by member
    return Record(**{**values, "faults": faults})  # type: ignore[arg-type]


def _object(values: Mapping[str, object]) -> dict[str, object]:
    return dict(values)


def _check_arrived(answer: Mapping[str, object]) -> None:
    if answer["arrived"] is not True:
        raise TimeoutError(str(answer["detail"]))
