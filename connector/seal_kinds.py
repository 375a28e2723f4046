"""The words that name a seal in a configuration: ``keyring``, ``file:PATH``, ``passphrase``, ….

Besides ours there are those of installed packages, found through the entry point group
``connector.seals``: kind → a factory, which is given the name behind the colon and the folder that
relative paths are relative to. Nothing is looked up for a seal that needs no entry point.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

GROUP: Final = "connector.seals"
PASSPHRASE: Final = "passphrase"  # noqa: S105 - the word
#: Where a passphrase can be kept, besides in a head.
PASSPHRASE_KEPT_IN: Final = ("file", "credential")
#: What stands for a secret in the environment, and is kept from every child process.
PASSPHRASE_VARIABLE: Final = "CONNECTOR_VAULT_PASSPHRASE"  # noqa: S105 - its name
NEW_PASSPHRASE_VARIABLE: Final = "CONNECTOR_VAULT_NEW_PASSPHRASE"  # noqa: S105 - its name

#: What an export is encrypted with; kept from every child process as well.
EXPORT_PASSPHRASE_VARIABLE: Final = "CONNECTOR_EXPORT_PASSPHRASE"  # noqa: S105 - its name
TRANSIT_TOKEN_VARIABLE: Final = "VAULT_TOKEN"  # noqa: S105 - its name, as that program has it
PASSPHRASE_VARIABLES: Final = frozenset({PASSPHRASE_VARIABLE, NEW_PASSPHRASE_VARIABLE})
#: Kind → variables of other programs, whose secret is the seal's where it is of that kind.
SEAL_VARIABLES: Final = {"transit": frozenset({TRANSIT_TOKEN_VARIABLE})}

#: Kinds that need no entry point → whether a name follows.
_NAMED: Final = {"keyring": False, "env": True, "file": True, "credential": True}
FORMS: Final = (
    "one of: keyring, credential:NAME, transit:URL, passphrase, passphrase:file:PATH, "
    "file:PATH, env:NAME"
)
_PASSPHRASES: Final = (
    'write seal = "passphrase", "passphrase:file:PATH" or "passphrase:credential:NAME"'
)


class NotASeal(ValueError):
    """What stands where a seal is named names none.

    Attributes:
        message: what is wrong; shows nothing that may be a secret.
        remedy: what to write.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(f"{message} ({remedy})")
        self.message = message
        self.remedy = remedy


class SealName(NamedTuple):
    """Which seal.

    Attributes:
        kind: the word before the colon.
        name: what follows it; empty where nothing does.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


def parse_seal(text: str) -> SealName:
    """Read the words that name a seal.

    Raises:
        NotASeal: they name none.
    """
    kind, colon, name = text.partition(":")
    if not text.isprintable():
        raise NotASeal("holds what cannot be printed", FORMS)
    if kind == PASSPHRASE:
        place, _, where = name.partition(":")
        if colon and (place not in PASSPHRASE_KEPT_IN or not where):
            raise NotASeal("a passphrase never stands in the configuration", _PASSPHRASES)
    elif kind not in _NAMED:
        if kind not in installed_kinds():
            raise NotASeal(f"{kind!r} is no seal", FORMS)
    elif _NAMED[kind] and not name:
        raise NotASeal(f"{kind} needs a name", f'write seal = "{kind}:NAME"')
    elif not _NAMED[kind] and colon:
        raise NotASeal(f"{kind} takes no name", f'write seal = "{kind}"')
    return SealName(kind, name)


def installed_kinds() -> frozenset[str]:
    """Give the kinds that installed packages bring."""
    from importlib.metadata import entry_points  # reads files of every package

    return frozenset(point.name for point in entry_points(group=GROUP))


def load_factory(kind: str) -> Callable[[str, Path], object] | None:
    """Import the factory that a package brings for a kind; None where none does."""
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP, name=kind):
        factory: Callable[[str, Path], object] = point.load()
        return factory
    return None
