"""Jobs: when they run and what came of it; run now, pause and resume."""

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from connector.runtime import Runtime
from connector.settings import JobSettings
from connector.store.account_names import AccountName, AccountNames
from connector.store.queued_runs import NONE_OPEN
from connector.store.run_history import DAY, RunChoice, RunHistory
from connector.store.runs import Run
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute, field_of
from connector.web.dashboard.paging import Paging, page_number
from connector.web.dashboard.run_words import DAYS_SHOWN, RunLine, days_of, schedule_words
from connector.web.dashboard.runs import RunPages
from connector.web.dashboard.words import STATES, State
from connector.web.plots import Day, bar_plot, sparkline
from connector.web.run_starter import RunStarter

#: Accounts of a job on one page.
PAGE_SIZE: Final = 50
#: So many runs under way are shown first: as many as one daemon executes at once, and some more.
_UNDER_WAY: Final = 20
#: So many of the last failures are told.
_FAILURES: Final = 5


class JobPages:
    """Routes of jobs.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
        starter: begins runs.
        history: reads runs.
        runs: shows them.
    """

    def __init__(
        self,
        runtime: Runtime,
        frame: Frame,
        starter: RunStarter,
        history: RunHistory,
        runs: RunPages,
    ) -> None:
        self._runtime = runtime
        self._frame = frame
        self._starter = starter
        self._history = history
        self._runs = runs
        self._names = AccountNames(runtime.database)

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        return [
            self._frame.page("/jobs", self.show_list),
            self._frame.page("/jobs/{job}", self.show),
            self._frame.action("/jobs/{job}/run", self.run),
            self._frame.action("/jobs/{job}/pause", self.pause),
            self._frame.action("/jobs/{job}/resume", self.resume),
        ]

    async def show_list(self, request: Request) -> Response:
        """Show all jobs."""
        jobs = self._runtime.settings.jobs
        last, paused = await self._history.last(jobs), await self._runtime.runs.paused()
        counts = await self._runtime.runs.queue.count()
        rows = []
        for name, job in jobs.items():
            line = self._runs.lines([last[name]])[0] if name in last else None
            days = await self._days(name)
            rows.append(
                self._when(job, is_paused=name in paused)
                | {
                    "line": line,
                    "open": counts.get(name, NONE_OPEN),
                    "records": sum(one.count or 0 for one in days),
                    "spark": sparkline(days, what="rows"),
                }
            )
        return await self._frame.render(request, "jobs.html", {"rows": rows, "days": DAYS_SHOWN})

    async def show(self, request: Request) -> Response:
        """Show a job: what each day brought, what is under way, its failures, its accounts."""
        job = self._job(request)
        if job is None:
            return await self._unknown(request)
        paused = await self._runtime.runs.paused()
        names = await self._names.of(job.accounts, job.provider)
        number = page_number(request.query_params.get("page", ""))
        shown = names[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
        last = await self._history.last_of_accounts(job.name, [one.name for one in shown])
        running = RunChoice(job=job.name, state="running")
        under_way = await self._history.page(running, limit=_UNDER_WAY)
        choice = RunChoice(job=job.name, state="failed")
        failures = await self._history.page(choice, limit=_FAILURES)
        days = await self._days(job.name)
        title = f"Rows of {job.name} per day, the last {DAYS_SHOWN} days (UTC)"
        paging = Paging(number=number, size=PAGE_SIZE, total=len(names), path=f"/jobs/{job.name}")
        values = self._when(job, is_paused=job.name in paused) | {
            "accounts": self._accounts(shown, last),
            "active": sum(one.state == "active" for one in names),
            "paging": paging,
            "under_way": self._runs.lines(under_way.runs),
            "failures": self._runs.lines(failures.runs),
            "records": sum(one.count or 0 for one in days),
            "plot": bar_plot(days, name="rows", title=title, what="rows"),
            "days": DAYS_SHOWN,
        }
        return await self._frame.render(request, "job.html", values)

    async def run(self, request: Request) -> Response:
        """Begin a run for every active account of a job, or for one."""
        job = self._job(request)
        if job is None:
            return await self._unknown(request)
        path, wanted = f"/jobs/{job.name}", field_of(request, "account")
        names = [
            one.name
            for one in await self._names.of(job.accounts, job.provider)
            if one.state == "active" and wanted in {"", one.name}
        ]
        if not names:
            text = "No account of this job is active: connect one first."
            if wanted:
                text = f"{wanted} is not active, or not of this job."
            return self._frame.go(request, path, text, level="danger")
        begun = await self._starter.start(job, names, None)
        states = [one.state for one in begun.values()]
        if all(state == "already_running" for state in states):
            text = "It runs already." if len(names) == 1 else "All its runs are under way already."
            return self._frame.go(request, path, text, level="warning")
        if len(names) == 1 and (run := begun[names[0]].run):
            return self._frame.go(request, f"/runs/{run}", f"A run for {names[0]} has begun.")
        parts = [
            f"{states.count(state):,} {word}"
            for state, word in (
                ("begun", "have begun"),
                ("waiting", "wait for a place"),
                ("already_running", "were under way already"),
            )
            if state in states
        ]
        return self._frame.go(request, path, f"Runs: {', '.join(parts)}.")

    async def pause(self, request: Request) -> Response:
        """Keep a job from running on its schedule."""
        job = self._job(request)
        if job is None:
            return await self._unknown(request)
        await self._runtime.runs.pause(job.name, now=self._runtime.now())
        text = f"{job.name} is paused: it does not run on its schedule until it is resumed."
        return self._frame.go(request, f"/jobs/{job.name}", text)

    async def resume(self, request: Request) -> Response:
        """Let a job run on its schedule again."""
        job = self._job(request)
        if job is None:
            return await self._unknown(request)
        await self._runtime.runs.resume(job.name, now=self._runtime.now())
        text = f"{job.name} runs on its schedule again."
        return self._frame.go(request, f"/jobs/{job.name}", text)

    def _job(self, request: Request) -> JobSettings | None:
        return self._runtime.settings.jobs.get(request.path_params["job"])

    async def _unknown(self, request: Request) -> Response:
        values = {
            "heading": "There is no such job",
            "text": "Jobs are declared in config.toml, as [jobs.NAME].",
            "status": 404,
        }
        return await self._frame.render(request, "error.html", values, status=404)

    def _when(self, job: JobSettings, *, is_paused: bool) -> dict[str, object]:
        is_due = job.schedule is not None and not is_paused
        return {
            "job": job,
            "schedule": f"After {job.after}" if job.after else schedule_words(job.schedule),
            "is_paused": is_paused,
            "next": job.schedule.next_after(self._runtime.now())
            if job.schedule and is_due
            else None,
        }

    def _accounts(
        self, shown: Sequence[AccountName], last: Mapping[str, Run]
    ) -> list[tuple[AccountName, State, RunLine | None]]:
        return [
            (
                one,
                STATES[one.state],
                self._runs.lines([last[one.name]])[0] if one.name in last else None,
            )
            for one in shown
        ]

    async def _days(self, job: str) -> list[Day]:
        today = int(self._runtime.now() // DAY)
        return days_of(await self._history.days(job, today=today, count=DAYS_SHOWN), today)
