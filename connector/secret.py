"""Secrets, and the references that stand for them in a configuration.

A `Secret` shows nothing in repr, str, format, JSON or pickle; only `reveal` gives the value, so
that every place where one leaves its wrapper can be found by its name. A `SecretReference` is what
a configuration file holds instead: ``env:NAME``, ``file:PATH``, ``keyring:SERVICE/USER`` or
``credential:NAME`` (systemd). It is read when it is needed, not when the file is loaded.
"""

import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from connector.errors import ConfigurationError, Problem
from connector.time_limit import KEYRING_TIME, call_within

REFERENCE_KINDS: Final = ("env", "file", "keyring", "credential")

#: A secret file larger than this is not a secret but a mistake in the path.
LARGEST_SECRET_FILE: Final = 64 * 1024


class Secret:
    """A string that must not be shown.

    Comparison takes constant time. ``bool`` tells whether it is empty.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; every call is a place where a secret leaves its wrapper."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return "Secret(…)"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # "surrogatepass": a provider's JSON may hold what is no text; comparing it must not raise
        return hmac.compare_digest(
            self._value.encode("utf-8", "surrogatepass"),
            other._value.encode("utf-8", "surrogatepass"),
        )

    __hash__ = None  # type: ignore[assignment]  # a hash would leak equality through dict order

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not pickled")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretReference:
    """Where a secret is kept.

    Attributes:
        kind: one of `REFERENCE_KINDS`, or ``literal`` where plaintext was allowed on purpose.
        name: the environment variable, path, keyring entry or credential; empty for a literal.
        source: the file that holds the reference, for messages.
        key: the key that holds it, for messages.
        folder: what a relative path is relative to.
        literal: the secret itself, where it was written down; a `Secret`, so that no dump of a
            configuration shows it.
    """

    kind: str
    name: str
    source: str
    key: str
    folder: Path
    literal: Secret | None = None

    def __repr__(self) -> str:
        return f"SecretReference({self.kind}:{self.name or '…'})"

    def resolve(self) -> Secret:
        """Read the secret.

        Raises:
            ConfigurationError: it is not there, empty or unreadable; names the key and the remedy.
        """
        try:
            value = self._read()
        except (OSError, ValueError, LookupError, RuntimeError) as error:  # RuntimeError: "~nobody"
            raise ConfigurationError([self._problem(str(error))]) from None
        if not value:
            raise ConfigurationError([self._problem("it is empty")])
        return Secret(value)

    def _read(self) -> str:
        if self.literal is not None:
            return self.literal.reveal()
        if self.kind == "env":
            return _read_variable(self.name)
        if self.kind == "file":
            return _read_file(self.folder / Path(self.name).expanduser())
        if self.kind == "credential":
            return _read_file(_credential_path(self.name))
        return _read_keyring(self.name)

    def _problem(self, message: str) -> Problem:
        remedies = {
            "env": f"export {self.name}=… before Connector starts",
            "file": f"write the secret to {self.name}, readable by you alone",
            "credential": f"add LoadCredentialEncrypted={self.name}:… to the systemd unit",
            "keyring": f"store it with: keyring set {self.name.replace('/', ' ')}",
        }
        return Problem(self.source, self.key, message, remedies.get(self.kind, ""))


def _read_variable(name: str) -> str:
    """Read an environment variable and strip what a shell or an editor added around it.

    Raises:
        LookupError: it is not set.
        ValueError: it is not UTF-8.
    """
    if name not in os.environ:
        raise LookupError(f"the environment variable {name} is not set")
    value = os.environ[name].strip()
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are no text arrive as surrogates
        raise ValueError(f"the environment variable {name} is not UTF-8 text") from None
    return value


def _read_file(path: Path) -> str:
    """Read a small text file and strip the newline (and spaces) that editors add around it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_SECRET_FILE + 1)
    except OSError as error:
        raise OSError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_SECRET_FILE:
        raise ValueError(f"{path} is larger than {LARGEST_SECRET_FILE} bytes")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text") from None


def _credential_path(name: str) -> Path:
    """Find a systemd credential (systemd.exec(5), ``LoadCredential=``).

    Raises:
        LookupError: this process was not started by a unit with credentials.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise LookupError("there is no $CREDENTIALS_DIRECTORY: not started by systemd")
    if "/" in name or name in {"", ".", ".."}:
        raise LookupError(f"{name!r} is not the name of a credential")
    return Path(folder) / name


def _read_keyring(name: str) -> str:
    """Read ``SERVICE/USER`` from the operating system's keyring.

    Raises:
        LookupError: there is no such entry, or no keyring, or it does not answer.
    """
    import keyring  # 80 ms that only its users should pay
    from keyring.errors import KeyringError

    service, slash, user = name.partition("/")
    if not slash:
        raise LookupError(f"{name!r} is not of the form SERVICE/USER")
    try:
        value = call_within(KEYRING_TIME, lambda: keyring.get_password(service, user))
    except TimeoutError:
        raise LookupError(f"the keyring did not answer within {KEYRING_TIME:g} s") from None
    except KeyringError as error:
        raise LookupError(f"the keyring cannot be read: {error}") from None
    if value is None:
        raise LookupError(f"the keyring has no entry {name}")
    return value
