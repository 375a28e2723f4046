"""Which boot of this machine it is."""

from pathlib import Path


def boot_id() -> str | None:
    """Give the kernel's identifier of this boot (proc(5), ``boot_id``); None: it has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
