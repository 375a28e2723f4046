"""Reads accounts that another program kept: JSON (a list of objects) or CSV with a first line.

Fields: ``provider``, ``account``, ``refresh_token``, ``access_token``, ``scope``, ``expiry`` (when
the *access* token ends, as in google-auth and golang/oauth2) and ``consent_ends_at`` (when the
refresh token ends, where that is known). Moments are RFC 3339 with a time zone, or seconds since
the epoch. Whatever is wrong is told with its line; no token is quoted.
"""

import csv
import difflib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NoReturn

from connector.account_name import check_account_name
from connector.oauth.strict_json import unique_pairs
from connector.secret import Secret

FIELDS: Final = (
    "provider",
    "account",
    "refresh_token",
    "access_token",
    "scope",
    "expiry",
    "consent_ends_at",
)
#: What an access token's ``expiry`` says that has no end.
NEVER: Final = "never"
#: Seconds since the epoch until the year 5138; milliseconds of today are more.
_LATEST: Final = 100_000_000_000.0
_WHITESPACE: Final = " \t\r\n"

#: Told what is wrong: in which line, what, and what to do about it.
Reject = Callable[[int, str, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One account of the file.

    Attributes:
        line: where it begins.
        provider, account: names.
        refresh_token, access_token: as far as they are there.
        scope: None: not told.
        expiry: when the access token ends; None: not told, or never.
        is_endless: the access token has no end.
        consent_ends_at: when the refresh token ends, where it is told.
    """

    line: int
    provider: str
    account: str
    refresh_token: Secret | None = field(repr=False)
    access_token: Secret | None = field(repr=False)
    scope: tuple[str, ...] | None
    expiry: float | None
    is_endless: bool
    consent_ends_at: float | None


def read_accounts_file(data: bytes, provider: str | None, reject: Reject) -> list[Entry]:
    """Read a file.

    Args:
        data: the file.
        provider: of entries that name none.
        reject: is told what is wrong.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        reject(data.count(b"\n", 0, error.start) + 1, "is not UTF-8", "save the file as UTF-8")
        return []
    if "\0" in text:
        reject(text.count("\n", 0, text.index("\0")) + 1, "holds a NUL", "save it as plain UTF-8")
        return []
    is_json = text.lstrip(_WHITESPACE)[:1] in {"[", "{"}
    rows = _json_rows(text, reject) if is_json else _csv_rows(text, reject)
    entries = []
    for line, values in rows:
        entry = _Row(line, values, reject).entry(provider)
        if entry is not None:
            entries.append(entry)
    return entries


def _json_rows(text: str, reject: Reject) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Give the objects of a list, and the lines where they begin."""
    decoder = json.JSONDecoder(object_pairs_hook=unique_pairs, parse_constant=_refuse_constant)
    place = _skip(text, 0)
    if text[place] != "[":
        reject(1, "is one object", "put the accounts into a list: [{…}, {…}]")
        return
    place, is_first = _skip(text, place + 1), True
    while text[place : place + 1] != "]" or not is_first:
        is_first = False
        line = text.count("\n", 0, place) + 1
        try:
            value, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            reject(error.lineno, "is not JSON", f"look at column {error.colno}")
            return
        except (ValueError, RecursionError):
            reject(line, "is not JSON: a name occurs twice, or it is nested too deep", "")
            return
        if isinstance(value, dict):
            yield line, value
        else:
            reject(line, "is no object", "write {…} for each account")
        place = _skip(text, place)
        if text[place : place + 1] == "]":
            break
        if text[place : place + 1] != ",":
            reject(text.count("\n", 0, place) + 1, "is not JSON: the list has no end", "")
            return
        place = _skip(text, place + 1)
    if text[place + 1 :].strip(_WHITESPACE):
        reject(text.count("\n", 0, place) + 1, "is not JSON: something follows the list", "")


def _csv_rows(text: str, reject: Reject) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Give the lines below the first, whose cells name the columns; an empty cell says nothing."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    line = 1
    try:
        for cells in reader:
            first, line = line, reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = cells
                if not _is_header(header, first, reject):
                    return
            elif len(cells) != len(header):
                message = f"has {len(cells)} cells, and the first line names {len(header)} columns"
                reject(first, message, "put a cell with a comma into quotes")
            else:
                named = zip(header, cells, strict=True)
                yield first, {name: cell for name, cell in named if cell}
    except csv.Error as error:
        reject(reader.line_num, f"is not CSV: {error}", "")
        return
    if not header:
        reject(1, "is empty", f"the first line names the columns: {', '.join(FIELDS)}")


def _is_header(header: list[str], line: int, reject: Reject) -> bool:
    """Tell whether all columns are known; an unknown one is told once, not for each line."""
    unknown = [name for name in header if name not in FIELDS]
    for name in unknown:
        reject(line, f"names an unknown column: {name[:40]!r}", _nearest(name))
    twice = sorted({name for name in header if header.count(name) > 1})
    for name in twice:
        reject(line, f"names the column {name[:40]!r} twice", "")
    return not unknown and not twice


class _Row:
    """Reads the fields of one account.

    Args:
        line: where it begins.
        values: its fields.
        reject: is told what is wrong.
    """

    def __init__(self, line: int, values: Mapping[str, object], reject: Reject) -> None:
        self._line = line
        self._values = {name: value for name, value in values.items() if value is not None}
        self._tell = reject
        self._is_sound = True

    def entry(self, provider: str | None) -> Entry | None:
        """Give the account, or None where something is wrong with it."""
        for name in self._values:
            if name not in FIELDS:
                self._reject(f"has an unknown field: {name[:40]!r}", _nearest(name))
        is_endless = self._values.get("expiry") == NEVER
        entry = Entry(
            line=self._line,
            provider=self._text("provider", provider),
            account=self._account(),
            refresh_token=self._token("refresh_token"),
            access_token=self._token("access_token"),
            scope=self._scope(),
            expiry=None if is_endless else self._moment("expiry"),
            is_endless=is_endless,
            consent_ends_at=self._moment("consent_ends_at"),
        )
        return entry if self._is_sound else None

    def _text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or not value:
            remedy = "name one, or give --provider" if name == "provider" else ""
            self._reject(f"has no {name}", remedy)
            return ""
        return value

    def _account(self) -> str:
        name = self._text("account")
        try:
            return check_account_name(name) if name else ""
        except ValueError as error:
            self._reject(str(error), "")
            return name

    def _token(self, name: str) -> Secret | None:
        """Read a token: RFC 6749 appendix A lets it have printable ASCII only."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or not value:
            self._reject(f"has an empty {name}, or one that is no text", "leave it out, or give it")
        elif value.strip() != value:
            self._reject(f"has a {name} with a space or line break at its end", "")
        elif not all(" " <= character <= "~" for character in value):
            self._reject(f"has a {name} with characters that no token has", "")
        else:
            return Secret(value)
        return None

    def _scope(self) -> tuple[str, ...] | None:
        """Read scopes, joined by spaces or commas, or a list of them."""
        value = self._values.get("scope")
        if value is None:
            return None
        scopes = value.replace(",", " ").split() if isinstance(value, str) else value
        if isinstance(scopes, list) and all(
            isinstance(one, str) and one and all("!" <= c <= "~" and c not in '"\\' for c in one)
            for one in scopes
        ):
            return tuple(scopes) or None
        self._reject("has a scope that is none", "write scopes joined by spaces")
        return None

    def _moment(self, name: str) -> float | None:
        value = self._values.get(name)
        if value is None:
            return None
        seconds = _seconds(value)
        if seconds is None:
            self._reject(
                f"has {name} that is no moment",
                "write it as 2026-11-30T12:00:00Z, or as seconds since the epoch",
            )
        elif not 0 <= seconds < _LATEST:
            self._reject(f"has {name} out of range", "milliseconds? write seconds")
            return None
        return seconds

    def _reject(self, message: str, remedy: str) -> None:
        self._is_sound = False
        self._tell(self._line, message, remedy)


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return None if moment.tzinfo is None else moment.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _nearest(name: str) -> str:
    nearest = difflib.get_close_matches(name.strip().lower(), FIELDS, n=1)
    return f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(FIELDS)}"


def _skip(text: str, place: int) -> int:
    while text[place : place + 1] in set(_WHITESPACE):
        place += 1
    return place


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
