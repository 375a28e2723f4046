"""Reads ``[jobs.*]``."""

import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector.account_name import parse_glob
from connector.providers.provider import Provider
from connector.schedule import Every, Schedule, parse_schedule
from connector.secret import SecretReference
from connector.settings.tables import absolute_sqlite_url
from connector.settings.values import DestinationSettings, JobSettings, VaultSettings
from connector.toml_section import Section

#: A run that takes longer is hung; an hour is long for a pull of one account.
DEFAULT_DEADLINE: Final = 3600.0
#: Spreads runs that are due at one moment; a tenth of the interval, at most half a minute, so that
#: a thousand accounts do not ask for a thousand tokens in the same second.
JITTER_SHARE: Final = 0.1
LONGEST_JITTER: Final = 30.0

_SCHEDULE: Final = 'write schedule = "every 15m", or five cron fields and their timezone'
_DESTINATION: Final = 'write "sqlite:///ads.db" or "jsonl:ads.jsonl"'
_APART: Final = 'name another file: "sqlite:///ads.db"'
_ZONE: Final = 'write timezone = "Europe/Berlin", a name of the tz database'
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")
_CALLABLE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_TABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read_jobs(
    section: Section, providers: Mapping[str, Provider], vault: VaultSettings
) -> dict[str, JobSettings]:
    """Read all jobs.

    Args:
        section: the whole configuration.
        providers: that it has, for jobs that name one.
        vault: that it has, which no job may write into.
    """
    taken = _vault_files(vault)
    jobs: dict[str, JobSettings] = {}
    for name, table in section.sections("jobs"):
        if _NAME.fullmatch(name) is None:
            table.problem("", "is not a job's name", "use a-z, 0-9, '-' and '_'")
            continue
        job = _read_job(name, table, providers, taken)
        table.finish()
        if job is not None:
            jobs[name] = job
    return jobs


def _read_job(
    name: str, table: Section, providers: Mapping[str, Provider], taken: frozenset[Path]
) -> JobSettings | None:
    glob = table.parsed("account", parse_glob, None, 'write account = "acme/*"')
    provider = table.optional_text("provider")
    if "account" not in table and provider is None:
        table.problem("account", "is missing", 'write account = "acme/*", or name a provider')
    if provider is not None and provider not in providers:
        nearest = difflib.get_close_matches(provider, providers, n=1)
        known = ", ".join(providers) or "none"
        remedy = f"did you mean {nearest[0]}?" if nearest else f"configured here: {known}"
        table.problem("provider", f"there is no provider {provider!r}", remedy)
    schedule = _read_schedule(table)
    run = table.text("run")
    if table.value("request", dict) is not None:
        table.problem("request", "is not available in this version", "write a callable: run = …")
    elif not run:
        table.problem("run", "is missing", 'write run = "my_package.pulls:insights"')
    elif _CALLABLE.fullmatch(run) is None:
        remedy = 'write run = "my_package.pulls:insights"'
        table.problem("run", f"{run!r} is not of the form module:function", remedy)
    destination = _read_destination(name, table.section("destination"), taken)
    jitter = table.duration("jitter", _default_jitter(schedule)) or 0.0
    deadline = table.duration("deadline", None)
    if deadline == 0:
        table.problem("deadline", "leaves a run no time", 'write deadline = "30m"')
    options = table.value("options", dict) or {}
    if destination is None:
        return None
    return JobSettings(
        name=name,
        accounts=glob or parse_glob("**"),
        provider=provider,
        schedule=schedule,
        run=run,
        destination=destination,
        deadline=DEFAULT_DEADLINE if deadline is None else deadline,
        jitter=jitter,
        options={str(key): value for key, value in options.items()},
    )


def _read_schedule(table: Section) -> Schedule | None:
    """Read the schedule and its time zone; what is wrong with each is told."""
    zone = table.parsed("timezone", _parse_zone, "UTC", _ZONE) or "UTC"
    return table.parsed("schedule", lambda text: parse_schedule(text, zone), None, _SCHEDULE)


def _parse_zone(text: str) -> str:
    """Check a time zone, by a schedule with which nothing else can be wrong."""
    parse_schedule("* * * * *", text)
    return text


def _default_jitter(schedule: Schedule | None) -> float:
    if isinstance(schedule, Every):
        return min(schedule.interval * JITTER_SHARE, LONGEST_JITTER)
    return LONGEST_JITTER if schedule is not None else 0.0


def _read_destination(
    job: str, section: Section, taken: frozenset[Path]
) -> DestinationSettings | None:
    to = section.text("to", is_required=True)
    table = section.text("table", job.replace("-", "_"))
    if _TABLE.fullmatch(table) is None:
        section.problem("table", f"{table!r} is not a table's name", "use A-Z, a-z, 0-9 and '_'")
    key = section.texts("key")
    section.finish()
    is_sqlite = to.startswith("sqlite:///")
    if to in {"sqlite:///", "jsonl:"} or (is_sqlite and ":memory:" in to):
        section.problem("to", "names no file", _DESTINATION)
        return None
    if is_sqlite:
        url = absolute_sqlite_url(to, section.folder)
    elif to.startswith("jsonl:"):
        path = Path(to.removeprefix("jsonl:")).expanduser()
        url = f"jsonl:{(section.folder / path).resolve()}"
    else:
        if to:
            section.problem("to", "is no destination", _DESTINATION)
        return None
    if Path(url.removeprefix("sqlite:///").removeprefix("jsonl:")) in taken:
        section.problem("to", "is the vault: records would be written among its secrets", _APART)
        return None
    return DestinationSettings(url=url, table=table, key=key)


def _vault_files(vault: VaultSettings) -> frozenset[Path]:
    """Give the files of the vault's database, where it is known and has files."""
    if isinstance(vault.url, SecretReference) or not vault.url.startswith("sqlite:///"):
        return frozenset()
    path = vault.url.removeprefix("sqlite:///")
    return frozenset(Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal"))
