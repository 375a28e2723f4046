"""``connector vault import``: what another vault has exported, whole or not at all."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from connector.cli.age_secrets import identities
from connector.cli.main import printable_line
from connector.cli.options import common_options, option
from connector.cli.output import rows_told
from connector.cli.session import load, opened, run_async
from connector.errors import ConfigurationError, Problem, Refused

if TYPE_CHECKING:
    from connector.runtime import Runtime
    from connector.store.export_check import Checked
    from connector.store.export_format import ExportReader
    from connector.store.present_accounts import Present
    from connector.store.vault_import import Imported
    from connector.vault.age import Unlocked

STANDARD: Final = "-"


@click.command("import")
@click.argument("file")
@option("--identity", help="A file with the secret key (AGE-SECRET-KEY-1…); else a passphrase.")
@option("--replace", is_flag=True, help="Replace accounts that are here already.")
@option("--skip", is_flag=True, help="Leave accounts that are here already as they are.")
@common_options
def import_(
    file: str, identity: str | None, config: str | None, *, replace: bool, skip: bool
) -> None:
    """Read what `connector vault export` wrote into FILE; - is standard input.

    The passphrase is asked for on the terminal or taken from CONNECTOR_EXPORT_PASSPHRASE. The whole
    file is checked before anything is written, and everything is written in one transaction. About
    accounts that are here already a person is asked, else --replace or --skip decides.

    The installation that wrote the export must not run again: two that use the same refresh tokens
    end the grants. Accounts whose refresh tokens are known to have been replaced since are held;
    `connector refresh ACCOUNT` tries one.
    """
    if replace and skip:
        raise click.UsageError("--replace and --skip exclude each other")
    settings = load(config)
    choice = True if replace else False if skip else None

    async def work() -> None:
        async with opened(settings) as runtime:
            with _source(file) as source:
                await _Import(runtime, file, source).run(identity, choice)

    run_async(work())


class _Import:
    """One import.

    Args:
        runtime: of the vault that takes it.
        file: its name, for people.
        source: the file, which can be sought in.
    """

    def __init__(self, runtime: "Runtime", file: str, source: BinaryIO) -> None:
        self._runtime = runtime
        self._file = file
        self._source = source

    async def run(self, identity: str | None, choice: bool | None) -> None:  # noqa: FBT001 - three-valued
        """Check and write.

        Raises:
            ConfigurationError: everything that is wrong with the file.
            Refused: there are accounts already, and nobody decided about them.
        """
        from connector.store.audit_entry import Entry
        from connector.store.vault_import import VaultImport
        from connector.token_source.gone_back import rotates

        runtime = self._runtime
        providers = runtime.settings.providers
        unlocked, checked = self._check(identity)

        def importing() -> VaultImport:
            return VaultImport(
                runtime.database,
                runtime.vault,
                runtime.marks,
                lambda name: name not in providers or rotates(providers[name]),
                runtime.seal_counts,
                self._waiting(),
            )

        await self._replay(await importing().present(checked))
        present = await importing().present(checked)
        is_replacing = self._decide(present, choice)
        with self._converted():
            imported = await importing().write(
                self._reader(unlocked),
                checked,
                present,
                is_replacing=is_replacing,
                now=runtime.now(),
            )
        detail = {"file": self._file, "format": "age"}
        count = imported.counts["account"]
        runtime.trail.note(Entry(event="vault.imported", count=count, detail=detail))
        _tell(imported, checked, sorted(checked.providers - providers.keys()))
        if checked.head.get("store_id") != runtime.vault.store_id:
            _warn_of_two(checked)

    async def _replay(self, present: "Present") -> None:
        """Write what waits in the journal for accounts that are here: it is newer than they are.

        Raises:
            TemporarilyUnavailable: it cannot be written now.
        """
        waiting = self._waiting()
        for one in present.by_id.values():
            account = await self._runtime.accounts.get(one.name) if waiting else None
            if account is not None and (account.id, account.generation) in waiting:
                await self._runtime.kept.replay(account)

    def _waiting(self) -> set[tuple[str, int]]:
        records = self._runtime.journal.waiting()
        return {(record.account_id, record.generation) for record in records}

    def _check(self, identity: str | None) -> "tuple[Unlocked, Checked]":
        from connector.store.export_check import check_export
        from connector.vault.age import unlock

        with self._converted():
            unlocked = unlock(self._source, identities(identity))
            checked = check_export(self._reader(unlocked))
        if checked.problems:
            raise ConfigurationError(
                Problem(self._file, where, message) for where, message in checked.problems
            )
        return unlocked, checked

    def _reader(self, unlocked: "Unlocked") -> "ExportReader":
        from connector.store.export_format import ExportReader
        from connector.vault.age import plaintext

        return ExportReader(plaintext(self._source, unlocked))

    def _decide(self, present: "Present", choice: bool | None) -> bool:  # noqa: FBT001 - as above
        """Give whether accounts that are here are replaced.

        Raises:
            Refused: nobody says.
        """
        if choice is not None or not present.names:
            return bool(choice)
        names = ", ".join(sorted(present.names))
        if not sys.stdin.isatty():
            raise Refused(
                f"accounts are here already: {names}; type the command again with --replace, which"
                " replaces them, or --skip, which leaves them as they are; nothing was written"
            )
        click.echo(f"Accounts are here already: {names}", err=True)
        answer = click.prompt(
            "Replace them, or skip them", type=click.Choice(["replace", "skip", "stop"]), err=True
        )
        if answer == "stop":
            raise click.Abort
        return bool(answer == "replace")

    @contextlib.contextmanager
    def _converted(self) -> Iterator[None]:
        from connector.store.export_format import ExportError
        from connector.vault.age_header import AgeError

        try:
            yield
        except (AgeError, ExportError) as error:
            message = f"{error}; nothing was written"
            raise ConfigurationError([Problem(self._file, "", message)]) from None


@contextlib.contextmanager
def _source(file: str) -> Iterator[BinaryIO]:
    """Give a file that can be read twice: standard input is copied, as it is: encrypted.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        if file == STANDARD:
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
                yield copy
            return
        with Path(file).open("rb") as source:
            yield source
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigurationError([Problem(file, "", message)]) from None


def _tell(imported: "Imported", checked: "Checked", unknown: list[str]) -> None:
    """Say what was written, and what a person has to do."""
    counts = imported.counts
    click.echo(f"imported: {rows_told(counts)}")
    there = {
        kind: count - counts[kind] for kind, count in checked.counts.items() if kind != "account"
    }
    were_here = ", ".join(f"{count} of kind {kind}" for kind, count in there.items() if count)
    if were_here:
        click.echo(f"connector: left as they were here: {were_here}", err=True)
    for name in imported.skipped:
        click.echo(f"connector: {name}: skipped, it is here already", err=True)
    for name in imported.held:
        message = f"{name}: held, its refresh token may be spent; type: connector refresh {name}"
        click.echo(f"connector: {message}", err=True)
    for name in unknown:
        message = f"there is no [providers.{name}] in the configuration: its accounts wait for one"
        click.echo(printable_line(f"connector: {message}"), err=True)


def _warn_of_two(checked: "Checked") -> None:
    exported_at = checked.head.get("exported_at")
    when = ""
    if isinstance(exported_at, int | float):
        with contextlib.suppress(ValueError, OverflowError, OSError):
            when = f" of {datetime.fromtimestamp(exported_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
    click.echo(
        f"connector: WARNING: do not start the installation that wrote this export{when} again, and"
        " stop it now if it runs: two that use the same refresh tokens end the grants.",
        err=True,
    )
