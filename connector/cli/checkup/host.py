"""Checks of what surrounds the vault: variables, files, crash dumps, swap, the keyring.

What a vault keeps sealed on disk stands in the memory of a process that has it open: none of that
is to reach a disk in clear (CHECKLIST 168).
"""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from connector.cli.checkup.finding import Finding, ok, problem, warning
from connector.cli.core_dumps import are_core_dumps_forbidden, forbid_core_dumps
from connector.errors import VaultSealed
from connector.secret import SecretReference
from connector.settings import Settings
from connector.vault.keyring_source import find_keyring

SWAPS: Final = Path("/proc/swaps")
_BLOCK_DEVICES: Final = Path("/sys/block")


def check_host(settings: Settings) -> Iterator[Finding]:
    """Check what surrounds the vault."""
    yield from _check_variables(settings)
    yield from _check_files(settings)
    yield _check_core_dumps()
    yield from check_swap()
    if settings.vault.seal_kind == "keyring":
        yield _check_keyring()


def _check_variables(settings: Settings) -> Iterator[Finding]:
    for name in sorted(settings.secret_variables):
        if name not in os.environ:
            yield warning("environment", f"{name} is not set", f"export {name}=…")


def _check_files(settings: Settings) -> Iterator[Finding]:
    """Find files with secrets in them that others may read."""
    paths = _secret_files(settings)
    if any(reference.kind == "literal" for reference in _references(settings)):
        paths.append(settings.path)
    for path in paths:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
        if mode & 0o077:
            remedy = f"type: chmod 600 {path}"
            yield warning("secrets", f"{path} may be read by others", remedy)


def _secret_files(settings: Settings) -> list[Path]:
    return [
        reference.folder / Path(reference.name).expanduser()
        for reference in _references(settings)
        if reference.kind == "file"
    ]


def _references(settings: Settings) -> list[SecretReference]:
    """Give all references to secrets of providers and the vault."""
    found = [
        reference
        for registration in settings.registrations.values()
        for reference in (registration.client_secret, registration.private_key)
    ]
    found.append(settings.vault.password)
    if isinstance(settings.vault.url, SecretReference):
        found.append(settings.vault.url)
    return [reference for reference in found if reference is not None]


def _check_core_dumps() -> Finding:
    forbid_core_dumps()  # as every command does before it opens the vault
    if are_core_dumps_forbidden():
        return ok("core dumps", "a crash of this program writes none")
    return warning(
        "core dumps",
        "a crash may write the memory of this program, keys and tokens in it, to a disk",
        "type: ulimit -c 0, or set LimitCORE=0 in the unit",
    )


def check_swap(swaps: Path = SWAPS, devices: Path = _BLOCK_DEVICES) -> Iterator[Finding]:
    """Find swap space that is not known to be encrypted.

    Args:
        swaps: what is in use, in the form of /proc/swaps; where it is absent nothing is known.
        devices: the kernel's block devices, in the form of /sys/block.
    """
    try:
        lines = swaps.read_text(errors="replace").splitlines()[1:]
    except OSError:
        return
    places = [line.split()[0] for line in lines if line.strip()]
    plain = [place for place in places if not _is_safe(place, devices)]
    for place in plain:
        yield warning(
            "swap",
            f"{place} is not known to be encrypted: memory, with keys and tokens in it, may be"
            " written there",
            "encrypt it (crypttab(5), option swap), use zram, or set MemorySwapMax=0 in the unit",
        )
    if not plain:
        yield ok("swap", "none that is not encrypted" if places else "none")


def _is_safe(place: str, devices: Path) -> bool:
    """Tell whether swap is in memory (zram), or on a device that dm-crypt encrypts."""
    name = Path(place).resolve().name
    if name.startswith("zram"):
        return True
    try:
        return (devices / name / "dm" / "uuid").read_text().startswith("CRYPT-")
    except OSError:
        return False


def _check_keyring() -> Finding:
    began = time.monotonic()
    try:
        name = find_keyring()
    except VaultSealed as error:
        return problem("keyring", error)
    return ok("keyring", f"{name} answers ({1000 * (time.monotonic() - began):.0f} ms)")
