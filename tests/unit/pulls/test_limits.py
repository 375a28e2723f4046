"""What headers say of rate limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.limits import LONGEST, Usage, read, retry_after
from connector.pulls.rules import LimitRule, UsageHeader

NOW = 1_795_701_600.0  # 2026-11-26T14:00:00Z
FACEBOOK = LimitRule(
    headers=(
        UsageHeader(
            name="X-App-Usage", used=("call_count", "total_time", "total_cputime"), scope="app"
        ),
        UsageHeader(
            name="X-Ad-Account-Usage", used=("acc_id_util_pct",), wait=("reset_time_duration",)
        ),
        UsageHeader(
            name="X-Business-Use-Case-Usage",
            used=("*.*.call_count", "*.*.total_time", "*.*.total_cputime"),
            wait=("*.*.estimated_time_to_regain_access",),
            wait_unit=60.0,
            scope="part",
        ),
    )
)


def test_facebooks_headers_are_read_each_in_its_unit() -> None:
    headers = {
        "x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":31}',
        "x-ad-account-usage": '{"acc_id_util_pct":9.67,"reset_time_duration":100,'
        '"ads_api_access_tier":"standard_access"}',
        "x-business-use-case-usage": '{"1":[{"type":"ads_insights","call_count":97,'
        '"total_cputime":23,"total_time":23,"estimated_time_to_regain_access":0}],'
        '"2":[{"call_count":100,"estimated_time_to_regain_access":15},{"call_count":1}]}',
    }
    assert read(headers, FACEBOOK, NOW) == [
        Usage("app", 31.0, 0.0),
        Usage("account", 9.67, 100.0),
        Usage("part", 100.0, 900.0),
    ]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "5", '{"call_count":"high"}', "[" * 9999])
def test_a_header_that_cannot_be_read_says_nothing(text: str) -> None:
    assert read({"x-app-usage": text, "x-business-use-case-usage": text}, FACEBOOK, NOW) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        ("1.5", 1.5),
        ("Thu, 26 Nov 2026 14:05:00 GMT", 300.0),
        ("Thu, 26 Nov 2026 13:00:00 GMT", 0.0),
        ("99999999", LONGEST),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text}, NOW) == seconds
    expected = [] if seconds is None else [Usage("account", 100.0, seconds)]
    assert read({"retry-after": text}, LimitRule(), NOW) == expected


@pytest.mark.parametrize(
    ("headers", "usages"),
    [
        ({"ratelimit": "limit=100, remaining=25, reset=30"}, [(75.0, 30.0)]),
        (
            {"ratelimit": '"default";r=25;t=30', "ratelimit-policy": '"default";q=100;w=60'},
            [(75.0, 30.0)],
        ),
        (
            {
                "ratelimit": '"burst";r=0;t=5, "day";r=900;t=600',
                "ratelimit-policy": '"burst";q=10;w=5,"day";q=1000;w=86400',
            },
            [(100.0, 5.0), (10.0, 600.0)],
        ),
        ({"ratelimit": '"default";r=25;t=30'}, [(0.0, 30.0)]),
        (
            {
                "ratelimit-limit": "100, 100;w=60",
                "ratelimit-remaining": "25",
                "ratelimit-reset": "30",
            },
            [(75.0, 30.0)],
        ),
        (
            {
                "x-ratelimit-limit": "5000",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1795701660",
            },
            [(100.0, 60.0)],
        ),
        (
            {
                "x-ratelimit-limit": "5000",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1795701660000",
            },
            [(100.0, 60.0)],
        ),
        (
            {
                "x-rate-limit-remaining": "1",
                "x-rate-limit-limit": "4",
                "x-rate-limit-reset": "2026-11-26T14:01:00Z",
            },
            [(75.0, 60.0)],
        ),
        ({"x-ratelimit-remaining": "599.0", "x-ratelimit-reset": "60"}, [(0.0, 60.0)]),
        ({"x-ratelimit-remaining": "0"}, [(100.0, 0.0)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, [(100.0, 1.0)]),
        ({"x-ratelimit-remaining": "many"}, []),
        ({"x-ratelimit-limit": "100"}, []),
        ({"x-ratelimit-limit": "0", "x-ratelimit-remaining": "5"}, [(0.0, 0.0)]),
        ({}, []),
    ],
)
def test_the_general_headers_are_read(
    headers: dict[str, str], usages: list[tuple[float, float]]
) -> None:
    assert read(headers, LimitRule(), NOW) == [Usage("account", *usage) for usage in usages]


@pytest.mark.parametrize(
    ("text", "used"),
    [("32/40", 80.0), ("api-usage=4500/5000", 90.0), ("55", 55.0), ("9/0", 100.0), ("150", 100.0)],
)
def test_a_header_may_be_the_number_itself(text: str, used: float) -> None:
    rule = LimitRule(headers=(UsageHeader(name="X-Shop-Limit"),), scope="app")
    assert read({"x-shop-limit": text}, rule, NOW) == [Usage("account", used, 0.0)]
    assert read({"x-shop-limit": "none"}, rule, NOW) == []


names = st.sampled_from(
    [
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-app-usage",
        "x-business-use-case-usage",
    ]
)
texts = st.text(alphabet='0123456789.e+-/,;="rqtl{}[]:call_count ', max_size=30) | st.sampled_from(
    ["1e400", '{"call_count":1e999}', '{"call_count":NaN}', "9" * 400, '{"a":[{"call_count":-5}]}']
)


@given(headers=st.dictionaries(names, texts))
def test_whatever_a_server_says_is_kept_within_bounds(headers: dict[str, str]) -> None:
    for usage in read(headers, FACEBOOK, NOW):
        assert 0.0 <= usage.used <= 100.0
        assert 0.0 <= usage.wait <= LONGEST


class TestWhoseClock:
    """The server's own, where it tells: ours may have been set back by an hour."""

    DATE = "Thu, 26 Nov 2026 14:00:00 GMT"
    WRONG = NOW - 3600

    @pytest.mark.parametrize(
        "headers",
        [
            {"retry-after": "Thu, 26 Nov 2026 14:05:00 GMT"},
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW + 300:.0f}"},
            {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-11-26T14:05:00Z"},
        ],
    )
    def test_a_moment_is_told_by_it(self, headers: dict[str, str]) -> None:
        (usage,) = read({**headers, "date": self.DATE}, LimitRule(), self.WRONG)
        assert usage.wait == 300.0
        (usage,) = read(headers, LimitRule(), self.WRONG)
        assert usage.wait == 3900.0

    def test_an_answer_that_was_kept_on_its_way_is_older(self) -> None:
        headers = {"retry-after": "Thu, 26 Nov 2026 14:05:00 GMT", "date": self.DATE}
        assert retry_after({**headers, "age": "100"}, self.WRONG) == 200.0
        assert retry_after({**headers, "age": "old"}, self.WRONG) == 300.0

    @pytest.mark.parametrize("date", ["", "yesterday", "Thu, 99 Nov 2026 14:00:00 GMT", "1"])
    def test_where_it_cannot_be_read_it_is_ours(self, date: str) -> None:
        headers = {"retry-after": "Thu, 26 Nov 2026 14:05:00 GMT", "date": date}
        assert retry_after(headers, NOW) == 300.0
