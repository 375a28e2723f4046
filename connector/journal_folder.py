"""Where a journal may be: in a folder of ours alone, on no file system that a restart empties.

An answer that is kept there counts as durable, and may be all that is left of a grant. On Linux the
kernel says what a folder lies on (proc(5), mountinfo); elsewhere nothing is checked. A layer over
another file system (overlayfs and its like) is taken for durable. Beside a SQLite vault that lies
on such a file system itself the journal may lie as well: it is as durable as what it is for.
"""

import os
from pathlib import Path
from typing import Final

from connector.errors import ConfigurationError, Problem, VaultSealed
from connector.file_systems import MOUNTS, type_among

#: They live in memory.
VOLATILE: Final = frozenset({"tmpfs", "ramfs"})


def volatile_type(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Give the type of the file system that a path lies on, or will lie on, where it is volatile.

    Args:
        path: of a file or folder that need not be there yet.
        mounts: what is mounted, in the form of mountinfo; where it is absent nothing is known.
    """
    return type_among(VOLATILE, path, mounts)


def check_journal(
    folder: Path,
    *,
    database: Path | None,
    is_volatile_allowed: bool,
    source: str,
    mounts: Path = MOUNTS,
) -> None:
    """Refuse a journal that a restart would empty.

    Args:
        folder: of the journal.
        database: the file of a SQLite vault; None: the vault is elsewhere.
        is_volatile_allowed: the configuration says that it does not matter.
        source: the configuration's name.
        mounts: see `volatile_type`.

    Raises:
        ConfigurationError: it is on such a file system, and the vault is not.
    """
    if is_volatile_allowed:
        return
    kind = volatile_type(folder, mounts)
    if kind is None or (database is not None and volatile_type(database, mounts) is not None):
        return
    raise ConfigurationError(
        [
            Problem(
                source,
                "vault.journal",
                f"{folder} is on a {kind}, which a restart of this machine empties; answers kept"
                " there count as durable",
                "name a folder on a disk; for tests: allow_volatile_journal = true",
            )
        ]
    )


def check_mode(folder: Path) -> None:
    """Refuse a journal that others may enter: what may be all that is left of a grant lies there.

    One that is not there yet is made for its owner alone. It is not changed here: it may be another
    program's folder.

    Raises:
        VaultSealed: it belongs to another user, or others may enter it (CHECKLIST 137).
    """
    try:
        status = folder.stat()
    except OSError:
        return  # it is made, or told of, when it is needed
    if status.st_uid != os.geteuid() and os.geteuid() != 0:
        raise VaultSealed(f"the journal {folder} belongs to another user")
    if status.st_mode & 0o077:
        raise VaultSealed(f"the journal {folder} is open to others", f"Type: chmod 700 {folder}")
