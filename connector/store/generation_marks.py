"""How far each account's tokens had come, outside the database: it shows one that has gone back.

A restored backup, or a standby that lagged, holds refresh tokens that have been replaced since; to
send one can end the grant. So whoever commits tokens notes their generation in a file beside the
journal, one slot for each account (a digest of its identifier, the generation), which all processes
of this host share. It is no promise: a power cut may lose the last marks, another host has its own,
and where the file cannot be written nothing is noticed.
"""

import contextlib
import fcntl
import hashlib
import os
import struct
from pathlib import Path
from typing import Final

_NAME: Final = "generations.marks"
_SLOT: Final = struct.Struct(">16sQ")
_GENERATION: Final = struct.Struct(">Q")
_DIGEST_SIZE: Final = _SLOT.size - _GENERATION.size


class GenerationMarks:
    """The marks of one folder.

    Args:
        folder: of the journal; made when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        self._slots: dict[bytes, int] = {}
        self._end = 0

    def note(self, account_id: str, generation: int) -> None:
        """Note the generation that was committed last; a lower one than before as well."""
        with contextlib.suppress(OSError):
            descriptor = self._opened()
            key = _digest(account_id)
            place = self._find(key)
            if place is None:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                try:
                    place = self._find(key)  # another process may have been faster
                    if place is None:
                        os.pwrite(descriptor, _SLOT.pack(key, generation), self._end)
                        return
                finally:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.pwrite(descriptor, _GENERATION.pack(generation), place + _DIGEST_SIZE)

    def newer(self, account_id: str, generation: int) -> int | None:
        """Give the generation that was noted where it is a higher one, else None."""
        with contextlib.suppress(OSError):
            descriptor = self._opened()
            place = self._find(_digest(account_id))
            if place is not None:
                found = os.pread(descriptor, _GENERATION.size, place + _DIGEST_SIZE)
                (noted,) = _GENERATION.unpack(found)
                return int(noted) if noted > generation else None
        return None

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._slots, self._end = {}, 0

    def _opened(self) -> int:
        if self._descriptor is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._folder / _NAME, flags, 0o600)
        return self._descriptor

    def _find(self, key: bytes) -> int | None:
        """Find a slot, also one that another process has made since the last look."""
        place = self._slots.get(key)
        if place is None and self._descriptor is not None:
            size = os.fstat(self._descriptor).st_size
            added = os.pread(self._descriptor, size - self._end, self._end)
            for start in range(0, len(added) - _SLOT.size + 1, _SLOT.size):
                self._slots[added[start : start + _DIGEST_SIZE]] = self._end + start
            self._end += len(added) - len(added) % _SLOT.size
            place = self._slots.get(key)
        return place


def _digest(account_id: str) -> bytes:
    return hashlib.sha256(account_id.encode()).digest()[:_DIGEST_SIZE]
