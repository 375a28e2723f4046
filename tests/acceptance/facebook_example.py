"""The folder examples/facebook_ads, run by the command line against a simulator.

Only its ports and its credentials are others here, and what would be waited for in real time: how
long a report may take, and the pause between two looks at it.
"""

import base64
import json
import shutil
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from connector.simulator import CallSelection, Simulator
from connector.simulator.facebook.call_log import GraphCall

from .forked import Nursery
from .installation import Installation, free_port
from .test_canary import found_in

EXAMPLE = Path(__file__).parents[2] / "examples" / "facebook_ads"

ACCOUNT = "acme/facebook"

#: Three pages of a hundred for each window of seven days; the windows before are empty.
FIRST_DAY = (datetime.now(UTC) - timedelta(days=20)).date()
USUAL = {
    "campaigns_per_account": 1,
    "ad_sets_per_campaign": 1,
    "ads_per_ad_set": 40,
    "first_delivery": FIRST_DAY.isoformat(),
}

#: What may be another one here, and what stands in its place; {url} and {port} are the test's.
CHANGES = {
    "http://127.0.0.1:8480": "{url}",
    "8470": "{port}",
    'interval = "5s"': 'interval = "100ms"',
    'deadline = "20m"': 'deadline = "1s"',
}

#: What is compared.
COLUMNS = (
    *("account_id", "account_name", "campaign_id", "campaign_name", "adset_id", "adset_name"),
    *("ad_id", "ad_name", "impressions", "clicks", "spend", "actions", "date_start", "date_stop"),
)

#: The example asks for 90 days; nothing older may be there, nor be missing.
LONGER_THAN_ASKED = timedelta(days=150)

#: Of a page: its path, its first and its last day, and how many pages and records come before it.
Page = tuple[str, str | None, str | None, tuple[str, ...]]


class FacebookExample(Installation):
    """A copy of the example.

    Args:
        folder: where it is made; it must not exist.
        simulator: its Facebook.
        nursery: see `Installation`.
    """

    def __init__(self, folder: Path, simulator: Simulator, nursery: Nursery) -> None:
        shutil.copytree(EXAMPLE, folder)
        super().__init__(folder, simulator, nursery=nursery)
        self.port = free_port()
        text = (folder / "config.toml").read_text()
        for before, after in CHANGES.items():
            assert before in text, before
            text = text.replace(before, after.format(url=simulator.url, port=self.port))
        (folder / "config.toml").write_text(text)
        self.environment["FACEBOOK_SECRET"] = simulator.app.app_secret
        self._begun = 0  # the last Graph call before the test
        self._today: dict[str, date] = {}  # of each ad account, when a pull began

    def prepare(self) -> None:
        """Make the vault, and let a person consent."""
        done = self.run("init")
        assert done.returncode == 0, done.stderr
        self.connect("facebook", ACCOUNT)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is None:
            self.assert_no_token_is_shown()

    def begin_anew(self) -> None:
        """Forget what was pulled, and what went wrong; accounts and runs stay."""
        for path in self.folder.glob("ads.db*"):
            path.unlink()
        self._change_limits("DELETE FROM rate_limit")
        facebook = self.simulator.facebook
        facebook.refusals.lift()
        self.simulator.faults.clear()
        self._begun = facebook.calls.last_number

    def pass_time(self, seconds: float) -> None:
        """Let time go by for the provider, and for what the vault knows of its limits."""
        self.simulator.clock.advance(seconds)
        moments = ("told_at", "halted_until", "expires_at")
        changes = ", ".join(f"{name} = {name} - {seconds}" for name in moments)
        self._change_limits(f"UPDATE rate_limit SET {changes}")  # noqa: S608 - names of ours

    def _change_limits(self, statement: str) -> None:
        with closing(sqlite3.connect(self.folder / "vault.db", timeout=30)) as database, database:
            database.execute(statement)

    def pull(self, job: str = "insights", *options: str) -> "subprocess.CompletedProcess[str]":
        """Run a job now."""
        self.note_today()
        return self.run("jobs", "run", job, *options)

    def pull_all(self, job: str = "insights", *options: str) -> None:
        """Run a job, which succeeds."""
        done = self.pull(job, *options)
        assert done.returncode == 0, done.stdout + done.stderr

    def last_run(self) -> tuple[str, int, str]:
        """Give outcome, number of records and error of the last run."""
        query = "SELECT outcome, records, coalesce(error, '') FROM run ORDER BY started_at DESC"
        return self.rows(f"{query} LIMIT 1", database="vault.db")[0]

    def note_today(self, *people: str) -> None:
        """Note the days up to which a pull that begins now is compared: midnight may come.

        They go by the time of the computer: the simulator's clock may be ahead of it.

        Args:
            people: whose ad accounts are pulled; none: Ada's.
        """
        now = datetime.now(UTC)
        self._today = {
            each.id: (now + timedelta(hours=each.timezone_offset_hours)).date()
            for person in people or ("ada",)
            for each in self.simulator.ads.accounts_of(person)
        }

    def found(self) -> list[dict[str, Any]]:
        """Give what was pulled of insights, in the form and the order of the truth."""
        query = f"SELECT {', '.join(COLUMNS)} FROM insights ORDER BY account_id, date_start, ad_id"  # noqa: S608
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in self.rows(query)]
        return [
            row
            for row in rows
            if row["date_start"] <= self._today[f"act_{row['account_id']}"].isoformat()
        ]

    def truth(self) -> list[dict[str, Any]]:
        """Give every row that there is, as the destination has it: figures are numbers."""
        rows = [
            row
            for ad_account, today in self._today.items()
            for row in self.simulator.truth.rows(ad_account, today - LONGER_THAN_ASKED, today)
        ]
        return [_as_stored(row) for row in rows]

    def assert_whole(self) -> None:
        """Everything was pulled, and nothing twice, by content."""
        truth = self.truth()
        assert len(truth) > 500
        assert self.found() == truth

    def calls(self, **selected: Any) -> tuple[GraphCall, ...]:
        """Give the Graph calls of the test."""
        selection = CallSelection(since_number=self._begun, **selected)
        return self.simulator.facebook.calls.calls(selection)

    def pages(self, edge: str = "insights") -> Counter[Page]:
        """Count how often each page was given."""
        return Counter(
            (call.path, call.since, call.until, _before(call.after))
            for call in self.calls(edge=edge)
            if not call.is_refused
        )

    def given_again(self, edge: str = "insights") -> int:
        """Count the pages that were given once more than was needed."""
        return sum(count - 1 for count in self.pages(edge).values())

    def refused(self, **selected: Any) -> int:
        """Count the calls that were refused."""
        return sum(call.is_refused for call in self.calls(**selected))

    def assert_no_token_is_shown(self) -> None:
        """No token or secret is in what was printed, in the destination or among the runs."""
        texts = ["\n".join(self.printed).encode()]
        texts += [path.read_bytes() for path in self.folder.glob("ads.db*")]
        texts += [repr(self.rows("SELECT * FROM run", database="vault.db")).encode()]
        # what `init` prints and the URL of a consent are seen by the person alone
        assert [found_in(text) for text in texts] == [{}] * len(texts)


def _as_stored(row: dict[str, object]) -> dict[str, Any]:
    return {
        **row,
        "impressions": int(str(row["impressions"])),
        "clicks": int(str(row["clicks"])),
        "spend": float(str(row["spend"])),
        "actions": json.dumps(row["actions"], separators=(",", ":")),
    }


def _before(cursor: str | None) -> tuple[str, ...]:
    if cursor is None:
        return ("0", "0")
    text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    _query, _given_at, *before = text.split()
    return tuple(before)
