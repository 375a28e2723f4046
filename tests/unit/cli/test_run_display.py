"""What a terminal shows while runs are under way."""

import asyncio
import io
import os
import pty
import threading

import pytest
from rich.console import Console

from connector.cli.run_display import RunDisplay, shortened
from connector.jobs.order import Result
from connector.jobs.run_figures import RunFigures
from tests.unit.cli.conftest import Commands


def read_on(terminal: int) -> bytes:
    """Read what a terminal is sent; nothing at its end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has it open any more
        return b""


def test_a_bar_on_a_terminal() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, force_interactive=True)
    with RunDisplay("pull", 3, console) as display:
        display.note("acme/ads", Result(records=1000))
        display.note("acme/other", Result(records=5))
        display.note("acme/ads", Result(records=2000))
        display.end("acme/ads", "acme/ads: succeeded, 2000 records")
        display.end("acme/other", "[bold]\x1b[2J" + "x" * 200)
    shown = screen.getvalue()
    assert "2/3 accounts, 2,005 records" in shown
    assert "acme/ads: succeeded, 2000 records\n" in shown
    assert "[bold]\\x1b[2J" + "x" * 200 in shown, "as it is, and in one line"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_line_for_each_account_under_way() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=160, force_interactive=True)
    clock = Clock()
    with RunDisplay("pull", 2, console, clock) as display:
        display.note("acme/ads", Result(place={"done": 0.0, "text": "act_1"}))
        clock.seconds += 10
        told = Result(pages=4, records=400, waited=3.2, place={"done": 0.25, "text": "act_1"})
        display.note("acme/ads", told)
        display.note("acme/other", Result(records=7))
    shown = screen.getvalue()
    assert "4 pages, 400 records, 40/s, waited 3 s, 0:00:30 left, act_1" in shown
    assert "acme/other" in shown
    assert "0/2 accounts, 407 records" in shown


def test_a_long_name_leaves_room_for_what_is_told() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, force_interactive=True)
    with RunDisplay("pull", 1, console) as display:
        name = "customers/a-company-with-a-long-name-042/facebook"
        display.note(name, Result(pages=4, records=400, place={"text": "act_1"}))
    assert shortened(name, 20) in screen.getvalue()
    assert "4 pages, 400 records, " in screen.getvalue()


def test_names_are_shortened_in_the_middle() -> None:
    name = "acme/marketing/google"
    assert shortened(name, 16) == "acme/…ing/google"
    assert shortened(name, 20) == "acme/ma…eting/google"
    assert shortened(name, 21) == name


def test_who_stops_it_is_told_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    display = RunDisplay("pull", 2)
    with display:
        display.note("acme/ads", Result(records=1000))
    display.__exit__(asyncio.CancelledError, None, None)
    told = "connector: pull was stopped; what was committed stays (1,000 records)\n"
    assert capsys.readouterr().err == told


class TestFigures:
    def test_the_rate_is_that_of_the_last_seconds(self) -> None:
        clock = Clock()
        figures = RunFigures(1, clock)
        for records in (0, 1000, 2000, 2010, 2020, 2030):
            figures.note("a", Result(records=records))
            clock.seconds += 5
        clock.seconds -= 5
        assert figures.rate() == 2

    def test_what_has_ended_still_counts(self) -> None:
        clock = Clock()
        figures = RunFigures(2, clock)
        figures.note("a", Result(records=5, pages=1))
        figures.end("a")
        figures.end("never heard of")
        figures.note("b", Result(records=1, pages=1, place={"text": "act_2", "done": "soon"}))
        clock.seconds += 2
        assert figures.summary() == "2/2 accounts, 2 pages, 6 records, 0/s after 2 s; b: act_2"
        assert figures.under_way["b"].left(clock()) is None


def test_a_line_a_second_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.cli.run_display._QUIET", 0.01)
    monkeypatch.setattr("connector.cli.run_display._INTERVAL", 0.01)
    lines: list[str] = []
    told = threading.Event()

    def echo(text: str, **_: object) -> None:
        lines.append(text)
        told.set()

    monkeypatch.setattr("connector.cli.run_display.click.echo", echo)
    with RunDisplay("pull", 1) as display:
        display.note("acme/ads", Result(records=5, pages=1))
        assert told.wait(10)
    (line,) = lines  # nothing more has happened
    assert line.startswith("pull: 0/1 accounts, 1 page, 5 records, ")


def test_lines_alone_anywhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    with RunDisplay("pull", 1) as display:
        display.note("acme/ads", Result(records=5))
        display.end("acme/ads", "acme/ads: succeeded, 5 records")
    assert capsys.readouterr().out == "acme/ads: succeeded, 5 records\n"


def test_a_terminal_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setenv("TERM", "xterm")
        with RunDisplay("pull", 1, Console(file=screen)) as display:
            display.note("acme/ads", Result(records=5))
            os.close(leader)
            display.end("acme/ads", "acme/ads: succeeded, 5 records")
        display.line("pull: 1 of 1 succeeded")
        monkeypatch.undo()


def test_a_whole_run(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.bench.connect_apart()
    commands.write("def pull(api, context): return [{'id': 1}, {'id': 2}]")
    leader, follower = pty.openpty()
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.extend(iter(lambda: read_on(leader), b"")))
    reader.start()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        assert commands.run("jobs", "run", "pull") == 0
        monkeypatch.undo()
    reader.join()
    os.close(leader)
    shown = b"".join(read).decode()
    assert "0/1 accounts, 0 records" in shown
    assert "acme/ads: succeeded, 2 records" in shown
    assert shown.rstrip().endswith("pull: 1 of 1 succeeded")
