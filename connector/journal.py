"""What must survive a crash, or a database that is away: answers that could not be committed.

A folder of small files, 0600. A process that is about to send a refresh holds one of them (flock),
allocated and synced beforehand, so that keeping an answer needs neither the database nor free
space. A record is one sealed write, fsynced before anybody gets the token that it holds:

    length (4 bytes) · state (1 byte) · SHA-256 of the body (32) · body: header line, payload

A length of zero ends the list; a torn record fails its digest and ends it too. The file of a dead
process is taken over by the next one that needs a file, with the records that it holds. Everybody
on this host may read all files: to apply a write twice changes nothing, to miss one could cost the
grant. Payloads are opaque here, and hold no secret in clear.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from connector.errors import TemporarilyUnavailable

#: Room for some dozens of answers; a larger need makes the file grow, if the disk lets it.
ALLOCATED: Final = 256 * 1024
_MAGIC: Final = b"CONNECTOR JOURNAL 1\n"
_KEPT: Final = b"K"
_SETTLED: Final = b"S"
_HEAD: Final = struct.Struct(">Ic32s")
_END: Final = b"\0" * 4
_SUFFIX: Final = ".journal"
#: More files than processes ever held at once mean that something else is wrong.
_MOST_FILES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One kept answer.

    Attributes:
        account_id: whose.
        generation: that the account's row had when it was sent.
        payload: what is to be written.
    """

    account_id: str
    generation: int
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """A record and where its state byte stands."""

    record: Record
    state_at: int
    is_settled: bool
    end: int


