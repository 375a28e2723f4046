"""Where a passphrase comes from: an environment variable, the terminal, a file, or a credential.

It never stands on a command line or in a configuration. A new one is asked for twice, and one that
is too short is refused; one that exists is taken as it is.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connector.errors import VaultSealed
from connector.seal_kinds import NEW_PASSPHRASE_VARIABLE, PASSPHRASE_VARIABLE
from connector.secret import Secret
from connector.vault import terminal
from connector.vault.environment import is_set, take_variable
from connector.vault.key_file import read_private_file
from connector.vault.key_source import read_credential

#: Of a new passphrase. Each guess costs its thief a fraction of a second and 64 MiB; what is
#: shorter is found all the same.
SHORTEST: Final = 8
#: A shorter one is taken, and said to be weak.
WELL_CHOSEN: Final = 16
#: How often a person may mistype a new one.
MOST_TRIES: Final = 3

_ADVICE: Final = "Six words chosen by chance are easy to type and hard to guess."


@dataclass(frozen=True, slots=True, kw_only=True)
class PassphraseSource:
    """Where a passphrase comes from.

    Attributes:
        description: for people.
        read: gives the one that there is. Raises VaultSealed where there is none.
        choose: gives a new one. Raises VaultSealed where there is none, or it is too weak.
    """

    description: str
    read: Callable[[], Secret]
    choose: Callable[[], Secret]


def passphrase_source(name: str, folder: Path) -> PassphraseSource:
    """Give the source that a configuration names.

    Args:
        name: empty: the environment or the terminal; else ``file:PATH`` or ``credential:NAME``.
        folder: what a relative path is relative to.
    """
    kind, _, place = name.partition(":")
    if kind == "file":
        path = folder / Path(place).expanduser()
        return _kept(
            f"the passphrase in the file {path}",
            lambda: read_private_file(path),
            f"Write it to {path}, readable by you alone.",
        )
    if kind == "credential":
        return _kept(
            f"the passphrase in the systemd credential {place}",
            lambda: read_credential(place),
            f"Add LoadCredentialEncrypted={place}:… to the unit (systemd-creds encrypt).",
        )
    return PassphraseSource(description="a passphrase", read=_read, choose=_choose)


def check_new_passphrase(passphrase: Secret) -> Secret:
    """Refuse a passphrase that is too short to keep anything.

    Raises:
        VaultSealed: it is.
    """
    length = len(passphrase.reveal())
    if length < SHORTEST:
        told = f"has {length} characters" if length != 1 else "has one character"
        raise VaultSealed(
            f"the new passphrase {told}" if length else "the new passphrase is empty",
            f"Take at least {SHORTEST}. {_ADVICE}",
        )
    return passphrase


def _read() -> Secret:
    """Take the passphrase from the environment, or ask for it."""
    text = take_variable(PASSPHRASE_VARIABLE)
    if text is None and terminal.has_terminal():
        text = terminal.ask("Passphrase of the vault: ")
    if text is None:
        raise _missing(PASSPHRASE_VARIABLE)
    return _passphrase(text, PASSPHRASE_VARIABLE)


def _choose() -> Secret:
    """Take a new one from the environment, or ask for it twice."""
    # one that was taken to open the vault is not there any more: it is the old one
    for variable in (PASSPHRASE_VARIABLE, NEW_PASSPHRASE_VARIABLE):
        if is_set(variable):
            return check_new_passphrase(_passphrase(take_variable(variable) or "", variable))
    if not terminal.has_terminal():
        has_old = take_variable(PASSPHRASE_VARIABLE) is not None
        raise _missing(NEW_PASSPHRASE_VARIABLE if has_old else PASSPHRASE_VARIABLE)
    for _ in range(MOST_TRIES):
        chosen = _ask_twice()
        if chosen is not None:
            return chosen
    raise VaultSealed("no new passphrase was chosen", "Nothing was changed.")


def _ask_twice() -> Secret | None:
    """Ask for a new passphrase; None, and told why, where it will not do."""
    first = _passphrase(terminal.ask("New passphrase for the vault: "), "what was typed")
    try:
        check_new_passphrase(first)
    except VaultSealed as error:
        terminal.tell(f"No: {error.reason}. {error.remedy}")
        return None
    if _passphrase(terminal.ask("The same once more: "), "what was typed") != first:
        terminal.tell("No: these are two different ones.")
        return None
    length = len(first.reveal())
    if length < WELL_CHOSEN:
        terminal.tell(f"It has {length} characters: whoever has the database may guess it.")
        terminal.tell(_ADVICE)
    return first


def _kept(description: str, read: Callable[[], bytes | None], remedy: str) -> PassphraseSource:
    def get() -> Secret:
        found = read()
        text = None if found is None else _passphrase_bytes(found, description)
        if not text:
            raise VaultSealed(f"{description} is missing", remedy, lacks_key=True)
        return text

    return PassphraseSource(
        description=description, read=get, choose=lambda: check_new_passphrase(get())
    )


def _passphrase_bytes(found: bytes, description: str) -> Secret:
    try:
        return _passphrase(found.decode(), description)
    except UnicodeDecodeError:
        raise VaultSealed(f"{description} is not UTF-8 text") from None


def _passphrase(text: str, where: str) -> Secret:
    """Take what was typed or kept: without its line's end, in one of Unicode's forms (RFC 8265)."""
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that are no text arrive as surrogates
        raise VaultSealed(f"{where} is not UTF-8 text") from None
    return Secret(unicodedata.normalize("NFC", text.rstrip("\r\n")))


def _missing(variable: str) -> VaultSealed:
    return VaultSealed(
        "nobody can be asked for its passphrase",
        f"Type the command on a terminal, or set {variable} for this process alone.",
        lacks_key=True,
    )
