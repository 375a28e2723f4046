"""What a run says, however much it is."""

import asyncio
import logging
import os

import pytest

from connector.jobs.output import (
    LARGEST_LINE,
    LONGEST_LINE,
    MOST_A_SECOND,
    MOST_AT_ONCE,
    STRIDE,
    Lines,
    Output,
)


class Said:
    """Lines whose clock stands still, and what their run's own log was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kept: list[tuple[str, str]] = []
        self.lines = Lines(
            lambda text: text.replace("s3cret", "[secret]"),
            {"job": "pull"},
            lambda kind, text: self.kept.append((kind, text)),
            monotonic=lambda: self.now,
        )

    def say(self, count: int) -> None:
        for number in range(count):
            self.lines.take(f"s3cret {number}", {"action": "job.output"}, kind="stdout")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Said:
    caplog.set_level(logging.INFO, "connector.jobs.output")
    return Said()


def test_a_flood_is_left_out_of_our_log_and_told(
    said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    said.say(MOST_AT_ONCE + 500)
    assert len(caplog.records) == MOST_AT_ONCE
    assert len(said.kept) == MOST_AT_ONCE + 500
    assert said.kept[-1] == ("stdout", f"[secret] {MOST_AT_ONCE + 499}")
    caplog.clear()

    said.now = 0.5  # not yet: they come by the hundred
    said.say(1)
    assert not caplog.records
    said.now = 1.0
    said.say(int(MOST_A_SECOND) + 1)
    messages = [record.getMessage() for record in caplog.records]
    assert messages[:2] == ["501 lines are left out, for they came too fast", "[secret] 0"]
    assert len(messages) == 1 + MOST_A_SECOND
    said.lines.tell_left_out()
    said.lines.tell_left_out()
    assert len(caplog.records) == 2 + MOST_A_SECOND


async def test_others_have_their_turn_while_a_flood_is_read(said: Said) -> None:
    """A refresh that waited for it would come late: the pipe alone holds thousands of lines."""
    count = 10_000
    output = Output(said.lines)
    pipe = await output.pipe("stdout")
    try:
        assert os.write(pipe, b"\n" * count) == count
    finally:
        os.close(pipe)
    turns = 0
    closing = asyncio.create_task(output.aclose())
    while len(said.kept) < count and not closing.done():
        await asyncio.sleep(0)
        turns += 1
    await closing
    assert len(said.kept) == count
    assert turns >= count / STRIDE


async def test_lines_are_whole_wherever_they_are_cut(said: Said) -> None:
    output = Output(said.lines)
    pipe = await output.pipe("stderr")

    def write() -> None:
        with os.fdopen(pipe, "wb", 0) as stream:
            for part in (b"a", b"b\n\nc\xc3", b"\xa9\n", b"x" * (LARGEST_LINE + 1), b"y\nz\n"):
                stream.write(part)
            stream.write(b"x" * LARGEST_LINE + b"\nlast s3cret")

    await asyncio.to_thread(write)
    await output.aclose()
    texts = [text for kind, text in said.kept if kind == "stderr"]
    long = "(a line that is too long)"
    long = "(a line that is too long)"
    assert texts == ["ab", "", "c\xe9", long, "z", "x" * LONGEST_LINE, "last [secret]"]
