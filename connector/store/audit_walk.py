"""A walk over the audit trail: finds the first row that does not fit, in constant memory."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from connector.store.audit_chain import (
    BEGINNING,
    DoesNotFit,
    Head,
    check_row,
    numbered,
    prove_anchor,
)
from connector.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a walk over the whole trail has found.

    Attributes:
        rows: how many fit.
        first_at, last_at: when the first and the last of them were written; None: there are none.
        removed: how many older ones were removed as too old.
        fault: the first thing that does not fit; None: all fits.
        noted: the last row that is noted outside of the database; None: none is, and an end that
            was cut off is not noticed.
    """

    rows: int
    first_at: float | None
    last_at: float | None
    removed: int
    fault: str | None
    noted: int | None = None


class Walk:
    """A walk over the trail, row by row.

    Args:
        vault: has the key.
        noted: how far it had come before the walk began, as far as this host knows.
    """

    def __init__(self, *, vault: Vault, noted: Head | None) -> None:
        self._vault = vault
        self._noted = noted
        self._head = self._anchor = BEGINNING
        self._first_at: float | None = None
        self._last_at: float | None = None

    def begin(self, anchors: Sequence[Row[Any]]) -> None:
        """Begin after the anchor."""
        self._head = self._anchor = anchored(self._vault, anchors)

    def take(self, rows: Sequence[Row[Any]]) -> None:
        """Walk over some rows."""
        for row in rows:
            self._head = check_row(self._vault, self._head, row)
            if self._noted and self._head.number == self._noted.number:
                self._compare(self._noted)
            if self._first_at is None:
                self._first_at = row.at
            self._last_at = row.at

    def end(self) -> None:
        """See that nothing is missing after the last row."""
        if self._anchor.number and self._head == self._anchor:
            raise DoesNotFit(f"all rows after number {self._anchor.number} are missing")
        if self._noted and self._noted.number > self._head.number:
            rows = numbered(self._head.number + 1, self._noted.number)
            raise DoesNotFit(f"{rows} missing: the end of the trail was cut off")

    def result(self, fault: str | None) -> Verified:
        """Give what was found."""
        return Verified(
            rows=self._head.number - self._anchor.number,
            first_at=self._first_at,
            last_at=self._last_at,
            removed=self._anchor.number,
            fault=fault,
            noted=None if self._noted is None else self._noted.number,
        )

    def _compare(self, noted: Head) -> None:
        if self._head.chain != noted.chain:
            raise DoesNotFit(
                f"row {noted.number} is another one than was written on this host:"
                " the end of the trail was cut off, and others were appended"
            )


def anchored(vault: Vault, anchors: Sequence[Row[Any]]) -> Head:
    """Give where a trail begins.

    Raises:
        DoesNotFit: whoever shortened it had not the key.
    """
    if not anchors:
        return BEGINNING
    row = anchors[0]
    is_whole = all(isinstance(value, bytes | memoryview) for value in (row.chain, row.proof))
    if is_whole and type(row.number) is int and len(anchors) == 1:
        head = Head(number=row.number, chain=bytes(row.chain))
        if hmac.compare_digest(prove_anchor(vault, head), bytes(row.proof)):
            return head
    raise DoesNotFit("the anchor, which says where the trail begins, was altered")
