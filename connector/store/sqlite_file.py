"""The file of a SQLite vault: made private, whole and marked as ours; checked before it is opened.

A new file appears under its name only when it is in WAL mode and bears our mark, so that no other
process ever sees half of one. It is checked by its name alone: closing a descriptor of a database
file lets go of every lock that this process has on it (SQLite, "How To Corrupt", 2.2), and with
them of commits that another process then removes.
"""

import os
import secrets
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Final

from connector.errors import VaultSealed
from connector.file_systems import network_type
from connector.vault.key_file import link_new, make_private_folder

#: "CNCT": marks a SQLite file as ours (PRAGMA application_id).
APPLICATION_ID: Final = 0x434E4354
#: What SQLite keeps beside a database; a rollback journal only where WAL mode is not on yet.
_COMPANIONS: Final = ("-wal", "-shm", "-journal")


def prepare_file(path: Path) -> bool:
    """Create a SQLite file 0600 before it has content, or check the one that is there.

    Returns:
        Whether it was created.

    Raises:
        VaultSealed: it is a link, belongs to another user, is open to others, or lies on a file
            system that other hosts share.
    """
    _refuse_network(path)
    if os.path.lexists(path):
        check_file(path)
        return False
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        make_private_folder(path.parent)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        try:
            _mark(new)
            link_new(new, path)
        finally:
            for suffix in ("", *_COMPANIONS):
                new.with_name(new.name + suffix).unlink(missing_ok=True)
    except FileExistsError:  # another process was first
        check_file(path)
        return False
    except OSError as error:
        raise VaultSealed(f"{path} cannot be created: {error.strerror}") from None
    except sqlite3.Error as error:
        raise VaultSealed(f"{path} cannot be created: {error}") from None
    return True


def check_file(path: Path) -> None:
    """Check kind, owner and mode of a SQLite file and of what lies beside it.

    Whether it is a database, and ours, is checked when it is opened.

    Raises:
        VaultSealed: says what is wrong and what to type.
    """
    _refuse_network(path)
    try:
        _check(path)
    except OSError as error:
        raise VaultSealed(f"{path} cannot be read: {error.strerror}") from None
    for suffix in _COMPANIONS:
        try:
            _check(path.with_name(path.name + suffix))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise VaultSealed(f"{path}{suffix} cannot be read: {error.strerror}") from None


def _refuse_network(path: Path) -> None:
    """Refuse a place where another host may write what this one locks (CHECKLIST 141)."""
    kind = network_type(path)
    if kind is not None:
        raise VaultSealed(
            f"{path} is on a network file system ({kind}), where SQLite's locks do not hold",
            "Put the vault on a disk of this machine, or use Postgres.",
        )


def _mark(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA journal_mode = WAL")


def _check(path: Path) -> None:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise VaultSealed(f"{path} is not a regular file")
    if status.st_uid != os.geteuid() and os.geteuid() != 0:
        raise VaultSealed(f"{path} belongs to another user")
    if status.st_mode & 0o077:
        raise VaultSealed(f"{path} is open to others", f"Type: chmod 600 {path}")
