"""Runs: the list by job, account and state, and one run, which is kept fresh while it goes on."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from connector.runtime import Runtime
from connector.store.run_history import STATES, RunChoice, RunHistory
from connector.store.runs import Run
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute
from connector.web.dashboard.run_words import RunLine, line_of
from connector.web.run_starter import RunStarter

PAGE_SIZE: Final = 50
_TABS: Final = (
    ("", "All"),
    ("queued", "Queued"),
    ("running", "Running"),
    ("succeeded", "Succeeded"),
    ("failed", "Failed"),
)
#: No name of a job or an account is longer.
LONGEST_TEXT: Final = 200


class RunPages:
    """Routes of runs.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
        starter: has the runs that are under way here.
        history: reads runs.
    """

    def __init__(
        self, runtime: Runtime, frame: Frame, starter: RunStarter, history: RunHistory
    ) -> None:
        self._runtime = runtime
        self._frame = frame
        self._starter = starter
        self._history = history

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        return [
            self._frame.page("/runs", self.show_list),
            self._frame.page("/runs/{run}", self.show),
        ]

    async def show_list(self, request: Request) -> Response:
        """Show the runs that were asked for."""
        query = request.query_params
        state = query.get("state", "")
        choice = RunChoice(
            job=plain(query.get("job", "")),
            account=plain(query.get("account", "")),
            state=state if state in STATES else "",
        )
        before, after = query.get("before", ""), query.get("after", "")
        page = await self._history.page(choice, limit=PAGE_SIZE, before=before, after=after)
        fields = {"job": choice.job, "account": choice.account}
        whole = {**fields, "state": choice.state}
        values = {
            "lines": self.lines(page.runs),
            "choice": choice,
            "tabs": [
                (_path({**fields, "state": name}), title, choice.state == name)
                for name, title in _TABS
            ],
            "jobs": sorted({*self._runtime.settings.jobs, *filter(None, [choice.job])}),
            "is_chosen": bool(choice.job or choice.account or choice.state or before or after),
            "newer": _path({**whole, "after": page.newer}) if page.newer else "",
            "older": _path({**whole, "before": page.older}) if page.older else "",
        }
        return await self._frame.render(request, "runs.html", values)

    async def show(self, request: Request) -> Response:
        """Show a run."""
        run = await self._history.get(plain(request.path_params["run"]))
        if run is None:
            values = {
                "heading": "There is no such run",
                "text": "It was never there, or belongs to another vault.",
                "status": 404,
            }
            return await self._frame.render(request, "error.html", values, status=404)
        (line,) = self.lines([run])
        is_here = self._starter.runner.progress(run.id) is not None
        log = await self._runtime.runs.logs.of_run(run.id)
        values = {"line": line, "run": run, "is_here": is_here, "log": log}
        return await self._frame.render(request, "run.html", values)

    def lines(self, runs: Iterable[Run]) -> list[RunLine]:
        """Give runs as pages show them, those under way with what they have committed so far."""
        return [line_of(run, self._starter.runner.progress(run.id)) for run in runs]


def plain(text: str) -> str:
    """Give a text of a query as any database takes it."""
    return text.strip()[:LONGEST_TEXT].replace("\0", "").encode(errors="replace").decode()


def _path(fields: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/runs?{query}" if query else "/runs"
