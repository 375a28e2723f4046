"""Where a run is, for people: the part, the window, the page, and a share of the whole."""

from typing import Final

from connector.jobs.writing import Writer
from connector.pulls.windows import Window

_LONGEST: Final = 80


class Progress:
    """Tells where a run is, with what is committed next.

    Args:
        writer: tells it.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._parts = 1
        self._done = 0

    def begin(self, parts: int, done: int) -> None:
        """Say how many parts there are, and how many are complete."""
        self._parts, self._done = parts, done

    def end_part(self) -> None:
        """Say that a part is complete."""
        self._done += 1

    def tell(
        self,
        part: str,
        window: Window | None,
        share: float | None,
        text: str,
    ) -> None:
        """Say where the run is.

        Args:
            part: its identifier; empty: there are none.
            window: that is under way.
            share: of the part's time that is complete; None: unknown.
            text: what is done there.
        """
        place: dict[str, object] = {}
        words = [text]
        if window is not None:
            place["window"] = f"{window.since} to {window.until}"
            words.insert(0, f"{window.since} to {window.until}")
        if part:
            place["part"] = part[:_LONGEST]
            words.insert(0, part[:_LONGEST])
        if share is not None or self._parts > 1:
            place["done"] = round((self._done + (share or 0.0)) / max(self._parts, 1), 4)
        place["text"] = ", ".join(words)
        self._writer.place = place
