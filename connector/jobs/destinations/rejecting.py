"""Records that cannot be written are set aside, with the reason, where a person finds them.

They go into a table (``TABLE_rejected``) or file (``FILE.rejected.jsonl``) beside the records, in
the same transaction. What was set aside before, for the same reason, is not set aside again: so a
repeat after a crash, or a record that is bad in every run, is there once.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from connector.jobs.destinations.stream import Stream

#: What stands behind a table's name.
SUFFIX: Final = "_rejected"
#: Of the table, in this order; `RejectedRow` says what they are.
COLUMNS: Final = (
    "digest",
    "account",
    "account_id",
    "job",
    "run_id",
    "rejected_at",
    "reason",
    "record",
)

#: Deeper values are told by their type.
_DEEPEST: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A record that cannot be written.

    Attributes:
        record: as it came, as JSON; what has no JSON form is told by its type.
        reason: says which field, and never a value: "lacks id, part of its key".
    """

    record: str
    reason: str


def reject(record: object, reason: str) -> Rejected:
    """Make a rejected record of whatever came, as it is at this moment."""
    return Rejected(record=lenient_json(record), reason=reason)


class RecordsRejected(Exception):
    """A run ends because too many of its records were rejected; the message says which and why."""


class TooManyRejected(Exception):
    """More records were rejected than may be: they are set aside, and nothing else was written.

    Attributes:
        count: of this commit.
        reason: why the first of them was.
    """

    def __init__(self, count: int, reason: str) -> None:
        super().__init__(f"{count} records were rejected: {reason}")
        self.count = count
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRow:
    """What is kept of a rejected record; `COLUMNS` are its fields.

    Attributes:
        digest: of stream, reason and record: one row for what is the same.
        account, account_id, job, run_id: whose it is, and which run saw it first.
        rejected_at: when, ISO 8601 in UTC.
        reason: why.
        record: as JSON.
    """

    digest: str
    account: str
    account_id: str
    job: str
    run_id: str
    rejected_at: str
    reason: str
    record: str

    def values(self) -> tuple[str, ...]:
        """Give the fields in the order of `COLUMNS`."""
        return tuple(getattr(self, name) for name in COLUMNS)


def rejected_rows(rejected: Sequence[Rejected], stream: Stream) -> list[RejectedRow]:
    """Give what is kept of rejected records."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows: dict[str, RejectedRow] = {}
    for one in rejected:
        identity = json.dumps([stream.job, stream.account_id, one.reason, one.record])
        digest = hashlib.sha256(identity.encode()).hexdigest()
        rows[digest] = RejectedRow(
            digest=digest,
            account=stream.account,
            account_id=stream.account_id,
            job=stream.job,
            run_id=stream.run_id,
            rejected_at=moment,
            reason=one.reason,
            record=one.record,
        )
    return list(rows.values())


def check_allowed(rejected: Sequence[Rejected], allowed: int | None) -> TooManyRejected | None:
    """Give what is to be raised where more were rejected than may be.

    Args:
        rejected: of this commit.
        allowed: so many may be; None: any number.
    """
    if allowed is None or len(rejected) <= allowed:
        return None
    return TooManyRejected(len(rejected), rejected[0].reason)


def lenient_json(value: object) -> str:
    """Write whatever it is as JSON, in ASCII and on one line; what has no such form by its type."""
    try:
        return json.dumps(_plain(value, 0), separators=(",", ":"))
    except (ValueError, RecursionError):
        return json.dumps(f"<{type(value).__name__}>")


def _plain(value: object, depth: int) -> object:
    if depth < _DEEPEST:
        if isinstance(value, Mapping):
            return {_name(name): _plain(one, depth + 1) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [_plain(one, depth + 1) for one in value]
        if isinstance(value, (set, frozenset)):
            return sorted((_plain(one, depth + 1) for one in value), key=json.dumps)
    if isinstance(value, float) and value - value != 0:  # NaN and the infinities
        return str(value)
    if value is None or isinstance(value, (str, int, float)):
        return value
    text = str(value) if type(value).__module__ in {"datetime", "decimal", "uuid"} else None
    return text or f"<{type(value).__name__}>"


def _name(name: object) -> str:
    return name if isinstance(name, str) else f"<{type(name).__name__}> {name!r}"[:100]
