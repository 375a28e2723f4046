"""Jobs and runs in the words, colours and plots of pages."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from connector.duration import format_duration
from connector.jobs.run_figures import UnderWay, Whereabouts
from connector.schedule import Cron, Schedule
from connector.store.run_history import DAY, RunDay
from connector.store.run_rows import FIGURES, Figures
from connector.store.runs import Run
from connector.web.dashboard.words import State
from connector.web.plots import Day

#: So many days are plotted.
DAYS_SHOWN: Final = 30
#: A cursor is any JSON: what is longer is cut.
_LONGEST_CURSOR: Final = 120

OUTCOMES: Final = {
    one.name: one
    for one in (
        State(name="queued", title="Queued", tone="quiet"),
        State(name="running", title="Running", tone="quiet"),
        State(name="succeeded", title="Succeeded", tone="good"),
        State(name="failed", title="Failed", tone="danger"),
        State(name="consent_required", title="Needs consent", tone="danger"),
        State(name="interrupted", title="Interrupted", tone="warning"),
    )
}
_WEEKDAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_ALL_DAYS: Final = tuple(range(1, 32))
_ALL_MONTHS: Final = tuple(range(1, 13))
_ALL_WEEKDAYS: Final = tuple(range(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run as pages show it.

    Attributes:
        run: itself.
        state: how it ended, or that it is under way.
        took: how long it took, in words; empty: it is under way.
        figures: of the row, or of a run under way in this process, so far.
        cursor: where it got to; empty: not known.
        place: where it is, in a few words; empty: it does not tell, or has ended.
        done: a share of the whole, in hundredths; None: likewise.
        speed: how fast it is, how long it has waited, and the time left where that can be told;
            empty: it has ended, or nobody has told yet.
    """

    run: Run
    state: State
    took: str
    figures: Figures
    cursor: str
    place: str = ""
    done: int | None = None
    speed: str = ""

    @property
    def records(self) -> int:
        """How many rows were written."""
        return self.figures.records


def line_of(run: Run, here: UnderWay | None = None) -> RunLine:
    """Give a run as pages show it.

    Args:
        run: as it stands in the database.
        here: what is known of it, where it is under way in this process.
    """
    ended = run.finished_at
    told = here if ended is None else None
    where = _whereabouts(run, told)
    # the row has what the owners before have brought, and is some seconds old
    latest = (run, told.result) if told else (run,)
    line = RunLine(
        run=run,
        state=OUTCOMES[run.outcome],
        took="" if ended is None else format_duration(max(0.0, ended - run.started_at)),
        figures=Figures(**{name: max(getattr(one, name) for one in latest) for name in FIGURES}),
        cursor=_cursor(run.cursor),
    )
    if where is None:
        return line
    done = None if where.done is None else int(where.done * 100)
    return replace(line, place=where.text, done=done, speed=_speed(where, line.figures.waited))


def _whereabouts(run: Run, here: UnderWay | None) -> Whereabouts | None:
    """Say where a run is that is under way: as this process knows, or as its owner told last."""
    if here is not None:
        return here.whereabouts()
    is_told = run.outcome == "running" and run.place is not None
    return Whereabouts.load(run.place or "") if is_told else None


def _speed(where: Whereabouts, waited: float) -> str:
    """Say how fast a run is, as the terminal does."""
    told = [f"{where.rate:,.0f} rows a second"]
    if waited >= 1:
        told.append(f"waited {format_duration(round(waited))} for limits")
    if where.left is not None:
        told.append(f"{format_duration(max(1, round(where.left)))} left")
    return ", ".join(told)


def schedule_words(schedule: Schedule | None) -> str:
    """Say when a job runs: ``Every 15 min``, ``Monday to Friday at 06:30 (Europe/Berlin)``."""
    if schedule is None:
        return "Only when asked"
    if not isinstance(schedule, Cron):
        return f"Every {format_duration(schedule.interval)}"
    times, days = _times(schedule), _days(schedule)
    if not times or not days:
        return f"cron {schedule.text} ({schedule.zone})"
    return f"{days} {times} ({schedule.zone})"


def days_of(days: Sequence[RunDay], today: int) -> list[Day]:
    """Give what each of the last days brought, days without a run with them.

    Args:
        days: those that had runs.
        today: days since the epoch.
    """
    brought = {one.day: one for one in days}
    shown = []
    for number in range(today - DAYS_SHOWN + 1, today + 1):
        one = brought.get(number)
        shown.append(
            Day(
                at=number * DAY,
                count=None if one is None else one.records,
                failures=0 if one is None else one.failed,
            )
        )
    return shown


def _times(cron: Cron) -> str:
    """Say at which times of a day; empty where it takes more than a few words."""
    if len(cron.minutes) == 1 and len(cron.hours) == 24:
        return f"hourly, {cron.minutes[0]:02} min past"
    if len(cron.minutes) == 1 and len(cron.hours) <= 3:
        times = [f"{hour:02}:{cron.minutes[0]:02}" for hour in cron.hours]
        return f"at {_joined(times)}"
    return ""


def _days(cron: Cron) -> str:
    """Say on which days; empty where it takes more than a few words."""
    if cron.months != _ALL_MONTHS or cron.is_either_day:
        return ""
    if cron.days == _ALL_DAYS and cron.weekdays == _ALL_WEEKDAYS:
        return "Every day"
    if cron.days == _ALL_DAYS:
        first, last = cron.weekdays[0], cron.weekdays[-1]
        if len(cron.weekdays) > 2 and last - first == len(cron.weekdays) - 1:
            return f"{_WEEKDAYS[first]} to {_WEEKDAYS[last]}"
        return _joined([_WEEKDAYS[day] for day in cron.weekdays])
    if cron.weekdays == _ALL_WEEKDAYS and len(cron.days) <= 3:
        return f"Each month on day {_joined([str(day) for day in cron.days])}"
    return ""


def _joined(parts: Sequence[str]) -> str:
    return " and ".join([*([", ".join(parts[:-1])] if len(parts) > 1 else []), parts[-1]])


def _cursor(text: str | None) -> str:
    """Give a cursor as people read it: a text without its quotes, anything else as JSON."""
    if text is None:
        return ""
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    shown = value if isinstance(value, str) else text
    return shown if len(shown) <= _LONGEST_CURSOR else f"{shown[:_LONGEST_CURSOR]}…"
