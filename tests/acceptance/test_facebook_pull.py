"""The Facebook example through every trouble of the simulated Facebook: all rows, and none twice.

The example's own configuration is run by the command line. What is compared is the content of the
destination with the simulator's own figures, and the log of its calls with what was needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

import psycopg
import pytest

from connector.simulator import Refusal
from tests.postgres import PostgresServer

from .facebook_example import FIRST_DAY, FacebookExample

NOW_AND_THEN = {"empty_page_every": 3, "short_page_every": 2, "trailing_page": True}
#: Windows of two ad accounts: 91 days, by seven.
WINDOWS = 26
#: Refused without a report, of each ad account: the first, the third, the sixth, the eleventh.
REFUSED = 2 * 4


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What goes wrong in a run that succeeds all the same.

    Attributes:
        settings: of the simulator.
        refusals: of its Graph API.
        reports: how its next reports go.
        refused: how many calls are refused.
        again: how many pages are given once more than needed.
        ordered: how many reports are ordered.
    """

    settings: Mapping[str, object] = field(default_factory=dict)
    refusals: tuple[Refusal, ...] = ()
    reports: tuple[str, ...] = ()
    refused: int = 0
    again: int = 0
    ordered: int = 0


def refusal(code: int, **values: object) -> Trouble:
    """Give the trouble of one call that is refused."""
    one = Refusal(code=code, edge="insights", after=4, times=1, **values)  # type: ignore[arg-type]
    return Trouble(refusals=(one,), refused=1)


BY_REPORT = {"longest_sync_days": 3, "report_polls": 0}
TROUBLES = {
    "none": Trouble(),
    "an unknown error": refusal(1),
    "service trouble": refusal(2),
    "an error with 200": refusal(2, status=200),
    "the words Service Unavailable with 200": refusal(1, body="service_unavailable"),
    "a token said to be expired": refusal(190, subcode=463),
    "the app's limit, which names no time": refusal(4),
    # a hundred, fifty, 25 records: two refusals, and smaller pages from there on; and two of the
    # list of ad accounts
    "pages that are too large": Trouble(settings={"largest_page": 30}, refused=4),
    "pages that are too large, as 100/1487534": Trouble(
        settings={"largest_page": 30, "too_much": "1487534"}, refused=4
    ),
    # pages of 100, 50, 25, 12 and 10 are refused, then the window of seven days is split
    "queries that are too large": Trouble(
        settings={"largest_query": 200, "too_much": "1487534"}, refused=5 * 6
    ),
    "empty, short and trailing pages": Trouble(settings=NOW_AND_THEN),
    "reports of longer ranges": Trouble(settings=BY_REPORT, refused=REFUSED, ordered=WINDOWS),
    "reports with empty and short pages": Trouble(
        settings={**BY_REPORT, **NOW_AND_THEN}, refused=REFUSED, ordered=WINDOWS
    ),
    "a report that fails": Trouble(
        settings=BY_REPORT, reports=("fails",), refused=REFUSED, ordered=WINDOWS + 1
    ),
    "a report that is skipped": Trouble(
        settings=BY_REPORT, reports=("skipped", "skipped"), refused=REFUSED, ordered=WINDOWS + 2
    ),
    "a report that is stuck": Trouble(
        settings=BY_REPORT, reports=("stuck",), refused=REFUSED, ordered=WINDOWS + 1
    ),
    # three windows of each ad account have rows; their halves are made
    "reports that are too large": Trouble(
        settings={**BY_REPORT, "largest_report": 200}, refused=REFUSED, ordered=WINDOWS + 2 * 6
    ),
    "a proof that is required": Trouble(settings={"require_appsecret_proof": True}),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
def test_a_run_goes_through(example: FacebookExample, trouble: Trouble) -> None:
    facebook = example.simulator.facebook
    example.simulator.change(trouble.settings)
    for one in trouble.refusals:
        facebook.refusals.add(one)
    facebook.reports.plan(*trouble.reports)
    example.pull_all()
    example.assert_whole()
    assert facebook.refusals.waiting() == {}
    assert example.refused() == trouble.refused
    assert len(example.calls(edge="report_start")) == trouble.ordered
    assert example.given_again() + example.given_again("report_insights") == trouble.again


def test_it_goes_into_postgres_too(
    example: FacebookExample, postgres_server: PostgresServer
) -> None:
    path = example.folder / "config.toml"
    text = path.read_text()
    with postgres_server.database() as url:
        place = url.set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            path.write_text(text.replace("sqlite:///ads.db", place))
            for job in ("ad_accounts", "campaigns", "adsets", "ads", "insights"):
                example.pull_all(job)
        finally:
            path.write_text(text)
        with psycopg.connect(place) as connection:
            ads = connection.execute("SELECT count(*) FROM ads").fetchone()
            found = connection.execute(
                "SELECT date_start::text, ad_id, impressions, spend FROM insights ORDER BY 1, 2"
            ).fetchall()
    assert ads == (80,)
    assert found == sorted(
        (row["date_start"], row["ad_id"], row["impressions"], Decimal(f"{row['spend']:.2f}"))
        for row in example.truth()
    )


def test_a_run_repeats_what_may_have_changed_and_no_more(example: FacebookExample) -> None:
    example.pull_all()
    first = example.pages()
    example.pull_all()
    example.assert_whole()
    asked = {(path, since) for path, since, _, _ in (example.pages() - first)}
    # 29 days, by seven
    assert len(asked) == 2 * 5


def test_a_report_is_read_once_it_is_complete_and_not_when_it_is_said_to_be(
    example: FacebookExample,
) -> None:
    example.simulator.change({**BY_REPORT, "report_lingering_polls": 1})
    example.pull_all("insights", "--since", FIRST_DAY.isoformat())
    example.assert_whole()
    reports = len(example.calls(edge="report_start"))
    assert reports >= 6
    assert len(example.calls(edge="report")) == 2 * reports
    assert example.given_again("report_insights") == 0
