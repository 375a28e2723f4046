"""Key files: read and written so that nobody else can, and nothing is ever overwritten.

A key file is a regular file of ours, 0600 from the first byte, reached through no link, in a folder
where others cannot replace it (CHECKLIST 128). It appears whole or not at all.
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from connector.errors import VaultSealed

#: A key is some fifty characters; what is larger is another file.
LARGEST_KEY_FILE: Final = 4096


def read_key_file(path: Path) -> str | None:
    """Read a key file, or None where there is none.

    Raises:
        VaultSealed: as `read_private_file`.
    """
    content = read_private_file(path)
    return None if content is None else content.decode("ascii", "replace").strip()


def read_private_file(path: Path) -> bytes | None:
    """Read a small file of ours that holds a secret, or None where there is none.

    Raises:
        VaultSealed: it is a link, belongs to another user, others may read or replace it, or it
            is too large.
    """
    try:
        # O_NONBLOCK: a named pipe in its place must not hang us
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if path.is_symlink():
            raise VaultSealed(f"{path} is a link", "Name the file itself.") from None
        raise VaultSealed(f"{path} cannot be read: {error.strerror}") from None
    try:
        _check(path, os.fstat(descriptor))
        return check_size(os.read(descriptor, LARGEST_KEY_FILE + 1), str(path))
    finally:
        os.close(descriptor)


def check_size(content: bytes, where: str) -> bytes:
    """Refuse what is larger than a secret of ours; a part of one must not pass for it.

    Args:
        content: up to `LARGEST_KEY_FILE` bytes, or more where there are more.
        where: it was read, for people.

    Raises:
        VaultSealed: it is.
    """
    if len(content) > LARGEST_KEY_FILE:
        raise VaultSealed(
            f"{where} has more than {LARGEST_KEY_FILE} bytes",
            "Name a file that holds the secret alone.",
        )
    return content


def write_key_file(path: Path, text: str) -> None:
    """Write a new key file, durable at return; one that is there is left as it is.

    Raises:
        VaultSealed: it cannot be written.
    """
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        make_private_folder(path.parent)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            link_new(new, path)
        finally:
            new.unlink()
    except FileExistsError:  # another process was first: its key is as good
        return
    except OSError as error:
        raise VaultSealed(f"{path} cannot be written: {error.strerror}") from None


def link_new(new: Path, path: Path) -> None:
    """Let a finished file appear under its name, durably, and never over another one.

    Raises:
        FileExistsError: there is one of that name.
        OSError: the file system does not take it.
    """
    os.link(new, path, follow_symlinks=False)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def make_private_folder(folder: Path) -> None:
    """Make a folder where there is none, and those above it, each readable by us alone.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.exists():
        make_private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in {os.geteuid(), 0}:
        raise VaultSealed(f"{path} is not a regular file of yours")
    if status.st_mode & 0o077:
        raise VaultSealed(f"{path} is open to others", f"Type: chmod 600 {path}")
    folder = path.parent.stat()
    # with the sticky bit (/tmp) others can add files and not replace ours
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise VaultSealed(
            f"{path} lies in a folder that everybody may write to",
            f"Type: chmod o-w {path.parent}",
        )
