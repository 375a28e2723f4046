"""What stands in an export, before it is encrypted: JSON Lines, versioned (docs/adr/0016).

    {"kind": "vault", "format": "connector-vault-export", "version": 1, "store_id": …, …}
    {"kind": "account", …}        one line for each account, debt, paused job, run, pin and halt
    {"kind": "end", "counts": {"account": 1, …}, "sha256": "…"}

The last line has the digest of all bytes before it, so that a part is not taken for the whole
whatever it was encrypted with. A program reads the versions that it knows and refuses later ones.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from connector.oauth.strict_json import parse_json_object

FORMAT: Final = "connector-vault-export"
VERSION: Final = 1
#: Of one line: a provider's metadata and the further fields of a token answer have at most 1 MiB.
LONGEST_LINE: Final = 8 * 1024 * 1024

_FIRST: Final = "vault"
_LAST: Final = "end"

Record = Mapping[str, object]


class ExportError(Exception):
    """It is no export, of a later version, or not a whole one; the message says which."""


class ExportLines:
    """Writes the lines of an export.

    Args:
        write: takes bytes.
        head: fields of the first line: where the export comes from.

    Attributes:
        counts: how many lines of each kind were written.
    """

    def __init__(self, write: Callable[[bytes], object], head: Record) -> None:
        self.counts: Counter[str] = Counter()
        self._write = write
        self._digest = hashlib.sha256()
        self._line({"kind": _FIRST, "format": FORMAT, "version": VERSION, **head})

    def add(self, kind: str, record: Record) -> None:
        """Write one line."""
        self._line({"kind": kind, **record})
        self.counts[kind] += 1

    def finish(self) -> None:
        """Write the last line."""
        digest = self._digest.hexdigest()
        self._line({"kind": _LAST, "counts": dict(sorted(self.counts.items())), "sha256": digest})

    def _line(self, record: Record) -> None:
        # ASCII, so that even what is no text (a lone surrogate in a token) comes back as it was
        line = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        self._digest.update(line)
        self._write(line)


class ExportReader:
    """Reads the lines of an export; that it was whole is known at the end of `records`.

    Args:
        chunks: of its plaintext.

    Raises:
        ExportError: it is none, or of a later version.

    Attributes:
        head: the first line.
        digest: of all but the last line, once that was reached.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._lines = _lines(chunks)
        self._sha256 = hashlib.sha256()
        self.digest = ""
        number, line = next(self._lines, (0, b""))
        self._sha256.update(line)
        self.head: Record = _parse(number, line) if number else {}
        if self.head.get("kind") != _FIRST or self.head.get("format") != FORMAT:
            raise ExportError("it is no export of Connector")
        version = self.head.get("version")
        if type(version) is not int or not 1 <= version <= VERSION:
            raise ExportError(
                f"it is of version {version!r}, and this program reads up to {VERSION}: install the"
                " version of Connector that wrote it, or a newer one"
            )

    def records(self) -> Iterator[tuple[int, str, dict[str, object]]]:
        """Give the lines between the first and the last: their number, kind and fields.

        Raises:
            ExportError: a line is malformed, or the export is not whole.
        """
        counts: Counter[str] = Counter()
        for number, line in self._lines:
            record = _parse(number, line)
            kind = record.pop("kind", None)
            if kind == _LAST:
                self._end(record, counts)
                return
            if not isinstance(kind, str):
                raise ExportError(f"line {number} has no kind")
            self._sha256.update(line)
            counts[kind] += 1
            yield number, kind, record
        raise ExportError("it is cut off: its last line is missing")

    def _end(self, record: Record, counts: Counter[str]) -> None:
        digest = self._sha256.hexdigest()
        if record.get("sha256") != digest or record.get("counts") != dict(counts):
            raise ExportError("its lines are not those that were written: its digest is another")
        if next(self._lines, None) is not None:
            raise ExportError("something follows its last line")
        self.digest = digest


def _lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Give whole lines and their numbers; what follows the last line's end is a line as well."""
    number, rest = 0, bytearray()
    for chunk in chunks:
        rest += chunk
        if b"\n" in chunk:
            *whole, last = rest.split(b"\n")
            for line in whole:
                number += 1
                yield number, bytes(line) + b"\n"
            rest = last
        if len(rest) > LONGEST_LINE:
            raise ExportError(f"line {number + 1} is too long")
    if rest:
        yield number + 1, bytes(rest)


def _parse(number: int, line: bytes) -> dict[str, object]:
    try:
        return parse_json_object(line)
    except ValueError as error:
        raise ExportError(f"line {number} is {error}") from None
