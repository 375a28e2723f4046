"""What kind of file system a path lies on, as Linux says it (proc(5), mountinfo).

Elsewhere, and where it cannot be read, nothing is known, and nothing is refused.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

MOUNTS: Final = Path("/proc/self/mountinfo")
#: Other hosts write there too: SQLite's locks and shared memory do not reach them (CHECKLIST 141;
#: https://sqlite.org/wal.html, "all processes must be on the same host").
NETWORK: Final = frozenset(
    {
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)


def network_type(path: Path, mounts: Path = MOUNTS) -> str | None:
    """Give the type of the file system of a path where other hosts share it.

    Args:
        path: of a file or folder that need not be there yet.
        mounts: what is mounted, in the form of mountinfo; where it is absent nothing is known.
    """
    return type_among(NETWORK, path, mounts)


def type_among(kinds: Collection[str], path: Path, mounts: Path = MOUNTS) -> str | None:
    """Give the type of the file system of a path where it is one of some types.

    Args:
        kinds: which types.
        path: of a file or folder that need not be there yet.
        mounts: what is mounted, in the form of mountinfo; where it is absent nothing is known.
    """
    try:
        device = _device_of(path)
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    found = (kind for number, kind in _mounted(lines) if number == device)
    return next((kind for kind in found if kind in kinds), None)


def _device_of(path: Path) -> int:
    """Give the device of a path, or of the nearest folder above it that is there.

    Raises:
        OSError: it cannot be looked at.
    """
    place = path.resolve()
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.stat().st_dev


def _mounted(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Give the device and type of each file system of a mountinfo."""
    for line in lines:
        mount, _, rest = line.partition(" - ")
        fields, kind = mount.split(), rest.partition(" ")[0]
        if len(fields) > 2:
            major, _, minor = fields[2].partition(":")
            if major.isdecimal() and minor.isdecimal():
                yield os.makedev(int(major), int(minor)), kind
