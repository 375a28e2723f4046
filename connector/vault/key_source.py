"""Where a seal's key is kept as text: an environment variable, a file, or a systemd credential.

A source reads a key, and writes a new one only where this program can keep it. None of them falls
back on another (CHECKLIST 126).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.errors import VaultSealed
from connector.vault.key_file import (
    LARGEST_KEY_FILE,
    check_size,
    read_key_file,
    write_key_file,
)

#: Where the keyring will not do, the best first (CHECKLIST 126).
CHOICES: Final = (
    'Choose another seal in [vault], the best first: seal = "credential:root-key" (systemd), '
    '"transit:https://vault.example:8200/transit/connector" (HashiCorp Vault, OpenBao), '
    '"passphrase" (asked for at each start), "file:root.key" (a file readable by you alone), '
    '"env:ROOT_KEY" (an environment variable).'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySource:
    """Where a key-encryption key is kept as text.

    Attributes:
        description: for people.
        read: gives the key's text for a store, or None where there is none.
        write: keeps a new key's text for a store, unless there is one by now; None where only an
            operator can.
        missing: what to do where there is none.
    """

    description: str
    read: Callable[[str], str | None]
    write: Callable[[str, str], None] | None
    missing: str


def environment_source(name: str) -> KeySource:
    """Keep the key in an environment variable."""
    return KeySource(
        description=f"the environment variable {name}",
        read=lambda _store_id: os.environ.get(name) or None,
        write=None,
        missing=(
            f"Make one and keep it outside this machine's disk: export {name}="
            "$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"
        ),
    )


def file_source(path: Path) -> KeySource:
    """Keep the key in a file."""
    return KeySource(
        description=f"the file {path}",
        read=lambda _store_id: read_key_file(path),
        write=lambda _store_id, text: write_key_file(path, text),
        missing="Put the file back; a new key would not open what is stored.",
    )


def credential_source(name: str) -> KeySource:
    """Keep the key in a systemd credential (systemd.exec(5), ``LoadCredentialEncrypted=``).

    The folder belongs to systemd, which guards it: neither owner nor mode is checked here.
    """

    def read(_store_id: str) -> str | None:
        content = read_credential(name)
        return None if content is None else content.decode("ascii", "replace").strip()

    return KeySource(
        description=f"the systemd credential {name}",
        read=read,
        write=None,
        missing=f"Add LoadCredentialEncrypted={name}:… to the unit (systemd-creds encrypt).",
    )


def read_credential(name: str) -> bytes | None:
    """Read a systemd credential, or None where there is none.

    Raises:
        VaultSealed: it is there and cannot be read, or is too large.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or "/" in name or name in {".", ".."}:
        return None
    try:
        with (Path(folder) / name).open("rb") as file:
            content = file.read(LARGEST_KEY_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VaultSealed(
            f"the systemd credential {name} cannot be read: {error.strerror}"
        ) from None
    return check_size(content, f"the systemd credential {name}")
