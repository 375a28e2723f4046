"""Reads an export to its end and says all that is wrong with it, before anything is written.

What is kept of it is little: which accounts it has, and the digest by which the second reading,
that of the import, is known to be of the same lines.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from connector.secret import Secret
from connector.store.export_account import ExportedAccount, read_exported
from connector.store.export_fields import Fields
from connector.store.export_format import ExportReader
from connector.store.export_rows import KINDS, Kind, Values, read_debt
from connector.store.revocations import RevocationDebt

_KINDS: Final = {kind.name: kind for kind in KINDS}

Line = ExportedAccount | RevocationDebt | tuple[Kind, Values]

#: Told what is wrong: in which line, of which account if it is one, and what.
Reject = Callable[[int, str, str], None]


@dataclass(kw_only=True)
class Checked:
    """What an export has.

    Attributes:
        digest: of its lines.
        head: its first line.
        names: of its accounts, by their identifiers.
        providers: of its accounts.
        counts: lines by kind.
        problems: what is wrong: where, and what.
    """

    digest: str = ""
    head: Mapping[str, object] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    providers: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)


def check_export(reader: ExportReader) -> Checked:
    """Read an export to its end.

    Raises:
        ExportError: it is not whole.
    """
    checked = Checked(head=reader.head)

    def reject(number: int, account: str, message: str) -> None:
        where = f"line {number}" + (f", account {account}" if account else "")
        checked.problems.append((where, message))

    seen: set[str] = set()
    for number, line in read_lines(reader, reject):
        if isinstance(line, ExportedAccount):
            checked.counts["account"] += 1
            if line.id in checked.names or line.name in seen:
                reject(number, line.name, "is there twice")
            checked.names[line.id] = line.name
            checked.providers.add(line.provider)
            seen.add(line.name)
        else:
            checked.counts["revocation" if isinstance(line, RevocationDebt) else line[0].name] += 1
    checked.digest = reader.digest
    return checked


def read_lines(reader: ExportReader, reject: Reject) -> Iterator[tuple[int, Line]]:
    """Read the lines of an export; what is wrong with one is told, and it is left out.

    Raises:
        ExportError: it is not whole.
    """
    for number, kind, record in reader.records():
        problems: list[str] = []
        line = _read(kind, Fields(record, problems))
        if line is None:
            reject(number, "", f"is of a kind that this version does not know: {kind!r}")
            continue
        name = line.name if isinstance(line, ExportedAccount) else ""
        for problem in problems:
            reject(number, name, problem)
        if not problems:
            yield number, line


def _read(kind: str, fields: Fields) -> Line | None:
    if kind == "account":
        account = read_exported(fields)
        if account.tokens is not None and not _is_table(account.tokens.extra):
            fields.reject("tokens.extra", "is no JSON object")
        return account
    if kind == "revocation":
        return read_debt(fields)
    found = _KINDS.get(kind)
    if found is None:
        return None
    values = found.read(fields)
    fields.finish()
    return found, values


def _is_table(text: Secret | None) -> bool:
    try:
        return text is None or isinstance(json.loads(text.reveal()), dict)
    except (ValueError, RecursionError):
        return False
