"""The rows of an export that are no accounts: debts of revocation, paused jobs, runs, pins, halts.

Cursors are kept by destinations, under the account's identifier: they need no line of their own.
A run under way belongs to the process that runs it; elsewhere it is one that was interrupted.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Table
from sqlmodel import SQLModel

from connector.store.export_fields import MOST, Fields
from connector.store.revocations import RevocationDebt

OUTCOMES: Final = ("succeeded", "failed", "consent_required", "interrupted")
_TOKENS: Final = ("access_token", "refresh_token")
INTERRUPTED: Final = "it was under way when the vault was exported"

Values = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """One kind of line, and the table that it comes from and goes to.

    Attributes:
        name: in the line.
        table: in the database.
        key: the column that names a row; rows are read in its order.
        record: gives a row as a line, at a time.
        read: reads a line; what is wrong is noted in the fields' problems.
    """

    name: str
    table: Table
    key: ColumnElement[str]
    record: Callable[[Row[Any], float], Mapping[str, object]]
    read: Callable[[Fields], Values]


def read_debt(fields: Fields) -> RevocationDebt:
    """Read a debt of revocation; what is wrong is noted in the fields' problems."""
    tokens = fields.table("tokens")
    found = {name: tokens.optional_secret(name) for name in _TOKENS} if tokens else {}
    debt = RevocationDebt(
        id=fields.identifier("id"),
        account=fields.text("account"),
        provider=fields.text("provider"),
        subject=fields.foreign_text("subject"),
        tokens={name: token for name, token in found.items() if token is not None},
        attempts=fields.count("attempts"),
        created_at=fields.number("created_at"),
        last_error=fields.foreign_text("last_error"),
        fingerprint=fields.optional_text("fingerprint"),
    )
    if tokens is not None:
        tokens.finish()
    if not debt.tokens:
        fields.reject("tokens", "are missing")
    fields.finish()
    return debt


def debt_record(debt: RevocationDebt) -> Values:
    """Give a debt of revocation as a line."""
    record: Values = {name: getattr(debt, name) for name in RevocationDebt.__slots__}
    tokens = {name: debt.tokens.get(name) for name in _TOKENS}
    return record | {
        "tokens": {name: token.reveal() if token else None for name, token in tokens.items()}
    }


def _all_columns(row: Row[Any], _now: float) -> Mapping[str, object]:
    return dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it


def _run_record(row: Row[Any], now: float) -> Mapping[str, object]:
    record = dict(row._mapping)  # noqa: SLF001 - as above
    del record["place"]  # where a run under way is: no exported run is
    if row.outcome in {"queued", "running"}:
        record |= {"outcome": "interrupted", "finished_at": now, "error": INTERRUPTED}
    return record


def _read_run(fields: Fields) -> Values:
    # an export of before schema 0015 has none of these
    later: Values = {}
    if "attempt" in fields:
        later = {
            "attempt": fields.count("attempt"),
            "queued_at": fields.optional_number("queued_at"),
            "heartbeat_at": fields.optional_number("heartbeat_at"),
            "host": fields.foreign_text("host"),
            "wish": fields.optional_text("wish"),
            "pages": fields.count("pages", MOST),
            "bytes": fields.count("bytes", MOST),
            "retries": fields.count("retries", MOST),
            "rejected": fields.count("rejected", MOST),
            "waited": fields.number("waited"),
        }
    if "lane" in fields:  # 0016
        later |= {"lane": fields.text("lane")}
    return later | {
        "id": fields.identifier("id"),
        "job": fields.text("job"),
        "account": fields.text("account"),
        "due_at": fields.optional_number("due_at"),
        "started_at": fields.number("started_at"),
        "deadline_at": fields.optional_number("deadline_at"),
        "finished_at": fields.optional_number("finished_at"),
        "outcome": fields.choice("outcome", *OUTCOMES),
        "error": fields.foreign_text("error"),
        "records": fields.count("records", MOST),
        "batches": fields.count("batches", MOST),
        "tokens": fields.count("tokens"),
        "cursor": fields.optional_text("cursor"),
        "owner": fields.text("owner"),
    }


def _read_job(fields: Fields) -> Values:
    # an export of before schema 0016 has no last slots
    later: Values = {}
    if "slot_at" in fields:
        later = {"slot_at": fields.optional_number("slot_at")}
    return later | {"name": fields.text("name"), "paused_at": fields.optional_number("paused_at")}


def _read_metadata(fields: Fields) -> Values:
    values: Values = {
        "provider": fields.text("provider"),
        "issuer": fields.text("issuer"),
        "document": fields.text("document"),
        "pinned_at": fields.number("pinned_at"),
    }
    try:
        is_object = isinstance(json.loads(str(values["document"])), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        fields.reject("document", "is no JSON object")
    return values


def _read_halt(fields: Fields) -> Values:
    return {
        "provider": fields.text("provider"),
        "halted_until": fields.number("halted_until"),
        "since": fields.number("since"),
        "message": fields.foreign_text("message") or "",
        "rejected": fields.foreign_text("rejected"),
    }


def _kind(
    name: str,
    table: str,
    key: str,
    read: Callable[[Fields], Values],
    record: Callable[[Row[Any], float], Mapping[str, object]] = _all_columns,
) -> Kind:
    found = SQLModel.metadata.tables[table]
    return Kind(name=name, table=found, key=found.c[key], record=record, read=read)


#: In the order in which they are written.
KINDS: Final = (
    _kind("paused_job", "job", "name", _read_job),
    _kind("run", "run", "id", _read_run, _run_record),
    _kind("metadata", "authorization_server_metadata", "provider", _read_metadata),
    _kind("halt", "provider_halt", "provider", _read_halt),
)
