"""Guards of the walk of a declared pull: what is written down when, and what is sent again."""

from typing import Final

from tests.mutations.mutation import Table, of

_PAGES: Final = "tests/unit/jobs/pull/test_pages.py"
_WINDOWS: Final = "tests/unit/jobs/pull/test_windows.py"
_ERRORS: Final = "tests/unit/jobs/pull/test_errors.py"
_REPORT: Final = "tests/unit/jobs/pull/test_report.py"
_SENDING: Final = "tests/unit/jobs/pull/test_sending.py"
_HELD: Final = "tests/unit/jobs/test_held_credentials.py"
_TAIL: Final = "tests/unit/jobs/destinations/test_unsynced_tail.py"
_PACED: Final = "tests/unit/jobs/destinations/test_paced_commits.py"
_LEDGER: Final = "tests/unit/jobs/test_limit_ledger.py"

_MUTATIONS: Final = (
    *of(
        "connector/jobs/pull/pull.py",
        (
            "a part that is complete is not pulled again",
            "[part for part in self._ordered(parts) if part.id not in done]",
            "self._ordered(parts)",
            _WINDOWS,
        ),
        (
            "the part that is under way comes first",
            "key=lambda part: (part.id != self.place.part, failed",
            "key=lambda part: (False, failed",
            _WINDOWS,
        ),
        (
            "a backfill moves no cursor of the schedule",
            "if reached is not None and not self.work.is_lane and",
            "if reached is not None and",
            _WINDOWS,
        ),
        (
            "a cursor does not go back",
            "        return last < reached  # type: ignore[operator]",
            "        return True",
            _PAGES,
        ),
    ),
    *of(
        "connector/jobs/pull/place.py",
        (
            "a checkpoint of another declaration is not gone on with",
            'if checkpoint.get("declaration") != declaration:',
            "if False:",
            _PAGES,
        ),
    ),
    *of(
        "connector/jobs/pull/span.py",
        (
            "what was not over when a window was begun is asked for again",
            "return self.window_from(self.complete(place))",
            "return self.window_from(window.until)",
            _WINDOWS,
        ),
    ),
    *of(
        "connector/jobs/pull/walk.py",
        (
            "a link is kept without what the credential adds",
            "following(pagination, state, answer, secrets=reply.credential.params)",
            "following(pagination, state, answer)",
            _PAGES,
        ),
        (
            "a window begins anew so many times and no more",
            "if self._place.page is not None and self._restarts < _RESTARTS:",
            "if self._place.page is not None:",
            _ERRORS,
        ),
    ),
    *of(
        "connector/jobs/pull/asking.py",
        (
            "no token is sent again once it was rejected",
            "        if fresh.token.value in attempts.rejected:\n",
            "        if False:\n",
            _ERRORS,
        ),
        (
            "a fresh token that is rejected too ends the run",
            "        if len(attempts.rejected) >= _TOKENS:\n",
            "        if False:\n",
            _ERRORS,
        ),
        (
            "a request is tried so often and no more",
            "        if attempts.failures >= self._pull.tries:\n",
            "        if False:\n",
            _ERRORS,
        ),
        (
            "a refusal holds for all who share the limit",
            "                self._limits.halt(verdict.scope or signs.scope, part, seconds)\n",
            "",
            _ERRORS,
        ),
    ),
    *of(
        "connector/jobs/pull/waiting.py",
        (
            "no wait goes beyond the run's deadline",
            " or seconds > left - _RESERVE:",
            ":",
            _ERRORS,
        ),
    ),
    *of(
        "connector/jobs/pull/report.py",
        (
            "a report is written down before it is asked after",
            "        self._commit()\n        return place.report\n",
            "        return place.report\n",
            _REPORT,
        ),
        (
            "a report that can no longer be read is ordered anew",
            "if report is not None and self._is_over(report, self._rule.lifetime):",
            "if False:",
            _REPORT,
        ),
    ),
    *of(
        "connector/jobs/pull/sending.py",
        (
            "a redirect to another origin is not followed",
            "        if not is_same:\n",
            "        if False:\n",
            _SENDING,
        ),
        (
            "a body has a longest length",
            "        if length > LARGEST_BODY:\n",
            "        if False:\n",
            _SENDING,
        ),
    ),
    *of(
        "connector/jobs/held_credentials.py",
        (
            "a credential is asked for again after a second",
            " and self._clock() < until and",
            " and",
            _HELD,
        ),
        (
            "a credential that was rejected is given up",
            "        if rejected is None and ",
            "        if ",
            _HELD,
        ),
    ),
    *of(
        "connector/jobs/destinations/unsynced_tail.py",
        (
            "what a power cut has taken is pulled again",
            "        if boot != self._boot and ",
            "        if False and ",
            _TAIL,
        ),
        (
            "a file is synced once a second",
            "        is_young = 0 <= now - since < INTERVAL and ",
            "        is_young = ",
            _TAIL,
        ),
        (
            "the states before are kept beside what is not synced",
            "        if not self._is_lazy:\n            return\n",
            "        return\n",
            _TAIL,
        ),
        (
            "what is known of keys goes back with the lines that a power cut has taken",
            '        self._database.execute("DELETE FROM content WHERE start >= (SELECT start FROM unsynced)")\n',
            "",
            _TAIL,
        ),
    ),
    *of(
        "connector/jobs/destinations/json_lines.py",
        (
            "a disk that fails takes the commits since the last sync back",
            "                if isinstance(error, NotSynced) and self._tail is not None:\n",
            "                if False:\n",
            _TAIL,
        ),
    ),
    *of(
        "connector/jobs/destinations/wal.py",
        (
            "of SQLite's commits one a second waits for the disk",
            "is_durable or now - self._synced_at >= self.interval",
            "is_durable",
            _PACED,
        ),
    ),
    *of(
        "connector/jobs/destinations/sqlite.py",
        (
            "the last commit of a run waits for the disk",
            "            if is_owed:\n",
            "            if False:\n",
            _PACED,
        ),
    ),
    *of(
        "connector/jobs/newest.py",
        (
            "the newest word is told though nothing follows",
            "            self._waiting = message\n            self._is_waiting.set()\n",
            "            self._waiting = message\n",
            "tests/unit/jobs/test_newest.py",
        ),
    ),
    *of(
        "connector/jobs/limit_ledger.py",
        (
            "a halt holds for who has waited for a turn too",
            "        begin = max((limit.until for limit in near), default=now)\n",
            "        begin = now\n",
            _LEDGER,
        ),
        (
            "each call has a turn of its own",
            "                limit.turn = max(begin, now) + max(limit.spread, _AFTER_HALT)\n",
            "                pass\n",
            _LEDGER,
        ),
    ),
)

WALKING: Final = Table(title="The walk of a declared pull", mutations=_MUTATIONS)
