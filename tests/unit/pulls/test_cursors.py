"""Where a pull goes on from."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.cursors import HighMark, advance, next_start, with_zones, write_start
from connector.pulls.moments import Moment, MomentError, from_datetime
from connector.pulls.spec import CursorRule, MomentFormat

NOW = datetime(2026, 11, 26, 14, 0, tzinfo=UTC)
DATES = MomentFormat(kind="date")
TIMES = MomentFormat()


@pytest.mark.parametrize(
    ("rule", "last", "start"),
    [
        (CursorRule(), None, None),
        (CursorRule(start="-28d"), None, "2026-10-29"),
        (CursorRule(lookback=86_400), "2026-11-20", "2026-11-19"),
        (CursorRule(is_inclusive=False), "2026-11-20", "2026-11-19"),
        (CursorRule(format=DATES, start="-28d"), None, "2026-10-29"),
        (CursorRule(format=DATES, start="-28d"), "2026-11-20", "2026-11-20"),
        (CursorRule(format=DATES, lookback=28 * 86_400), "2026-11-20", "2026-10-23"),
        (CursorRule(format=DATES, is_inclusive=False), "2026-11-20", "2026-11-19"),
        (CursorRule(format=DATES), "2027-05-01", "2026-11-26"),
        (CursorRule(), "2026-11-20T10:00:00.000000Z", "2026-11-20T10:00:00.000000Z"),
        (CursorRule(lookback=60), "2026-11-20T10:00:00.000000Z", "2026-11-20T09:59:00.000000Z"),
        (
            CursorRule(is_inclusive=False),
            "2026-11-20T10:00:00.000000Z",
            "2026-11-20T09:59:59.999999Z",
        ),
        (CursorRule(), "2099-01-01T00:00:00.000000Z", "2026-11-26T14:00:00.000000Z"),
        (
            CursorRule(format=MomentFormat(kind="unix"), is_inclusive=False),
            "2026-11-20T10:00:00.000000Z",
            "2026-11-20T09:59:59.000000Z",
        ),
        (CursorRule(format=MomentFormat(kind="number")), 41, 41),
        (CursorRule(format=MomentFormat(kind="number"), is_inclusive=False), 41, 40),
        (CursorRule(format=MomentFormat(kind="number"), start="7"), None, 7),
        (CursorRule(format=MomentFormat(kind="text")), "abc", "abc"),
    ],
)
def test_a_run_begins_where_the_last_one_got_to(
    rule: CursorRule, last: Moment | None, start: Moment | None
) -> None:
    assert next_start(rule, last, NOW) == start


UNIX = MomentFormat(kind="unix")


@pytest.mark.parametrize(
    ("rule", "start", "sent"),
    [
        (CursorRule(), "2026-11-20", "2026-11-20"),
        (CursorRule(), "2026-11-20T10:00:00.500000Z", "2026-11-20T10:00:00.500Z"),
        (CursorRule(param_format=UNIX), "2026-11-20T10:00:00.500000Z", 1_795_168_800),
        (CursorRule(param_format=UNIX), "2026-11-20", 1_795_132_800),
        (CursorRule(param_format=MomentFormat(kind="%Y%m%d")), "2026-11-20", "20261120"),
        (CursorRule(format=UNIX, param_format=DATES), "2026-11-20T10:00:00.000000Z", "2026-11-20"),
        (CursorRule(format=MomentFormat(kind="number")), 41, 41),
    ],
)
def test_a_start_is_written_as_the_request_has_it(
    rule: CursorRule, start: Moment, sent: object
) -> None:
    assert write_start(rule, start) == sent


def test_the_zone_of_a_part_is_filled_in_wherever_it_counts() -> None:
    zone = "{timezone}"
    rule = CursorRule(
        format=MomentFormat(timezone=zone), param_format=MomentFormat(kind="date", timezone=zone)
    )
    filled = with_zones(rule, {"timezone": "Asia/Tokyo"})
    assert write_start(filled, "2026-11-20T16:00:00.000000Z") == "2026-11-21"
    assert with_zones(CursorRule(), {}) == CursorRule()
    with pytest.raises(MomentError, match="no time zone"):
        with_zones(rule, {})


def test_going_back_a_step_counts_in_the_coarser_format() -> None:
    rule = CursorRule(param_format=UNIX, is_inclusive=False)
    start = next_start(rule, "2026-11-20T10:00:00.000000Z", NOW)
    assert start == "2026-11-20T09:59:59.000000Z"


def test_a_start_that_is_none_is_told() -> None:
    with pytest.raises(MomentError, match="'soon'"):
        next_start(CursorRule(format=DATES, start="soon"), None, NOW)


@given(
    pages=st.lists(
        st.lists(
            st.none()
            | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(  # noqa: DTZ001
                lambda point: point.replace(tzinfo=UTC)
            ),
            max_size=8,
        ),
        max_size=5,
    ),
    digits=st.sampled_from(["seconds", "milliseconds", "auto"]),
    offset=st.sampled_from([0, 0, 0, 150]),
)
def test_the_greatest_value_counts_and_it_never_goes_back(
    pages: list[list[datetime | None]], digits: str, offset: int
) -> None:
    rule = CursorRule(field="updated_at")
    high = HighMark()
    shown: list[datetime] = []
    for page in pages:
        texts = [_write(point, digits, offset) for point in page]
        shown += [datetime.fromisoformat(text) for text in texts if text is not None]
        before = high.value
        high = advance(rule, high, [{"updated_at": text} if text else {"id": 1} for text in texts])
        assert before is None or str(high.value) >= str(before)
    assert high.value == (from_datetime(TIMES, max(shown)) if shown else None)
    assert high.without == sum(point is None for page in pages for point in page)


def _write(point: datetime | None, digits: str, offset: int) -> str | None:
    if point is None:
        return None
    if offset:
        moved = point + timedelta(minutes=offset)
        return moved.isoformat(timespec=digits).replace("+00:00", "+02:30")
    return point.isoformat(timespec=digits).replace("+00:00", "Z")


def test_numbers_compare_as_numbers() -> None:
    rule = CursorRule(field="id", format=MomentFormat(kind="number"))
    high = advance(rule, HighMark(9), [{"id": "10"}, {"id": 8}, {"id": None}, {}, "odd"])
    assert high == HighMark(10, 3)


def test_a_field_within_a_record_is_found() -> None:
    rule = CursorRule(field="properties.date", format=DATES)
    records = [{"properties": {"date": "2026-11-02"}}, {"properties": {"date": "2026-11-01"}}, {}]
    assert advance(rule, HighMark(), records) == HighMark("2026-11-02", 1)


@pytest.mark.parametrize("value", ["soon", ["2026-11-01"], {}, True, 5])
def test_a_value_that_is_no_moment_is_told(value: object) -> None:
    with pytest.raises(MomentError, match="the field 'date' holds"):
        advance(CursorRule(field="date", format=DATES), HighMark(), [{"date": value}])
