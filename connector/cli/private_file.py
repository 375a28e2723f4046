"""A file that appears whole or not at all, readable by us alone, never over another one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from connector.errors import ConfigurationError, Problem


@contextlib.contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it appears under its name, durably, when the block ends well.

    Raises:
        ConfigurationError: there is one already, or it cannot be written.
    """
    from connector.vault.key_file import link_new

    check_new(path)
    # beside it, so that it can be linked
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(partial, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            link_new(partial, path)
        finally:
            partial.unlink()
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        message = f"cannot be written: {error.strerror or error}"
        raise ConfigurationError([Problem(str(path), "", message)]) from None


def check_new(path: Path) -> None:
    """Refuse a name that is taken.

    Raises:
        ConfigurationError: it is.
    """
    if os.path.lexists(path):
        raise _exists(path)


def _exists(path: Path) -> ConfigurationError:
    return ConfigurationError([Problem(str(path), "", "exists already", "name another file")])
