"""Reads ``[jobs.*]``."""

import difflib
import re
from collections.abc import Mapping
from typing import Final, cast, get_args

from connector.account_name import parse_glob
from connector.providers.provider import Provider
from connector.schedule import Every, Schedule, parse_schedule
from connector.settings.chains import check_chains
from connector.settings.destinations import read_destination, vault_files
from connector.settings.memory import read_memory
from connector.settings.values import CatchUp, DestinationSettings, JobSettings, VaultSettings
from connector.settings.work import read_request, read_run
from connector.toml_section import Section

#: A run that takes longer is hung; an hour is long for a pull of one account.
DEFAULT_DEADLINE: Final = 3600.0
#: Of one job for one provider: a job that hangs leaves some to the provider's other jobs, and where
#: it hangs at one of its providers, its runs for another go on.
DEFAULT_RUNS: Final = 6
#: Spreads runs that are due at one moment; a tenth of the interval, at most half a minute, so that
#: a thousand accounts do not ask for a thousand tokens in the same second.
JITTER_SHARE: Final = 0.1
LONGEST_JITTER: Final = 30.0

_SCHEDULE: Final = 'write schedule = "every 15m", or five cron fields and their timezone'
_ZONE: Final = 'write timezone = "Europe/Berlin", a name of the tz database'
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


def read_jobs(
    section: Section,
    providers: Mapping[str, Provider],
    vault: VaultSettings,
    *,
    memory: int | None = None,
    allow_plaintext: bool = False,
) -> dict[str, JobSettings]:
    """Read all jobs.

    Args:
        section: the whole configuration.
        providers: that it has, for jobs that name one.
        vault: that it has, which no job may write into.
        memory: of each run of a job that says nothing else, in bytes; None: no limit.
        allow_plaintext: a literal password of a destination is accepted.
    """
    taken = vault_files(vault)
    jobs: dict[str, JobSettings] = {}
    for name, table in section.sections("jobs"):
        if _NAME.fullmatch(name) is None:
            table.problem("", "is not a job's name", "use a-z, 0-9, '-' and '_'")
            continue
        destination = read_destination(
            name, table.section("destination"), taken, allow_plaintext=allow_plaintext
        )
        job = _read_job(name, table, providers, destination, memory)
        table.finish()
        if job is not None:
            jobs[name] = job
    check_chains(section, jobs)
    return jobs


def _read_job(
    name: str,
    table: Section,
    providers: Mapping[str, Provider],
    destination: DestinationSettings | None,
    memory: int | None,
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
    after = table.optional_text("after")
    if after is not None and schedule is not None:
        table.problem("after", "stands beside a schedule", "take one of them away")
    catch_up = cast("CatchUp", table.choice("catch_up", get_args(CatchUp), "last"))
    run = read_run(table)
    request, request_table = read_request(table, provider, providers)
    jitter = table.duration("jitter", _default_jitter(schedule)) or 0.0
    deadline = table.duration("deadline", None)
    if deadline == 0:
        table.problem("deadline", "leaves a run no time", 'write deadline = "30m"')
    memory = read_memory(table, "memory", memory)
    options = table.value("options", dict) or {}
    runs = table.integer("concurrent_runs", DEFAULT_RUNS, lowest=1, highest=1024)
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
        after=after,
        catch_up=catch_up,
        scopes=table.texts("scopes"),
        request=request,
        request_table=request_table,
        concurrent_runs=runs,
        memory=memory,
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
