"""How the demonstration looks: a live timeline on a terminal, plain lines anywhere else."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

Tone = Literal["scene", "good", "bad", "plain", "quiet"]

_BAR: Final = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """What the live panel shows of one account.

    Attributes:
        account: its name.
        state: as the API names it.
        remaining: seconds that its access token has left; None: no known end.
        lifetime: seconds that it lives in all, where known.
        minted: access tokens minted so far.
        rows: rows pulled so far.
    """

    account: str
    state: str
    remaining: float | None
    lifetime: float | None
    minted: int
    rows: int


class Display(Protocol):
    """Shows what happens."""

    def say(self, text: str, tone: Tone = "plain") -> None:
        """Show one line of the timeline."""
        ...

    def gauges(self, gauges: Sequence[Gauge]) -> None:
        """Show how the accounts are now."""
        ...

    def close(self) -> None:
        """Show no more that is live."""
        ...


class PlainDisplay:
    """Plain lines, for files and pipes."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str, tone: Tone = "plain") -> None:
        """Print a line."""
        if tone == "scene":
            click.echo("")
        click.echo(f"{_elapsed(self._began)}  {text}")

    def gauges(self, gauges: Sequence[Gauge]) -> None:
        """Leave them out: they are for watching."""

    def close(self) -> None:
        """Nothing is live here."""


class LiveDisplay:
    """A timeline that grows, above a panel that moves."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._began = time.monotonic()
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._is_live = False

    def say(self, text: str, tone: Tone = "plain") -> None:
        """Print a line above the panel."""
        from rich.text import Text

        marks = {"scene": ("●", "bold cyan"), "good": ("✓", "green"), "bad": ("✗", "bold red")}
        mark, style = marks.get(tone, ("│", "dim"))
        if tone == "scene":
            self._console.print()
        line = Text.assemble(
            (f"{_elapsed(self._began)}  ", "dim"),
            (f"{mark} ", style),
            (text, {"scene": "bold", "bad": "red", "quiet": "dim"}.get(tone, "")),
        )
        self._console.print(line)

    def gauges(self, gauges: Sequence[Gauge]) -> None:
        """Redraw the panel."""
        if not self._is_live:
            self._live.start()
            self._is_live = True
        self._live.update(_panel(gauges))

    def close(self) -> None:
        """Take the panel away."""
        if self._is_live:
            self._live.stop()
            self._is_live = False


def _panel(gauges: Sequence[Gauge]) -> "RenderableType":
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    for column in ("account", "state", "access token", "", "minted", "rows"):
        table.add_column(column, justify="right" if column in {"minted", "rows"} else "left")
    for gauge in gauges:
        bar, left = _bar(gauge)
        state = Text(gauge.state.replace("_", " "))
        state.stylize("green" if gauge.state == "active" else "bold red")
        table.add_row(gauge.account, state, bar, left, str(gauge.minted), f"{gauge.rows:,}")
    return Panel.fit(table, box=box.ROUNDED, border_style="dim", title="live", title_align="left")


def _bar(gauge: Gauge) -> "tuple[RenderableType, str]":
    """Draw how much life an access token has left."""
    from rich.text import Text

    from connector.duration import format_duration

    if gauge.state != "active":
        return Text("·" * _BAR, style="dim"), "none"
    if gauge.remaining is None:
        return Text("━" * _BAR, style="green"), "no known end"
    share = 1.0 if not gauge.lifetime else max(0.0, min(1.0, gauge.remaining / gauge.lifetime))
    full = round(share * _BAR)
    colour = "green" if share > 0.4 else "yellow" if share > 0.15 else "red"
    text = Text.assemble(("━" * full, colour), ("━" * (_BAR - full), "bright_black"))
    return text, "expired" if gauge.remaining <= 0 else format_duration(gauge.remaining)


def _elapsed(began: float) -> str:
    return f"{time.monotonic() - began:5.1f} s"
