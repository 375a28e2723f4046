"""Recipients, identities and passphrases of an export, as a person or a script gives them.

A passphrase comes from a terminal or from the environment, never from arguments, which every user
of the machine can read.
"""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from connector.errors import ConfigurationError, Problem
from connector.seal_kinds import EXPORT_PASSPHRASE_VARIABLE

if TYPE_CHECKING:
    from connector.secret import Secret
    from connector.vault.age_keys import Identity, Recipient

_LARGEST_FILE: Final = 64 * 1024


def recipients(texts: tuple[str, ...]) -> "list[Recipient]":
    """Give for whom an export is: the public keys that were named, else a passphrase.

    Raises:
        ConfigurationError: a recipient is none; all of them are named.
        UsageError: there is neither a recipient nor a way to ask for a passphrase.
    """
    from connector.vault.age_keys import Passphrase, X25519Recipient

    found: list[Recipient] = []
    problems = []
    for text in texts:
        try:
            found.append(X25519Recipient(text.strip()))
        except ValueError as error:
            remedy = "name a public key as age-keygen prints it: age1…"
            shown = text if text.startswith("age1") else "what was given"  # it may be a secret key
            message = f"{shown} is no recipient: {error}"
            problems.append(Problem("vault export", "--recipient", message, remedy))
    if problems:
        raise ConfigurationError(problems)
    return found or [Passphrase(_passphrase(is_new=True))]


def identities(path: str | None) -> "list[Identity]":
    """Give who opens an export: the keys of an identity file, else a passphrase.

    Raises:
        ConfigurationError: the file has none, or something else.
        UsageError: there is neither a file nor a way to ask for a passphrase.
    """
    from connector.vault.age_keys import Passphrase

    if path is None:
        return [Passphrase(_passphrase(is_new=False))]
    return _read_identities(Path(path))


def warn_of_readers(path: Path) -> None:
    """Say on standard error that others can read a file with secrets."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & 0o077:
        click.echo(f"connector: {path} can be read by others; type: chmod 600 {path}", err=True)


def _read_identities(path: Path) -> "list[Identity]":
    from connector.secret import Secret
    from connector.vault.age_keys import X25519Identity

    found: list[Identity] = []
    problems = []
    try:
        warn_of_readers(path)
        with path.open("rb") as file:
            lines = file.read(_LARGEST_FILE).decode("utf-8", "replace").splitlines()
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
        raise ConfigurationError([Problem(str(path), "", message)]) from None
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            found.append(X25519Identity(Secret(text)))
        except ValueError as error:
            remedy = "lines of AGE-SECRET-KEY-1…, as age-keygen writes them, can be used"
            problems.append(Problem(str(path), f"line {number}", f"no identity: {error}", remedy))
    if not found and not problems:
        problems.append(Problem(str(path), "", "there is no identity in it"))
    if problems:
        raise ConfigurationError(problems)
    return found


def _passphrase(*, is_new: bool) -> "Secret":
    from connector.secret import Secret

    text = os.environ.get(EXPORT_PASSPHRASE_VARIABLE, "")
    if not text and sys.stdin.isatty():
        text = click.prompt(
            "Passphrase of the export",
            hide_input=True,
            confirmation_prompt="The same again" if is_new else False,
            err=True,
        )
    if not text:
        option = "--recipient age1…" if is_new else "--identity FILE"
        raise click.UsageError(
            f"give {option}, or a passphrase in {EXPORT_PASSPHRASE_VARIABLE} or on a terminal"
        )
    return Secret(text)
