"""The operating system's keyring as the place of a seal's key.

Only backends that keep secrets encrypted are used: ``null`` drops them, ``keyrings.alt`` may keep
them in clear (CHECKLIST 125). Every call has a time limit, since a keyring may ask a person who is
not there (124). Entries are told apart by the store's id (131).
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from connector.errors import VaultSealed
from connector.time_limit import KEYRING_TIME, call_within
from connector.vault.key_source import CHOICES, KeySource

T = TypeVar("T")

TIME_LIMIT: Final = KEYRING_TIME
SERVICE: Final = "connector"
_TRUSTED_BACKENDS: Final = (
    "keyring.backends.SecretService",
    "keyring.backends.libsecret",
    "keyring.backends.kwallet",
    "keyring.backends.macOS",
    "keyring.backends.Windows",
)


class Keyring(Protocol):
    """What is needed of a backend of the ``keyring`` library."""

    def get_password(self, service: str, username: str) -> str | None:
        """Give what was kept, or None."""
        ...

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep it."""
        ...


def keyring_source(
    *, find: Callable[[], Keyring] | None = None, time_limit: float = TIME_LIMIT
) -> KeySource:
    """Keep the key in the keyring.

    Args:
        find: gives the backend; by default the operating system's.
        time_limit: of each call, in seconds.
    """
    find = find or trusted_keyring

    def read(store_id: str) -> str | None:
        return _within(time_limit, lambda: find().get_password(SERVICE, store_id))

    def write(store_id: str, text: str) -> None:
        _within(time_limit, lambda: find().set_password(SERVICE, store_id, text))

    return KeySource(
        description=f"the keyring (service {SERVICE!r})",
        read=read,
        write=write,
        missing="Unlock the keyring of the user that made this vault.",
    )


def trusted_keyring() -> Keyring:
    """Give the operating system's keyring.

    Raises:
        VaultSealed: there is none, or the one that is set does not keep secrets safe.
    """
    import keyring  # 80 ms that only its users should pay
    from keyring.backends import chainer

    chosen = keyring.get_keyring()
    backends = chosen.backends if isinstance(chosen, chainer.ChainerBackend) else [chosen]
    for backend in backends:
        if _is_trusted(backend):
            return backend
    raise VaultSealed("this host has no keyring that keeps secrets encrypted", CHOICES)


def find_keyring(time_limit: float = TIME_LIMIT) -> str:
    """Name the operating system's keyring, once it has answered.

    Args:
        time_limit: in seconds.

    Raises:
        VaultSealed: there is none, or it does not answer.
    """
    backend = _within(time_limit, trusted_keyring)
    return type(backend).__module__.removeprefix("keyring.backends.")


def _is_trusted(backend: object) -> bool:
    module = type(backend).__module__
    return any(module == name or module.startswith(f"{name}.") for name in _TRUSTED_BACKENDS)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Run a keyring call in a thread that is left behind when it takes too long.

    Raises:
        VaultSealed: it failed or took too long.
    """
    try:
        return call_within(seconds, call)
    except (VaultSealed, KeyboardInterrupt):
        raise
    except TimeoutError:
        raise VaultSealed(f"the keyring did not answer within {seconds:g} s", CHOICES) from None
    except BaseException as error:  # noqa: BLE001 - backends raise what they like
        raise VaultSealed(f"the keyring failed ({type(error).__name__})", CHOICES) from None
