"""``connector accounts import``: accounts that another program kept, with their tokens."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from connector.cli.age_secrets import warn_of_readers
from connector.cli.main import printable_line
from connector.cli.options import common_options, option
from connector.cli.output import counted
from connector.cli.session import load, opened, run_async
from connector.errors import ConfigurationError, ConnectorError, Problem

if TYPE_CHECKING:
    from connector.consent.accounts_file import Entry
    from connector.runtime import Runtime

STANDARD: Final = "-"
#: A hundred thousand accounts have some 50 MiB.
_LARGEST: Final = 256 * 1024 * 1024
#: So many first refreshes are under way at once.
_AT_ONCE: Final = 8


@click.command("import")
@click.argument("file")
@option("--provider", help="Of accounts in FILE that name none.")
@option("--refresh", is_flag=True, help="Refresh each account once, and tell what comes of it.")
@common_options
def import_(file: str, provider: str | None, config: str | None, *, refresh: bool) -> None:
    """Make active accounts of the tokens in FILE; - is standard input.

    FILE is JSON (a list of objects) or CSV with a first line of names: provider, account,
    refresh_token, access_token, scope, expiry, consent_ends_at. expiry is when the access token
    ends, or "never"; consent_ends_at is when the refresh token ends, where that is known. A
    provider without refresh tokens (facebook) takes its long-lived token as access_token.

    Every problem is told with its line, and nothing is written unless all is good. The tokens must
    have been issued to the client registration that is configured here, and the program that had
    them must not use them again.
    """
    settings = load(config)
    data = _read(file)

    async def work() -> "ConnectorError | None":
        async with opened(settings) as runtime:
            entries = await _import(runtime, file, data, provider)
            click.echo(f"imported: {counted(len(entries), 'account')}")
            click.echo(
                "connector: WARNING: the program that had these tokens must not use them again:"
                " two that use the same refresh tokens end the grants.",
                err=True,
            )
            return await _refresh_all(runtime, entries) if refresh else None

    failure = run_async(work())
    if failure is not None:
        raise failure


async def _import(
    runtime: "Runtime", file: str, data: bytes, provider: str | None
) -> "list[Entry]":
    from connector.consent.account_import import AccountImport, read_problems
    from connector.consent.accounts_file import read_accounts_file
    from connector.store.audit_entry import Entry
    from connector.store.brought_accounts import BroughtAccounts

    problems: list[tuple[int, str, str]] = []

    def reject(line: int, message: str, remedy: str) -> None:
        problems.append((line, message, remedy))

    entries = read_accounts_file(data, provider, reject)
    brought = BroughtAccounts(runtime.database, runtime.vault, runtime.marks, runtime.seal_counts)
    importing = AccountImport(runtime.directory, brought, now=runtime.now)
    await importing.check(entries, reject)
    if problems:
        raise read_problems(file, problems)
    if entries:
        await importing.write(entries)
        detail = {"file": file, "format": "tokens"}
        runtime.trail.note(Entry(event="vault.imported", count=len(entries), detail=detail))
    return entries


async def _refresh_all(runtime: "Runtime", entries: "list[Entry]") -> ConnectorError | None:
    """Refresh each account; give the last failure, which undoes nothing."""
    free = asyncio.Semaphore(_AT_ONCE)
    failures: list[ConnectorError] = []

    async def one(name: str) -> None:
        async with free:
            try:
                await runtime.tokens.refresh(name)
            except ConnectorError as error:
                failures.append(error)
                click.echo(printable_line(f"connector: {name}: {error}"), err=True)
            else:
                click.echo(f"{name}: refreshed")

    await asyncio.gather(
        *(one(entry.account) for entry in entries if entry.refresh_token or not entry.is_endless)
    )
    return failures[-1] if failures else None


def _read(file: str) -> bytes:
    """Read the file, and say where others can read it too.

    Raises:
        ConfigurationError: it cannot be read, or is no such file.
    """
    try:
        if file == STANDARD:
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            path = Path(file)
            warn_of_readers(path)
            with path.open("rb") as source:
                data = source.read(_LARGEST + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise ConfigurationError([Problem(file, "", message)]) from None
    if len(data) > _LARGEST:
        raise ConfigurationError([Problem(file, "", "is too large", "import it in parts")])
    return data
