"""``connector audit``: who did what with which account, and whether the trail is whole."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from connector.account_name import AccountGlob, parse_glob
from connector.cli.options import common_options, json_option, option
from connector.cli.output import print_json, print_table
from connector.cli.session import load, opened, run_async
from connector.duration import parse_duration
from connector.errors import VaultSealed
from connector.moment import rfc3339

if TYPE_CHECKING:
    from connector.settings import Settings
    from connector.store.audit_walk import Verified

_COLUMNS = ("time", "event", "account", "who", "outcome", "count", "token", "detail")


def _account_glob(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> AccountGlob | None:
    """Read a glob of accounts (a click callback)."""
    try:
        return None if value is None else parse_glob(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def _moment(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> Callable[[float], float] | None:
    """Read a moment, or how long ago it was (a click callback)."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        try:
            ago = parse_duration(value)
        except ValueError:
            message = f"{value!r} is neither a date and time (2027-01-15T08:00) nor like 12h or 30d"
            raise click.BadParameter(message, param=parameter) from None
        return lambda now: now - ago
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return lambda _now: seconds


@click.command()
@option("--account", "glob", callback=_account_glob, help="Only accounts of this name or glob.")
@option(
    "--since", callback=_moment, help="Only since then: a date and time (UTC), or 12h, 30d ago."
)
@option("--event", help="Only this event, such as token.released, or a kind of them: consent.")
@option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="At most so many, the newest ones.",
)
@option("--verify", is_flag=True, help="Verify the whole trail instead.")
@json_option
@common_options
def audit(
    glob: AccountGlob | None,
    since: Callable[[float], float] | None,
    event: str | None,
    limit: int,
    config: str | None,
    *,
    verify: bool,
    json: bool,
) -> None:
    """Show who did what with which account, the newest last; times are UTC.

    With --verify every row is verified instead: what was altered, put in another place or is
    missing is named, the first of it, and the exit status is 5.
    """
    settings = load(config)
    if verify:
        verified = run_async(_verify(settings))
        if json:
            print_json(_verified_view(verified))
        else:
            click.echo(_summary(verified))
            if verified.noted is None and verified.rows:
                message = "no end is noted on this host: one that was cut off would not be noticed"
                click.echo(f"connector: {message}", err=True)
        if verified.fault is not None:
            raise VaultSealed(
                f"the audit trail does not fit: {verified.fault}",
                "Whoever did that could write to the database. A database that was restored from a"
                " backup ends earlier too: once that is looked into, remove the .mark file beside"
                " the journal.",
            )
        return
    rows = run_async(_rows(settings, glob, since, event, limit))
    if json:
        print_json([_view(row) for row in rows])
        return
    print_table(_COLUMNS, [_cells(row) for row in rows], empty="Nothing of that kind was noted.")


async def _verify(settings: "Settings") -> "Verified":
    from connector.cli.vault import _bar

    async with opened(settings) as runtime:
        with _bar("verifying", await runtime.audit.count()) as advance:
            return await runtime.audit.verify(advance)


async def _rows(
    settings: "Settings",
    glob: AccountGlob | None,
    since: Callable[[float], float] | None,
    event: str | None,
    limit: int,
) -> list[Any]:
    """Give the newest rows that fit, the newest last."""
    found: list[Any] = []
    older = 0
    async with opened(settings) as runtime:
        first = float("-inf") if since is None else since(runtime.now())
        async for row in runtime.audit.newest_first():
            # what is no moment was altered: it is shown, and is no reason to stop
            at = row.at if isinstance(row.at, int | float) else first
            account, name = _plain(row.account), str(_plain(row.event))
            is_account = glob is None or (account is not None and glob.matches(str(account)))
            is_event = event is None or name == event or name.startswith(f"{event}.")
            if is_account and is_event and at >= first:
                found.append(row)
            older = older + 1 if at < first - _LATEST else 0
            if len(found) == limit or older == _MOST_OLDER:
                break
    return found[::-1]


#: Rows are in the order in which they were written, which is that of their times but for entries
#: that could not be written for a while, and clocks that differ.
_LATEST = 86_400.0
#: So many older ones in a row end the search: a clock that was wrong for a while, or a row whose
#: time was altered, hides nothing that was written before it.
_MOST_OLDER = 1_000


def _plain(value: object) -> object:
    """Give a value as it is shown; SQLite takes bytes in the place of text."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _view(row: Any) -> dict[str, object]:
    view = {
        "number": row.number,
        "at": _time(row.at),
        "event": row.event,
        "account": row.account,
        "account_id": row.account_id,
        "actor": row.actor,
        "through": row.through,
        "outcome": row.outcome,
        "fingerprint": row.fingerprint,
        "count": row.times,
        "detail": _detail(row),
    }
    return {name: _plain(value) for name, value in view.items()}


def _cells(row: Any) -> list[str]:
    from connector.cli.main import printable_line

    detail = " ".join(f"{name}={value}" for name, value in _detail(row).items())
    actor, through = _plain(row.actor), _plain(row.through)
    cells = (
        _time(row.at),
        row.event,
        row.account or "-",
        f"{actor} ({through})" if through else actor,
        row.outcome or "-",
        str(row.times),
        row.fingerprint or "-",
        detail or "-",
    )
    return [printable_line(str(_plain(cell))) for cell in cells]


def _detail(row: Any) -> dict[str, object]:
    """Give the detail; of a row that was altered, whatever is there."""
    import json

    try:
        detail = json.loads(row.detail)
    except (TypeError, ValueError):
        detail = None
    return detail if isinstance(detail, dict) else {"altered": str(row.detail)}


def _time(at: float) -> str:
    try:
        return rfc3339(at)
    except (TypeError, ValueError, OverflowError, OSError):  # it was altered
        return str(at)


def _summary(verified: "Verified") -> str:
    if verified.first_at is None or verified.last_at is None:
        return "no row of the audit trail fits" if verified.fault else "the audit trail is empty"
    span = f"from {_time(verified.first_at)} to {_time(verified.last_at)}"
    text = f"rows that fit: {verified.rows}, {span}"
    if verified.removed:
        text += f"; {verified.removed} older ones were removed"
    return text


def _verified_view(verified: "Verified") -> dict[str, object]:
    return {
        "rows": verified.rows,
        "from": None if verified.first_at is None else _time(verified.first_at),
        "to": None if verified.last_at is None else _time(verified.last_at),
        "removed": verified.removed,
        "noted": verified.noted,
        "fault": verified.fault,
    }
