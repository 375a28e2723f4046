"""The HTTP API of jobs: which there are, what came of their runs, and a run now."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connector import errors
from connector.account import Account, Active, ConsentRequired
from connector.runtime import Runtime
from connector.settings import JobSettings
from connector.store.run_history import RunHistory
from connector.store.run_logs import MOST_LINES
from connector.web.body import UnusableBody, read_object
from connector.web.caller import Caller, caller_of, route
from connector.web.job_views import job_view, log_view, run_view
from connector.web.problems import problem
from connector.web.run_starter import RunStarter

DEFAULT_LIMIT: Final = 20
MOST_RUNS: Final = 1000
#: No run says more lines than that: a number that every JSON reader takes (RFC 8259, section 6).
LAST_LINE: Final = 2**53 - 1
#: What the body of a request for a run may say.
_MEMBERS: Final = frozenset({"account", "since"})


class JobRuns:
    """Routes of jobs and runs.

    Args:
        runtime: the daemon's objects.
        starter: begins runs.
    """

    def __init__(self, runtime: Runtime, starter: RunStarter) -> None:
        self._runtime = runtime
        self._jobs: Mapping[str, JobSettings] = runtime.settings.jobs
        self._starter = starter
        self._history = RunHistory(runtime.database)

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            route("/v1/jobs", self.jobs, "jobs:run", methods=["GET"]),
            route("/v1/jobs/{job}/runs", self.start, "jobs:run", methods=["POST"]),
            route("/v1/runs", self.runs, "jobs:run", methods=["GET"]),
            route("/v1/runs/{run}/log", self.log, "jobs:run", methods=["GET"]),
        ]

    async def jobs(self, request: Request) -> Response:
        """List the jobs of the configuration, each with its last run that the caller may see.

        One that names a single account is left out for who may not know of that account.
        """
        caller = caller_of(request.scope)
        seen = await self._seen_by(caller)
        latest, paused = await self._runtime.runs.latest(seen), await self._runtime.runs.paused()
        now = self._runtime.now()
        views = [
            job_view(job, latest.get(name), is_paused=name in paused, now=now)
            for name, job in self._jobs.items()
            if not job.accounts.is_literal or caller.sees(job.accounts.text)
        ]
        return JSONResponse(views)

    async def runs(self, request: Request) -> Response:
        """List the last runs, the newest first."""
        query = request.query_params
        limit = _number(query, "limit", DEFAULT_LIMIT, lowest=1, highest=MOST_RUNS)
        runs = await self._runtime.runs.history(
            query.get("job"),
            account=query.get("account"),
            accounts=await self._seen_by(caller_of(request.scope)),
            limit=limit,
        )
        return JSONResponse([run_view(run) for run in runs])

    async def log(self, request: Request) -> Response:
        """Give what a run has said, masked as it was kept; while it goes on, so far."""
        query, caller = request.query_params, caller_of(request.scope)
        after = _number(query, "after", 0, lowest=0, highest=LAST_LINE)
        limit = _number(query, "limit", MOST_LINES, lowest=1, highest=MOST_LINES)
        name = request.path_params["run"]
        run = None if "\0" in name else await self._history.get(name)
        if run is not None and not caller.sees(run.account):
            caller.refused("not_theirs")
            run = None
        if run is None:
            return problem(404, "unknown-run", f"there is no run {name!r}", members={"run": name})
        lines = await self._runtime.runs.logs.of_run(run.id, after=after, limit=limit)
        return JSONResponse([log_view(line) for line in lines])

    async def start(self, request: Request) -> Response:
        """Begin a run of a job now, for every active account that it selects or for one."""
        name = request.path_params["job"]
        job = self._jobs.get(name)
        if job is None:
            return problem(404, "unknown-job", f"there is no job {name!r}", members={"job": name})
        wish = await read_object(request, is_optional=True)
        only = wish.get("account")
        if only is not None and not isinstance(only, str):
            raise UnusableBody(400, "bad-request", "account must be a string")
        unknown = sorted(wish.keys() - _MEMBERS)
        if unknown:
            detail = f"{unknown[0]!r} is not known here: account and since are"
            raise UnusableBody(400, "bad-request", detail)
        accounts = await self._select(job, only, caller_of(request.scope))
        if not accounts:
            detail = f"job {name} selects no account: connect one first"
            return problem(409, "no-account", detail, members={"job": name})
        names = [one.name for one in accounts]
        begun = await self._starter.start(job, names, wish.get("since"))
        if all(one.state == "already_running" for one in begun.values()):
            detail = f"job {name} runs already, for every account that was asked for"
            return problem(409, "already-running", detail, members={"job": name})
        runs = [
            {"account": account, "run": one.run, "state": one.state}
            for account, one in begun.items()
        ]
        return JSONResponse({"job": name, "runs": runs}, status_code=202)

    async def _seen_by(self, caller: Caller) -> frozenset[str] | None:
        """Give the accounts with runs that a caller may see; None: all."""
        if caller.key is None:
            return None
        return frozenset(filter(caller.sees, await self._runtime.runs.accounts()))

    async def _select(self, job: JobSettings, name: str | None, caller: Caller) -> list[Account]:
        """Give the active accounts to run for, of those that the caller may see.

        Raises:
            UnknownAccount: the one that is named does not exist, or the job does not select it.
            ConsentRequired: it, or every account that the job selects, is not active.
        """
        runner = self._starter.runner
        if name is None:
            selected = [one for one in await runner.accounts_of(job) if caller.sees(one.name)]
        elif not caller.sees(name):
            caller.refused("not_theirs")
            raise errors.UnknownAccount(name)
        else:
            selected = [await runner.require_account(job, name)]
        active = [one for one in selected if isinstance(one.state, Active)]
        if selected and not active:
            first = selected[0]
            reason = "nobody has consented yet"
            if isinstance(first.state, ConsentRequired):
                reason = first.state.reason
            raise errors.ConsentRequired(first.name, reason, provider=first.provider)
        return active


def _number(query: Mapping[str, str], name: str, default: int, *, lowest: int, highest: int) -> int:
    """Read a number of the query.

    Raises:
        UnusableBody: it is none, or out of bounds.
    """
    text = query.get(name, str(default))
    number = int(text) if text.isdecimal() and len(text) <= len(str(highest)) else -1
    if not lowest <= number <= highest:
        detail = f"{name} must be a number from {lowest} to {highest}"
        raise UnusableBody(400, "bad-request", detail)
    return number
