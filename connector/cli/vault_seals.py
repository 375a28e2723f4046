"""``connector vault status``, and what ``connector vault rotate --seal`` does."""

import contextlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from connector.cli.core_dumps import forbid_core_dumps
from connector.cli.main import printable_line
from connector.cli.options import common_options, json_option
from connector.cli.output import print_json
from connector.cli.session import load, run_async
from connector.errors import VaultSealed
from connector.moment import rfc3339

if TYPE_CHECKING:
    from collections import Counter

    from connector.settings import Settings
    from connector.store.database import Database
    from connector.store.stored_keys import StoredKeys, StoredSeal
    from connector.vault.seal import Seal

#: What the environment may say instead of the configuration; see `settings.load`.
_OVERRIDE: Final = "CONNECTOR_VAULT_SEAL"


def change_seal(settings: "Settings", words: str, *, keep: bool) -> None:
    """Wrap the root key with another seal, and say what to write into the configuration.

    Raises:
        UsageError: the words name no seal.
        VaultSealed: the seals that there are do not open here, or the new one keeps no key.
    """
    from connector.cli.auditing import note_with
    from connector.runtime import configured_seal
    from connector.seal_kinds import NotASeal, parse_seal
    from connector.store.audit_entry import Entry
    from connector.store.vault_seals import change_seal as change
    from connector.vault.seal import open_seal

    try:
        named = parse_seal(words)
        new = open_seal(named.kind, named.name, settings.folder)
    except NotASeal as error:
        raise click.BadParameter(str(error), param_hint="--seal") from None
    old = configured_seal(settings)
    detail = {"seal": new.description, "kept": keep}
    entry = Entry(event="vault.seal_changed", outcome=named.kind, detail=detail)

    async def work() -> list[str]:
        async with _opened_database(settings) as database:
            note = note_with(settings, database, entry)
            return await change(database, old, new, keep=keep, now=time.time(), on_change=note)

    gone = run_async(work())
    click.echo(f"the vault opens with {new.description}")
    for description in gone:
        click.echo(f"it does not open with {description} any more")
    if (named.kind, named.name) != (settings.vault.seal_kind, settings.vault.seal_name):
        click.echo(f"Write into [vault] of {settings.path}:\n{_line(named)}")
        if os.environ.get(_OVERRIDE):
            click.echo(f"{_OVERRIDE} is set, and stands above it: unset or change it.", err=True)


@click.command()
@common_options
@json_option
def status(config: str | None, *, json: bool) -> None:
    """Show the vault's store, its seals and its data keys.

    Which of the seals opens here is tried; where none does, the exit status is 5. No sealed value
    is opened: see connector vault verify.
    """
    from connector.runtime import configured_seal

    settings = load(config)
    seal = configured_seal(settings)

    async def work() -> _Status:
        async with _opened_database(settings) as database:
            return await _examine(database, seal)

    found = run_async(work())
    if json:
        print_json(found.as_json())
    else:
        for line in found.lines():
            click.echo(printable_line(line))
    if found.failure is not None:
        raise found.failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Status:
    """What was found.

    Attributes:
        store: the database, for people.
        configured: the description of the seal that is configured.
        keys: as they are stored.
        opened: the stored seal that opens here.
        failure: why none does.
        values: how many there are, by the number of their data key.
    """

    store: str
    configured: str
    keys: "StoredKeys"
    opened: "StoredSeal | None"
    failure: VaultSealed | None
    values: "Counter[int]"

    @property
    def newest(self) -> int:
        return max(self.keys.data_keys_made, default=0)

    @property
    def outdated(self) -> int:
        """How many values are not under the newest key."""
        return sum(count for key, count in self.values.items() if key != self.newest)

    def next_step(self) -> str | None:
        """Say what to do, where there is something."""
        if self.failure is not None:
            return self.failure.remedy or None
        if self.outdated:
            return "type: connector vault rotate --resume"
        return None

    def lines(self) -> list[str]:
        """Say it for people."""
        found = [f"store: {self.store} ({self.keys.store_id})"]
        for one in self.keys.seals:
            opens = ", opens here" if one == self.opened else ""
            found.append(f"seal: {one.description}, since {_day(one.created_at)}{opens}")
        found += [
            f"data key {key}: made {_day(made)}, {_counted(self.values[key])}"
            for key, made in self.keys.data_keys_made.items()
        ]
        if self.outdated:
            found.append(f"{_counted(self.outdated)} not under the newest data key")
        step = self.next_step()
        if step is not None and self.failure is None:  # a failure says so itself
            found.append(f"Next: {step}")
        return found

    def as_json(self) -> dict[str, object]:
        """Say it for programs."""
        return {
            "store": self.store,
            "store_id": self.keys.store_id,
            "configured_seal": self.configured,
            "opens": self.opened is not None,
            "seals": [
                {
                    "description": one.description,
                    "since": rfc3339(one.created_at),
                    "opens_here": one == self.opened,
                }
                for one in self.keys.seals
            ],
            "data_keys": [
                {"key_id": key, "made": rfc3339(made), "values": self.values[key]}
                for key, made in self.keys.data_keys_made.items()
            ],
            "values_under_older_keys": self.outdated,
            "next": self.next_step(),
        }


async def _examine(database: "Database", seal: "Seal") -> _Status:
    from connector.store.key_census import count_by_key
    from connector.store.stored_keys import ask_seal, find_root
    from connector.store.vault_seals import require_keys
    from connector.vault.vault import open_with_root

    keys = await require_keys(database)
    opened: StoredSeal | None = None
    failure: VaultSealed | None = None

    def try_it() -> "StoredSeal":
        root_key, stored = find_root(keys, seal)
        open_with_root(root_key, keys.store_id, keys.data_keys)
        return stored

    try:
        opened = await ask_seal(try_it)
    except VaultSealed as error:
        failure = error
    return _Status(
        store=database.description,
        configured=seal.description,
        keys=keys,
        opened=opened,
        failure=failure,
        values=await count_by_key(database),
    )


@contextlib.asynccontextmanager
async def _opened_database(settings: "Settings") -> "AsyncIterator[Database]":
    """Open the database of a vault that was made, and not the vault.

    Raises:
        VaultSealed: there is none, or its file is not safe.
        ConfigurationError: a secret of ``vault.url`` is missing.
        TemporarilyUnavailable: the database cannot be had.
    """
    from connector.store.database import Database
    from connector.store.database_file import database_url, prepare_database
    from connector.store.schema import migrate

    forbid_core_dumps()
    database = Database(database_url(settings.vault), now=time.time)
    try:
        prepare_database(database, create=False)
        await migrate(database)
        yield database
    finally:
        await database.aclose()


def _line(named: object) -> str:
    """Write the line of a configuration that names a seal."""
    import json

    return f"seal = {json.dumps(str(named), ensure_ascii=False)}"  # a basic string of TOML, too


def _counted(count: int) -> str:
    return f"{count} value" if count == 1 else f"{count} values"


def _day(moment: float) -> str:
    return rfc3339(moment)[:10]
