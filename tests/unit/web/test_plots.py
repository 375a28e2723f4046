"""Plots are well-formed whatever is plotted, and nothing in them stands outside."""

import math
import re
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.web.plot_scale import time_scale, value_scale, write_count, write_seconds
from connector.web.plots import HEIGHT, WIDTH, Day, Point, bar_plot, latency_plot, sparkline

#: 2027-01-15 08:00:00 UTC
NOW = 1_800_000_000.0
DAY = 86_400.0
ANY = st.floats(allow_nan=True, allow_infinity=True)
TEXT = st.text(max_size=20)
POINTS = st.lists(
    st.builds(
        Point,
        at=ANY | st.floats(NOW - 90 * DAY, NOW),
        seconds=ANY | st.floats(0, 60),
        tone=st.sampled_from(["good", "warning", "danger", "?"]),
        label=TEXT,
    ),
    max_size=30,
)
DAYS = st.lists(
    st.builds(
        Day,
        at=st.floats(-1e12, 1e12),
        count=st.none() | st.integers(-5, 10**20) | st.integers(0, 3),
        failures=st.integers(0, 9),
    ),
    max_size=40,
)


def parsed(svg: str, width: float = WIDTH, height: float = HEIGHT) -> ET.Element:
    """Read a plot; nothing in it is no number, and nothing stands outside of its view box."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert root.attrib["viewBox"] == f"0 0 {width:g} {height:g}"
    assert root.attrib["role"] == "img"
    for part in root.iter():
        assert "style" not in part.attrib, "the Content-Security-Policy lets no such thing in"
        for name, value in part.attrib.items():
            if name in {"x", "y", "width", "height", "d", "points", "transform"}:
                assert re.search("nan|inf|e[+-]", value, re.IGNORECASE) is None, value
    for x, y in places(root):
        assert 0 <= x <= width, (x, y)
        assert 0 <= y <= height, (x, y)
    return root


def places(root: ET.Element) -> list[tuple[float, float]]:
    """Give every place that something stands at, rectangles by both corners."""
    found = []
    for part in root.iter():
        if part.tag in {"rect", "text"}:
            x, y = float(part.attrib["x"]), float(part.attrib["y"])
            found.append((x, y))
            found.append(
                (x + float(part.attrib.get("width", 0)), y + float(part.attrib.get("height", 0)))
            )
            assert float(part.attrib.get("width", 1)) > 0
        pairs = re.findall(r"(-?[\d.]+)[, ](-?[\d.]+)", part.attrib.get("points", ""))
        pairs += re.findall(r"translate\((-?[\d.]+) (-?[\d.]+)\)", part.attrib.get("transform", ""))
        found += [(float(x), float(y)) for x, y in pairs]
    return found


def marks(root: ET.Element) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for part in root.iter("path")
        for x, y in re.findall(r"translate\(([\d.]+) ([\d.]+)\)", part.attrib.get("transform", ""))
    ]


def texts(root: ET.Element) -> list[str]:
    return [part.text or "" for part in root.iter("text")]


@given(points=POINTS, name=TEXT, title=TEXT)
def test_whatever_took_however_long(points: list[Point], name: str, title: str) -> None:
    root = parsed(latency_plot(points, name=name, title=title))
    finite = [one for one in points if math.isfinite(one.at) and math.isfinite(one.seconds)]
    assert len(marks(root)) == len(finite)
    title_id, told_id = (root[0].attrib["id"], root[1].attrib["id"])
    assert root.attrib["aria-labelledby"] == f"{title_id} {told_id}"


@given(days=DAYS, name=TEXT)
def test_whatever_the_days_brought(days: list[Day], name: str) -> None:
    root = parsed(bar_plot(days, name=name, title="t", what="rows"))
    bars = [part for part in root.iter("rect") if part.attrib["class"] == "bar"]
    counted = [one for one in days if one.count is not None]
    assert len(bars) == len(counted)
    gaps = [part for part in root.iter("path") if part.attrib["class"] == "gap"]
    assert len(gaps) == (len(days) - len(counted) if counted else 0)


@given(days=DAYS)
def test_whatever_a_sparkline_shows(days: list[Day]) -> None:
    root = parsed(sparkline(days, what="rows"), 120, 28)
    assert len(list(root.iter("rect"))) == sum(one.count is not None for one in days)


@given(moments=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9))
def test_labels_of_moments_are_few_and_in_order(moments: list[float]) -> None:
    scale = time_scale(moments, start=0, end=100)
    held = [tick.value for tick in scale.ticks]
    assert held == sorted(held)
    assert len(held) <= 5
    assert all(scale.low <= one <= scale.high for one in held)


@given(values=st.lists(st.floats(0, 1e14), min_size=1, max_size=9))
def test_labels_of_values_reach_above_the_highest(values: list[float]) -> None:
    for unit in ("seconds", "count"):
        scale = value_scale(values, start=0, end=100, unit=unit)
        assert scale.high >= max(values) * (1 - 1e-9)
        assert 2 <= len(scale.ticks) <= 6
        assert len({tick.label for tick in scale.ticks}) == len(scale.ticks)


def point(at: float = NOW, seconds: float = 0.25, tone: str = "good") -> Point:
    return Point(at=at, seconds=seconds, tone=tone, label="granted")


def test_none() -> None:
    root = parsed(latency_plot([], name="a", title="Latency"))
    assert texts(root) == ["Nothing yet"]
    assert texts(parsed(bar_plot([], name="a", title="Rows", what="rows"))) == ["Nothing yet"]


def test_one_stands_in_the_middle() -> None:
    ((x, y),) = marks(parsed(latency_plot([point()], name="a", title="t")))
    assert x == pytest.approx((60 + 470) / 2, abs=1)
    assert y < 170


def test_equal_values_stand_at_one_height() -> None:
    points = [point(NOW + number) for number in range(5)]
    found = marks(parsed(latency_plot(points, name="a", title="t")))
    assert len({y for _, y in found}) == 1
    assert [x for x, _ in found] == sorted({x for x, _ in found})


def test_a_clock_that_went_back_draws_no_line_backwards() -> None:
    points = [point(NOW), point(NOW - 3600), point(NOW + 60)]
    root = parsed(latency_plot(points, name="a", title="t"))
    (line,) = root.iter("polyline")
    xs = [float(pair.split(",")[0]) for pair in line.attrib["points"].split()]
    assert xs == sorted(xs)


def test_labels_are_in_a_persons_units() -> None:
    points = [point(NOW - 6 * 3600, 0.2), point(NOW, 0.9, "danger")]
    assert texts(parsed(latency_plot(points, name="a", title="t"))) == [
        "0", "500 ms", "1 s", "03:00", "06:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (0.0042, "4.2 ms"),
        (0.25, "250 ms"),
        (0.9996, "1 s"),
        (1.5, "1.5 s"),
        (30, "30 s"),
        (150, "2 min 30 s"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert write_seconds(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (950, "950"), (1200, "1.2 k"), (3e6, "3 M"), (2.5e9, "2.5 G"), (1e15, "1,000 T")],
)
def test_numbers(count: float, text: str) -> None:
    assert write_count(count) == text


def test_tones_differ_by_shape_too() -> None:
    points = [point(tone=tone) for tone in ("good", "warning", "danger")]
    root = parsed(latency_plot(points, name="a", title="t"))
    shapes = {part.attrib["d"] for part in root.iter("path") if "mark" in part.attrib["class"]}
    assert len(shapes) == 3


def test_what_is_told_to_who_sees_no_plot() -> None:
    points = [point(NOW - 60), point(NOW, 1.5, "danger")]
    root = parsed(latency_plot(points, name="a", title="How long refreshes took"))
    assert (root[0].text, root[1].text) == (
        "How long refreshes took",
        (
            "2 from 15 Jan 2027, 07:59 UTC to 15 Jan 2027, 08:00 UTC: the longest took 1.5 s,"
            " 1 did not succeed."
        ),
    )


def test_a_day_without_a_run_is_no_day_with_nothing() -> None:
    start = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    days = [
        Day(at=start, count=0),
        Day(at=start + DAY, count=None),
        Day(at=start + 2 * DAY, count=20, failures=1),
    ]
    root = parsed(bar_plot(days, name="a", title="t", what="rows"))
    told = [part.text for part in root.iter("title")][1:]
    assert told == [
        "1 Jan: 0 rows",
        "2 Jan: no run",
        "3 Jan: 20 rows, 1 failed",
        "3 Jan: 20 rows, 1 failed",
    ]
    assert root[1].text == "20 rows on 2 of 3 days, at most 20 on one; on 1 of them runs failed."
    spark = parsed(sparkline(days, what="rows"), 120, 28)
    assert [part.attrib["class"] for part in spark.iter("rect")] == ["bar", "danger"]


def test_texts_are_texts() -> None:
    attack = '"><script>alert(1)</script>\0\x1b'
    root = parsed(latency_plot([point()], name="a", title=attack))
    assert root[0].text == '"><script>alert(1)</script>��'
    assert "<script" not in latency_plot([point()], name=attack, title=attack)
