"""The story that ``connector demo`` tells, scene by scene; each claim is checked."""

import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from connector.cli.browser import has_browser
from connector.cli.demo.display import Display, Gauge, LiveDisplay, PlainDisplay
from connector.cli.demo.evidence import Evidence
from connector.cli.demo.stage import Event, Stage

#: Access tokens of the standard provider live this long (s): each run needs a new one.
LIFETIME: Final = 4
#: Both jobs are due every so many seconds.
INTERVAL: Final = 4
RUNS: Final = 3
#: A person who has not consented in the browser by then is played.
PATIENCE: Final = 15.0
#: Each scene ends within this time (s), or the story has gone wrong: most take three, and ten times
#: that on a machine that is busy.
SCENE_TIME: Final = 60.0

FACEBOOK: Final = "demo/facebook"
ADS: Final = "demo/ads"
_TABLES: Final = {FACEBOOK: "facebook", ADS: "ads"}


class WentWrong(Exception):
    """The story did not go as it is told; the message says where."""


def tell(keep: str | None, *, may_open: bool) -> int:
    """Tell the story; give the exit status.

    Args:
        keep: a new folder that stays; None: a temporary one.
        may_open: a browser may be opened.
    """
    display: Display = LiveDisplay() if sys.stdout.isatty() else PlainDisplay()
    if keep is not None:
        folder = Path(keep).expanduser().resolve()
        if folder.exists() and any(folder.iterdir()):
            click.echo(f"connector: {folder} is not empty", err=True)
            return 2
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _tell(folder, display, may_open=may_open, is_kept=True)
    with tempfile.TemporaryDirectory(prefix="connector-demo-") as temporary:
        return _tell(Path(temporary), display, may_open=may_open, is_kept=False)


def _tell(folder: Path, display: Display, *, may_open: bool, is_kept: bool) -> int:
    stage = Stage(folder)
    story = Story(stage, display, may_open=may_open and sys.stdout.isatty() and has_browser())
    try:
        story.set_the_scene()
        story.consent("facebook", FACEBOOK)
        story.consent("ads", ADS)
        story.watch_runs()
        story.revoke()
        story.sum_up(is_kept=is_kept)
    except WentWrong as error:
        display.close()
        display.say(str(error), "bad")
        return 1
    finally:
        display.close()
        stage.close()
    return 0


