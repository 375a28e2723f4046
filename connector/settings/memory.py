"""Amounts of memory as people write them (``512 MiB``, ``2 GiB``), in bytes; and limits of runs."""

import re
from pathlib import Path
from typing import Final

from connector.toml_section import Section

MIB: Final = 1024 * 1024
BYTES_PER_UNIT: Final = {"MB": 10**6, "MiB": MIB, "GB": 10**9, "GiB": 1024 * MIB}
_GRAMMAR: Final = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>MiB|GiB|MB|GB)")

#: What an imported library or two take; less would be a run that cannot begin.
LEAST_MEMORY: Final = 16 * MIB
#: Where the kernel tells what a process takes of memory, however it is shared (Linux 4.14).
_TOLD_BY: Final = Path("/proc/self/smaps_rollup")


def parse_memory(text: str) -> int:
    """Read an amount of memory, in bytes; a bare ``0`` is one too.

    Raises:
        ValueError: it is not a number with one of the units.
    """
    if text.strip() == "0":
        return 0
    match = _GRAMMAR.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an amount of memory such as 512 MiB or 2 GiB")
    return int(float(match["number"]) * BYTES_PER_UNIT[match["unit"]])


def format_memory(amount: int) -> str:
    """Say an amount of memory (bytes): ``512 MiB``, ``1,536 MiB``."""
    return f"{round(amount / MIB):,} MiB"


def read_memory(section: Section, key: str, default: int | None) -> int | None:
    """Read what a run may take of memory, in bytes; None: as much as it likes.

    A limit that nobody holds is refused: who has set one counts on it.

    Args:
        section: has it.
        key: of it.
        default: where it is not set.
    """
    remedy = f'write {key} = "512 MiB", or "0" for no limit'
    memory = section.parsed(key, parse_memory, default, remedy)
    if key not in section or not memory:
        return memory or None
    if memory < LEAST_MEMORY:
        section.problem(key, f"must be {format_memory(LEAST_MEMORY)} at least", remedy)
    if not _TOLD_BY.exists():
        message = "cannot be held here: the kernel does not tell what a process takes (/proc)"
        section.problem(key, message, "leave it out on this platform")
    return memory
