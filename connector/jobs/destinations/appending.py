"""A file of lines of which a database says how many bytes are committed; the rest is cut off."""

import contextlib
import os
import zlib
from pathlib import Path
from typing import Final

#: So much of a file is read at once (bytes).
_CHUNK: Final = 2**20
_IS_SHORTER: Final = "is shorter than what was committed"


class NotSynced(OSError):
    """A disk does not take what was written: any of it since the last time may be lost."""


class CommittedFile:
    """A file that grows by whole commits.

    Args:
        path: of the file.
        state: of the database that knows its length, for messages.
    """

    def __init__(self, path: Path, state: str) -> None:
        self.path = path
        self._state = state

    def found(self) -> int:
        """Give the length of a file that was there before its state: its lines are kept.

        Raises:
            OSError: its last line is no whole line.
        """
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            descriptor = file.fileno()
            length = os.fstat(descriptor).st_size
            self._check(descriptor, length, length)
        return length

    def append(self, committed: int, data: bytes, *, is_synced: bool = True) -> int:
        """Cut off what was not committed, append, sync; give the new length.

        Args:
            committed: length of what was (bytes).
            data: whole lines.
            is_synced: wait until they are on the disk.

        Raises:
            NotSynced: the disk does not take it.
            OSError: it cannot be written, or was changed by hand.
        """
        descriptor = self._open()
        try:
            length = os.fstat(descriptor).st_size
            self._check(descriptor, length, committed)
            if length > committed:
                os.ftruncate(descriptor, committed)
            left, place = memoryview(data), committed
            try:
                while left:
                    written = os.pwrite(descriptor, left, place)
                    left, place = left[written:], place + written
                if is_synced and (data or length > committed):
                    _sync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):  # nobody reads half a line
                    os.ftruncate(descriptor, committed)
                raise
        finally:
            os.close(descriptor)
        return committed + len(data)

    def check(self, committed: int) -> None:
        """Check that what was committed is there; nothing is written.

        Raises:
            OSError: it was changed by hand, or cannot be read.
        """
        if not committed:
            return
        try:
            with self.path.open("rb") as file:
                descriptor = file.fileno()
                self._check(descriptor, os.fstat(descriptor).st_size, committed)
        except FileNotFoundError:
            raise OSError(self._changed(_IS_SHORTER)) from None

    def sync(self) -> None:
        """Wait until what was appended is on the disk.

        Raises:
            NotSynced: it cannot be.
            OSError: it is not there.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)

    def checksum(self, start: int, end: int) -> int:
        """Give the CRC-32 of a part of the file, as far as it is there.

        Raises:
            OSError: it cannot be read.
        """
        found = 0
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                while chunk := file.read(min(_CHUNK, end - file.tell())):
                    found = zlib.crc32(chunk, found)
        except FileNotFoundError:
            return 0
        return found

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            return os.open(self.path, flags)
        except FileNotFoundError:
            descriptor = os.open(self.path, flags | os.O_CREAT, 0o644)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # its name outlives a power cut too
        finally:
            os.close(folder)
        return descriptor

    def _check(self, descriptor: int, length: int, committed: int) -> None:
        """Check that what was committed is there, and that a line ends with it.

        Raises:
            OSError: it is not, or none does.
        """
        if length < committed:
            raise OSError(self._changed(_IS_SHORTER))
        if committed and os.pread(descriptor, 1, committed - 1) != b"\n":
            raise OSError(self._changed("has no line that ends where the last commit did"))

    def _changed(self, how: str) -> str:
        return (
            f"{self.path} {how}: it was changed by hand; move it away together with {self._state}"
        )


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        raise NotSynced(*error.args) from None
