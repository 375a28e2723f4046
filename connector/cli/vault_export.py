"""``connector vault export``: a backup of everything in one encrypted file."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from connector import __version__
from connector.cli.age_secrets import recipients
from connector.cli.main import printable_line, say_no_more
from connector.cli.options import common_options, option
from connector.cli.output import rows_told
from connector.cli.private_file import check_new, new_private_file
from connector.cli.session import load, opened, run_async
from connector.errors import ConfigurationError, Problem, VaultSealed

if TYPE_CHECKING:
    from connector.runtime import Runtime
    from connector.store.vault_export import Exported
    from connector.vault.age_keys import Recipient

STANDARD = "-"


@click.command("export")
@click.argument("file")
@option(
    "--recipient",
    multiple=True,
    help="Encrypt to this public key (age1…) instead of a passphrase; may be repeated.",
)
@common_options
def export(file: str, recipient: tuple[str, ...], config: str | None) -> None:
    """Write accounts, debts, pauses, runs and pins into FILE, encrypted.

    The file is of the age format: `connector vault import` and the age tool open it. Without
    --recipient it is encrypted with a passphrase, asked for on the terminal or taken from
    CONNECTOR_EXPORT_PASSPHRASE. FILE is made, 0600, and never overwritten; - is standard output.

    Programs go on meanwhile. An export is as good as its age: a refresh token that is used after it
    was written may be replaced. To move, stop every process of this vault first. Leases,
    consents under way and the audit trail are not in it. What does not open is named on standard
    error and left out, and the exit status is 5.
    """
    settings = load(config)
    if file != STANDARD:
        check_new(Path(file))
    elif sys.stdout.isatty():
        raise click.UsageError("an export is no text: name a FILE, or let - lead into one")
    chosen = recipients(recipient)

    from connector.store.audit_entry import Entry

    async def work() -> "Exported":
        async with opened(settings) as runtime:
            with _sink(file) as sink:
                exported = await _export(runtime, sink, chosen)
            count = exported.counts.get("account", 0)
            detail = {"file": file, "format": "age"}
            runtime.trail.note(Entry(event="vault.exported", count=count, detail=detail))
            return exported

    _tell(run_async(work()), file)


async def _export(runtime: "Runtime", sink: BinaryIO, chosen: "list[Recipient]") -> "Exported":
    from connector.store.vault_export import VaultExport
    from connector.vault.age import AgeWriter

    def waiting() -> dict[tuple[str, int], bytes]:
        records = runtime.journal.waiting()
        return {(record.account_id, record.generation): record.payload for record in records}

    writer = AgeWriter(sink, chosen)
    exporting = VaultExport(runtime.database, runtime.vault, waiting)
    exported = await exporting.write(writer.write, version=__version__, now=runtime.now())
    writer.finish()
    return exported


@contextlib.contextmanager
def _sink(file: str) -> Iterator[BinaryIO]:
    """Give where an export goes.

    Raises:
        ConfigurationError: it cannot be written there, whole.
    """
    if file == STANDARD:
        try:
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # of a list nobody need read the rest; of a backup they must
            say_no_more()
            message = "was closed before the export was whole"
            raise ConfigurationError([Problem("standard output", "", message)]) from None
        return
    with new_private_file(Path(file)) as sink:
        yield sink


def _tell(exported: "Exported", file: str) -> None:
    """Say what is in the export, and what is to be known of it.

    Raises:
        VaultSealed: something did not open.
    """
    counts = exported.counts
    is_standard = file == STANDARD
    click.echo(
        f"exported: {rows_told(counts)}",
        err=is_standard,
    )
    for names, told in (
        (exported.from_journal, "with the answer that waits in the journal"),
        (exported.under_way, "was being refreshed: the answer is not in the export"),
    ):
        for name in names:
            click.echo(f"connector: {name}: {told}", err=True)
    for account, reason in exported.failures:
        click.echo(printable_line(f"connector: {account}: {reason}"), err=True)
    if exported.failures:
        raise VaultSealed(
            "not everything opened; the export has all the rest",
            "What is named above is in need of consent where it is imported.",
        )
