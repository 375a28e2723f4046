"""How far the audit trail had come, outside the database: it shows one whose end was cut off.

A chain shows what is missing before its last row, and not that rows after it were. So whoever
appends notes number and chain of its last row in a file beside the journal, which all processes of
this host share. It is no promise: another host has its own, whoever may write to that folder can
change it, and where the file cannot be written nothing is noticed.
"""

import contextlib
import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connector.store.audit_chain import CHAIN_BYTES, Head

#: Number and chain; a digest of both follows.
_HEAD: Final = struct.Struct(f">Q{CHAIN_BYTES}s")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class AuditMark:
    """The mark of one store in one folder.

    Args:
        folder: of the journal; made when it is first needed.
        store_id: of the store whose trail it is.
    """

    def __init__(self, folder: Path, store_id: str) -> None:
        self.path = folder / f"audit-{store_id[:16]}.mark"

    def read(self) -> Head | None:
        """Give what was noted last, or None."""
        with contextlib.suppress(OSError), self._opened(os.O_RDONLY) as descriptor:
            return _read(descriptor)
        return None

    def note(self, head: Head) -> None:
        """Note a head that is committed; an older one than was noted changes nothing."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._opened(os.O_RDWR | os.O_CREAT) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # until it is closed
                noted = _read(descriptor)
                if noted is None or noted.number < head.number:
                    body = _HEAD.pack(head.number, head.chain)
                    os.pwrite(descriptor, body + hashlib.sha256(body).digest(), 0)

    @contextlib.contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        """Open it each time: who has looked into what was lost removes it under us."""
        descriptor = os.open(self.path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _read(descriptor: int) -> Head | None:
    found = os.pread(descriptor, _HEAD.size + _DIGEST_BYTES, 0)
    body, digest = found[: _HEAD.size], found[_HEAD.size :]
    if hashlib.sha256(body).digest() != digest:  # what a power cut has torn is no mark
        return None
    number, chain = _HEAD.unpack(body)
    return Head(number=number, chain=chain)