class Story:
    """The scenes.

    Args:
        stage: runs the processes.
        display: shows what happens.
        may_open: a browser is here and may be opened.
    """

    def __init__(self, stage: Stage, display: Display, *, may_open: bool) -> None:
        self._stage = stage
        self._display = display
        self._may_open = may_open
        self._until = datetime.now(UTC).date() - timedelta(days=1)
        self._evidence: Evidence
        self._events: queue.Queue[Event] = queue.Queue()
        self._minted: Counter[str] = Counter()
        self._finished: Counter[tuple[str, str]] = Counter()
        self._ended: Counter[str] = Counter()

    def set_the_scene(self) -> None:
        """Start the simulator; make configuration and vault."""
        say = self._display.say
        say("A provider on this machine", "scene")
        place = self._stage.start_simulator(lifetime=LIFETIME)
        self._evidence = Evidence(self._stage.folder, place)
        say(f"the simulator serves an authorization server and an ads API at {place['url']}")
        self._stage.write_configuration(
            place, lifetime=LIFETIME, interval=INTERVAL, until=str(self._until)
        )
        self._expect(self._stage.run("init"), "connector init")
        say("connector init: a vault, its root key sealed in a file of mode 0600", "good")

    def consent(self, provider: str, account: str) -> None:
        """Take the person through one consent."""
        say = self._display.say
        say(f"A person consents, once, for {account}", "scene")
        arguments = ["connect", provider, "--account", account]
        command = self._stage.start_command(
            *arguments, *([] if self._may_open else ["--no-browser"])
        )
        url = self._find_url(command)
        if self._may_open:
            say("your browser shows the provider's pages: sign in as Ada and allow it")
            say(f"(if you do not, the demo does it for you in {PATIENCE:.0f} s)", "quiet")
        if not self._may_open or not self._answered(command):
            self._play(url)
        try:
            out, err = command.communicate(timeout=SCENE_TIME)
        except subprocess.TimeoutExpired:
            raise WentWrong("the consent was not completed") from None
        if command.returncode != 0:
            raise WentWrong(f"connector connect failed: {err.strip()}")
        say(out.strip().splitlines()[-1], "good")
        self._may_open = False  # one real consent shows it all

    def watch_runs(self) -> None:
        """Let the daemon run both jobs on their schedule."""
        say = self._display.say
        say(f"The daemon pulls insights every {INTERVAL} s", "scene")
        self._events = self._stage.start_daemon()
        self._pump(
            lambda: all(self._finished[account, "succeeded"] >= RUNS for account in _TABLES),
            f"not every job has run {RUNS} times",
        )
        for account, table in _TABLES.items():
            rows = self._evidence.rows(table)
            if rows != self._evidence.expected_rows(table, self._until):
                raise WentWrong(f"{account}: the rows in ads.db are not those of the provider")
            say(f"{account}: {len(rows)} rows in ads.db, just those that the provider has", "good")

    def revoke(self) -> None:
        """Let the person take the access away, and see what that looks like."""
        say = self._display.say
        say("The person removes the app at Facebook", "scene")
        self._evidence.control.remove_app("ada")
        self._pump(
            lambda: self._finished[FACEBOOK, "consent_required"] > 0,
            "the revocation was not noticed",
        )
        shown = self._stage.run("token", FACEBOOK)
        if shown.returncode != 3:
            raise WentWrong(f"connector token gave exit status {shown.returncode}, not 3")
        say(f"$ connector token {FACEBOOK}")
        say(f"{shown.stderr.strip()} (exit status 3)", "bad")
        other = self._stage.run("token", ADS)
        self._expect(other, f"connector token {ADS}")
        size = len(other.stdout.strip())
        say(f"{ADS} goes on: connector token prints a token of {size} characters", "good")

    def sum_up(self, *, is_kept: bool) -> None:
        """Say what happened, checked against the simulator's own ledger, and what to type next."""
        say = self._display.say
        self._display.close()
        say("What happened", "scene")
        ledger = self._evidence.control
        refreshes = ledger.count("token", grant_type="refresh_token")
        reuses = ledger.count("token", outcome="reuse_detected")
        if reuses or self._ended != {FACEBOOK: 1}:
            raise WentWrong(f"{reuses} refresh tokens were sent twice; ended: {dict(self._ended)}")
        say("2 consents, each asked for once; the tokens are sealed in the vault", "good")
        say(
            f"{refreshes} access tokens minted for {ADS}, its refresh token rotated each time",
            "good",
        )
        say("no refresh token was sent twice, by the count of the token endpoint itself", "good")
        runs = sum(n for (_, outcome), n in self._finished.items() if outcome == "succeeded")
        rows = sum(self._evidence.row_count(table) for table in _TABLES.values())
        say(f"{runs} scheduled runs, {rows} rows landed, each once", "good")
        say("1 revocation: told once, with what to type; the other account went on", "good")
        say("What to type next", "scene")
        if is_kept:
            say(f"cd {self._stage.folder}  # configuration, vault and ads.db are yours to look at")
        activate = Path(sys.prefix) / "bin" / "activate"
        if shutil.which("connector") is None and activate.is_file():  # after `make demo`
            say(f". {activate}  # so that this shell finds connector")
        say("connector providers            # what is known of Facebook, Google, GitHub, …")
        say("connector init                 # a config.toml of your own")
        say("connector connect facebook --account acme/facebook")
        say("connector token acme/facebook  # and from Python: get_access_token('acme/facebook')")
        say("connector serve                # scheduled jobs, the HTTP API and the dashboard")
        say("connector dashboard            # accounts, jobs and keys in your browser")

    def _play(self, url: str) -> None:
        """Play the person over the provider's own pages and forms."""
        from connector.simulator import Person

        self._display.say("the demo plays the person: signs in as Ada, reads, allows", "quiet")
        with Person("ada") as ada:
            answer = ada.consent(url)
            self._display.say("the provider redirects to our redirect URI with a code", "quiet")
            page = ada.deliver(answer)
        if page.status != 200 or "is connected" not in page.text:
            raise WentWrong(f"the last page says something else (HTTP {page.status})")
        self._display.say("the person sees: connected, you can close this window", "quiet")

    def _find_url(self, command: "subprocess.Popen[str]") -> str:
        """Read the authorization URL from what ``connector connect`` prints."""
        stream = command.stderr if self._may_open else command.stdout
        assert stream is not None  # noqa: S101 - piped
        for line in stream:
            if line.startswith("http"):
                return line.strip()
        err = command.stderr.read() if command.stderr and not self._may_open else ""
        raise WentWrong(f"connector connect gave no URL: {err.strip()}")

    def _answered(self, command: "subprocess.Popen[str]") -> bool:
        """Wait for a person in a real browser."""
        try:
            command.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _pump(self, is_done: Callable[[], bool], otherwise: str) -> None:
        """Show the daemon's events until a condition holds."""
        ends_at = time.monotonic() + SCENE_TIME
        while not is_done():
            if time.monotonic() > ends_at:
                raise WentWrong(otherwise)
            try:
                event = self._events.get(timeout=0.2)
            except queue.Empty:
                event = None
            if event is not None:
                self._take(event)
            self._display.gauges(self._gauges())

    def _take(self, event: Event) -> None:
        """Show one event of the daemon's log."""
        say = self._display.say
        account = str(event.get("account", ""))
        match event.get("action"):
            case None:
                raise WentWrong("the daemon has ended")
            case "daemon.ready":
                say(f"connector serve: listening on {event.get('url')} and a Unix socket", "quiet")
            case "refresh.done":
                self._minted[account] += 1
                say(
                    f"{account}: access token minted in {event['seconds']} s, refresh token rotated"
                )
            case "run.finished":
                outcome = str(event["outcome"])
                self._finished[account, outcome] += 1
                number = self._finished[account, outcome]
                if outcome == "succeeded":
                    records = event.get("records", 0)
                    say(f"{account}: run {number} of {event['job']} took {records} records", "good")
                else:
                    say(f"{account}: run of {event['job']} ended as {outcome}", "bad")
            case "consent.required":
                self._ended[account] += 1
                say(f"{account}: {event['message']}", "bad")
            case _:
                return

    def _gauges(self) -> list[Gauge]:
        now = time.time()
        gauges = []
        for account, table in _TABLES.items():
            state, expires_at, lifetime = self._evidence.account(account)
            gauges.append(
                Gauge(
                    account=account,
                    state=state,
                    remaining=None if expires_at is None else expires_at - now,
                    lifetime=lifetime,
                    minted=self._minted[account],
                    rows=self._evidence.row_count(table),
                )
            )
        return gauges

    def _expect(self, done: "subprocess.CompletedProcess[str]", what: str) -> None:
        if done.returncode != 0:
            raise WentWrong(f"{what} failed: {done.stderr.strip()}")