class Journal:
    """One process's part of a journal folder.

    Args:
        folder: where the files are; made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own: _File | None = None
        self._adopted: list[_File] = []

    @property
    def is_prepared(self) -> bool:
        """Whether a file is held."""
        return self._own is not None

    def prepare(self) -> None:
        """Hold a file, so that an answer can be kept whatever happens; nothing where one is held.

        Raises:
            TemporarilyUnavailable: the folder cannot be written, or the disk is full.
        """
        if self._own is not None:
            return
        with self._converted():
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for number in range(_MOST_FILES):
                descriptor = _hold(self.folder / f"{number}{_SUFFIX}")
                if descriptor is not None:
                    self._own = _File(descriptor)
                    return
        raise TemporarilyUnavailable(f"the journal {self.folder} holds too many files")

    def keep(self, record: Record) -> None:
        """Make a record durable.

        Raises:
            TemporarilyUnavailable: it could not be written.
        """
        with self._converted():
            self.prepare()
            assert self._own is not None  # noqa: S101 - prepared
            self._own.keep(record)

    def held(self) -> list[Record]:
        """Give the records of this process that are not settled, inherited ones included.

        The event loop asks for them: it does not wait for a disk here.
        """
        return [record for file in self._files() for record in file.held()]

    def find(self, account_id: str, generation: int) -> Record | None:
        """Find a record in any file of the folder.

        Raises:
            TemporarilyUnavailable: the folder cannot be read.
        """
        with self._converted():
            for record in (stored.record for stored in self._everywhere()):
                if (record.account_id, record.generation) == (account_id, generation):
                    return record
        return None

    def waiting(self) -> list[Record]:
        """Give those of all files that are not settled; errors as of `find`."""
        with self._converted():
            return [stored.record for stored in self._everywhere() if not stored.is_settled]

    def _everywhere(self) -> Iterator[_Stored]:
        for path in self.folder.glob(f"*{_SUFFIX}"):
            yield from _read(path.read_bytes())

    def settle(self, record: Record) -> None:
        """Forget a record: it was applied, or somebody else wrote newer tokens.

        Where that cannot be written it stays, and is applied in vain some day.
        """
        for file in self._files():
            file.settle(record)
        for file in [file for file in self._adopted if not file.held()]:
            self._adopted.remove(file)
            file.close()

    def adopt(self) -> None:
        """Take over what processes that have ended left in other files.

        The files are held, not copied: whoever looks for a record must find it at every moment.

        Raises:
            TemporarilyUnavailable: the folder cannot be used; what was left is still there.
        """
        with self._converted():
            for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
                descriptor = _hold(path)
                if descriptor is None:  # another process's, or our own
                    continue
                file = _File(descriptor)
                if file.held():
                    self._adopted.append(file)
                else:
                    file.close()

    def close(self) -> None:
        """Let go of the files; what they hold stays for the next one."""
        for file in self._files():
            file.close()
        self._own, self._adopted = None, []

    def _files(self) -> list["_File"]:
        return [self._own, *self._adopted] if self._own else self._adopted[:]

    @contextlib.contextmanager
    def _converted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"the journal {self.folder} cannot be used: {error.strerror or error}"
            raise TemporarilyUnavailable(reason) from None


class _File:
    """A file that is held, with what its last owner left.

    Args:
        descriptor: of the file, locked; closed where it cannot be made ready.

    Raises:
        OSError: there is no room for it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        try:
            found = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
            if len(found) < ALLOCATED:
                os.posix_fallocate(descriptor, 0, ALLOCATED)
            self._stored = list(_read(found))
            self._end = self._stored[-1].end if self._stored else len(_MAGIC)
            if not self.held():
                self._empty()
        except BaseException:
            os.close(descriptor)
            raise

    def keep(self, record: Record) -> None:
        """Append a record; it is there once its length is, which is written last."""
        header = json.dumps({"account_id": record.account_id, "generation": record.generation})
        body = header.encode() + b"\n" + record.payload
        head = _HEAD.pack(len(body), _KEPT, hashlib.sha256(body).digest())
        _write(self._descriptor, self._end + len(_END), head[len(_END) :] + body + _END)
        os.fsync(self._descriptor)
        _write(self._descriptor, self._end, head[: len(_END)])
        os.fsync(self._descriptor)
        stored = _Stored(
            record=record,
            state_at=self._end + len(_END),
            is_settled=False,
            end=self._end + len(head) + len(body),
        )
        self._stored.append(stored)
        self._end = stored.end

    def held(self) -> list[Record]:
        """Give the records that are not settled."""
        return [stored.record for stored in tuple(self._stored) if not stored.is_settled]

    def settle(self, record: Record) -> None:
        """Forget a record, and all of them where none is left that is not settled."""
        for place, stored in enumerate(self._stored):
            if stored.record == record:
                self._stored[place] = replace(stored, is_settled=True)
                with contextlib.suppress(OSError):
                    _write(self._descriptor, stored.state_at, _SETTLED)
        if self._stored and not self.held():
            with contextlib.suppress(OSError):
                self._empty()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def _empty(self) -> None:
        _write(self._descriptor, 0, _MAGIC + _END)
        os.fsync(self._descriptor)
        self._stored, self._end = [], len(_MAGIC)


def _hold(path: Path) -> int | None:
    """Open a file and lock it; None where another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _write(descriptor: int, offset: int, data: bytes) -> None:
    """Write all of it, however often that takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset, view = offset + written, view[written:]


def _read(data: bytes) -> Iterator[_Stored]:
    """Read records up to the end of the list, or to the first that is torn."""
    place = len(_MAGIC) if data.startswith(_MAGIC) else len(data)
    while place + _HEAD.size <= len(data):
        length, state, digest = _HEAD.unpack_from(data, place)
        body = data[place + _HEAD.size : place + _HEAD.size + length]
        if length == 0 or len(body) < length or hashlib.sha256(body).digest() != digest:
            return
        end, record = place + _HEAD.size + length, _record(body)
        if record is not None:
            at, over = place + len(_END), state == _SETTLED
            yield _Stored(record=record, state_at=at, is_settled=over, end=end)
        place = end


def _record(body: bytes) -> Record | None:
    """Read a record's body; None where it is not ours, though its digest fits."""
    header, _, payload = body.partition(b"\n")
    try:
        names = json.loads(header)
        account_id, generation = names["account_id"], names["generation"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    if type(account_id) is not str or type(generation) is not int:
        return None
    return Record(account_id=account_id, generation=generation, payload=payload)
