"""``connector vault``: verifies what the vault has sealed, and rotates its data key or seal.

The commands that move it elsewhere are in `vault_export` and `vault_import`.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from connector.cli.main import printable_line
from connector.cli.options import common_options, json_option, option
from connector.cli.output import print_json
from connector.cli.session import load, opened, run_async
from connector.cli.vault_export import export
from connector.cli.vault_import import import_
from connector.cli.vault_seals import change_seal, status
from connector.errors import TemporarilyUnavailable, VaultSealed

if TYPE_CHECKING:
    from connector.runtime import Runtime
    from connector.store.sealed_values import Census, SealedValues


@click.group()
def vault() -> None:
    """Show, verify and rotate the vault's keys; change its seal; export and import it."""


vault.add_command(status)
vault.add_command(export)
vault.add_command(import_)


@vault.command()
@common_options
@json_option
def verify(config: str | None, *, json: bool) -> None:
    """Open every sealed value.

    How many there are under which data key is told. What does not open is named with its account on
    standard error, and with --json in the answer too; the exit status is 5. Nothing is changed.
    """
    settings = load(config)

    async def work() -> "Census":
        async with opened(settings) as runtime:
            return await _census(_values(runtime))

    census = run_async(work())
    if json:
        failures = [{"account": name, "reason": reason} for name, reason in census.failures]
        keys = {str(key): count for key, count in sorted(census.keys.items())}
        print_json({"values_by_data_key": keys, "failures": failures})
    else:
        click.echo(_counted(census))
    _tell_failures(census)


@vault.command()
@option("--resume", is_flag=True, help="Make no new key: finish a rotation that was cut off.")
@option("--seal", help="Change the seal instead, to this one; the same one is wrapped anew.")
@option("--keep", is_flag=True, help="With --seal: the other seals go on opening the vault.")
@common_options
def rotate(config: str | None, *, resume: bool, seal: str | None, keep: bool) -> None:
    """Make a new data key and seal all anew; with --seal, change what protects the root key.

    Programs go on meanwhile; they take the new key up when they next read a value that was sealed
    with it. A rotation may be cut off at any moment: everything opens, and --resume goes on. What
    does not open is left as it is, and the exit status is 5; it is 4 where others still wrote under
    an older key. Older keys stay in the vault: backups and answers in the journal may need them.

    With --seal the vault is opened with the configured seal, and its root key is wrapped with
    another one, tried, and written in one transaction. Programs that have the vault open go on. The
    line for the configuration is printed.
    """
    if seal is None and keep:
        raise click.UsageError("--keep goes with --seal")
    if seal is not None and resume:
        raise click.UsageError("--resume is about the data key: leave out --seal, or --resume")
    settings = load(config)
    if seal is not None:
        change_seal(settings, seal, keep=keep)
        return

    async def work() -> tuple["Census", int]:
        async with opened(settings) as runtime:
            census = await _rotate(runtime, is_resumed=resume)
            return census, runtime.vault.current_key_id

    census, newest = run_async(work())
    click.echo(_counted(census))
    _tell_failures(census)
    if census.keys.keys() - {newest}:
        raise TemporarilyUnavailable(
            "other processes have sealed values with an older key meanwhile; "
            "type: connector vault rotate --resume"
        )


async def _rotate(runtime: "Runtime", *, is_resumed: bool) -> "Census":
    from connector.store.audit_entry import Entry
    from connector.store.vault_keys import make_data_key

    values = _values(runtime)
    if not is_resumed:
        key_id = await make_data_key(runtime.database, runtime.vault, now=runtime.now())
        runtime.trail.note(Entry(event="vault.key_made", detail={"key": key_id}))
        click.echo(f"data key {key_id} made: new values are sealed with it")
    total = await values.count()
    with _bar("sealing anew", total) as advance:
        resealed = await values.reseal(advance)
    newest = {"key": runtime.vault.current_key_id}
    runtime.trail.note(Entry(event="vault.resealed", count=resealed, detail=newest))
    click.echo(f"values sealed anew: {resealed}")
    return await _census(values)


async def _census(values: "SealedValues") -> "Census":
    with _bar("verifying", await values.count()) as advance:
        return await values.census(advance)


def _values(runtime: "Runtime") -> "SealedValues":
    from connector.store.sealed_values import SealedValues

    return SealedValues(runtime.database, runtime.vault, counts=runtime.seal_counts)


def _counted(census: "Census") -> str:
    if not census.keys:
        return "no value opens" if census.failures else "nothing is sealed yet"
    keys = ", ".join(f"{count} with data key {key}" for key, count in sorted(census.keys.items()))
    return f"values that open: {keys}"


def _tell_failures(census: "Census") -> None:
    """Name what does not open.

    Raises:
        VaultSealed: there is something.
    """
    if not census.failures:
        return
    for account, reason in census.failures:
        click.echo(printable_line(f"connector: {account}: {reason}"), err=True)
    count = len(census.failures)
    raise VaultSealed(
        f"{count} sealed values do not open" if count > 1 else "one sealed value does not open",
        "No other is touched; restore the database from a backup, or connect these accounts again.",
    )


@contextlib.contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar of rows on a terminal, and nothing anywhere else; give what advances it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from connector.cli.run_display import while_read

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield lambda _rows: None
        return
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} rows"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    task = progress.add_task(what, total=total)
    with while_read():
        progress.start()
    try:
        yield lambda rows: progress.advance(task, rows)
    finally:
        with while_read():
            progress.stop()
