"""Reading a pull: what is written is what is meant, and every mistake is told at once."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from connector.errors import ConfigurationError, Problem
from connector.pulls.defaults import PullDefaults
from connector.pulls.reading import load_pull, read_defaults, read_pull
from connector.pulls.rules import Action, ErrorRule, LimitRule, UsageHeader
from connector.pulls.spec import (
    CursorPages,
    CursorRule,
    EachRule,
    LinkPages,
    MomentFormat,
    NoPages,
    NumberPages,
    OffsetPages,
    PageSize,
    Pull,
    ReportRule,
    RequestTemplate,
    WindowRule,
)
from connector.toml_section import Section

INSIGHTS = """
url = "{ad_account}/insights"
params.level = "ad"
params.fields = "ad_id,spend"
params.time_range = { since = "{since}", until = "{until}" }
records = "data"
pagination = "facebook"
size = { param = "limit", value = 500, smallest = 25 }
cursor = { start = "-37mo", lookback = "28d", timezone = "{timezone}" }
window = { length = "7d", inclusive_end = true }
fields = { day = "date_start", clicks = "actions.0.value" }
keep = { account_id = "ad_account" }
tries = 3

[each]
url = "me/adaccounts"
params = { fields = "id,timezone_name" }
records = "data"
pagination = "facebook"
fields = { ad_account = "id", timezone = "timezone_name" }

[report]
id = "report_run_id"
poll = { url = "{report}" }
ready = { async_status = "Job Completed", async_percent_completion = 100 }
failed = { async_status = ["Job Failed", "Job Skipped"] }
progress = "async_percent_completion"
result = { url = "{report}/insights" }
interval = "10s"
deadline = "30m"
lifetime = "30d"

[[errors]]
status = [400, 500]
when = { "error.code" = [100, "200-202"] }
contains = "reduce the amount"
headers = { X-Kind = "big" }
action = "reduce_page_size"
message = "too much data"

[[errors]]
status = "500-502"
action = "retry"

[limits]
scope = "part"
slow_from = 50
longest_wait = "2h"
headers = [{ name = "X-Usage", used = "a.b", wait = ["c"], wait_unit = "1m", scope = "app" }]
"""


def section_of(text: str) -> tuple[Section, list[Problem]]:
    problems: list[Problem] = []
    section = Section(
        tomllib.loads(text),
        path=("jobs", "x", "request"),
        source="config.toml",
        folder=Path("/etc"),
        problems=problems,
    )
    return section, problems


def read(text: str, defaults: PullDefaults | None = None) -> Pull:
    section, problems = section_of(text)
    pull = read_pull(section, defaults)
    assert problems == []
    assert pull is not None
    return pull


def told(text: str, defaults: PullDefaults | None = None) -> dict[str, str]:
    """Give what is wrong, by key; nothing may be wrong twice."""
    section, problems = section_of(text)
    pull = read_pull(section, defaults)
    assert (pull is None) == bool(problems)
    found = {
        problem.key.removeprefix("jobs.x.request").removeprefix("."): (
            f"{problem.message}; {problem.remedy}"
        )
        for problem in problems
    }
    assert len(found) == len(problems), problems
    return found


def test_the_line_of_the_design_is_taken() -> None:
    line = (
        'request = { url = "…", params = { fields = "date" }, records = "data",'
        ' pagination = "cursor", cursor = { field = "date", param = "since" } }'
    ).replace("…", "https://api.example/items")
    section, problems = section_of(line)
    pull = read_pull(section.section("request"))
    assert problems == []
    assert pull == Pull(
        request=RequestTemplate(url="https://api.example/items", params={"fields": "date"}),
        records="data",
        pagination=CursorPages(next="paging.cursors.after", param="after"),
        cursor=CursorRule(field="date", param="since", format=MomentFormat(kind="iso")),
    )


def test_everything_that_can_be_said_is_read() -> None:
    facebook = CursorPages(next="paging.cursors.after", param="after", link="paging.next")
    request = RequestTemplate(
        url="{ad_account}/insights",
        params={
            "level": "ad",
            "fields": "ad_id,spend",
            "time_range": {"since": "{since}", "until": "{until}"},
        },
    )
    assert read(INSIGHTS) == Pull(
        request=request,
        records="data",
        pagination=facebook,
        size=PageSize(param="limit", value=500, smallest=25),
        cursor=CursorRule(
            start="-37mo",
            lookback=28 * 86_400.0,
            format=MomentFormat(kind="date", timezone="{timezone}"),
        ),
        window=WindowRule(days=7, is_end_inclusive=True),
        each=EachRule(
            request=RequestTemplate(url="me/adaccounts", params={"fields": "id,timezone_name"}),
            records="data",
            pagination=facebook,
            fields={"ad_account": "id", "timezone": "timezone_name"},
        ),
        report=ReportRule(
            create=RequestTemplate(url=request.url, method="POST", params=request.params),
            id="report_run_id",
            poll=RequestTemplate(url="{report}"),
            ready={"async_status": ("Job Completed",), "async_percent_completion": (100,)},
            failed={"async_status": ("Job Failed", "Job Skipped")},
            progress="async_percent_completion",
            result=RequestTemplate(url="{report}/insights"),
            interval=10.0,
            deadline=1800.0,
            lifetime=30 * 86_400.0,
        ),
        errors=(
            ErrorRule(
                action=Action.REDUCE_PAGE_SIZE,
                statuses=frozenset({400, 500}),
                when={"error.code": (100, "200-202", 200, 201, 202)},
                contains="reduce the amount",
                headers={"x-kind": ("big",)},
                message="too much data",
            ),
            ErrorRule(action=Action.RETRY, statuses=frozenset({500, 501, 502})),
        ),
        limits=LimitRule(
            headers=(
                UsageHeader(
                    name="X-Usage", used=("a.b",), wait=("c",), wait_unit=60.0, scope="app"
                ),
            ),
            scope="part",
            slow_from=50.0,
            longest_wait=7200.0,
        ),
        tries=3,
        fields={"day": "date_start", "clicks": "actions.0.value"},
        keep={"account_id": "ad_account"},
    )


def test_a_request_may_have_another_format_than_records() -> None:
    pull = read(
        'url = "x"\ncursor = { field = "a", param = "s", param_format = "unix",'
        ' timezone = "Europe/Berlin" }'
    )
    assert pull.cursor == CursorRule(
        field="a",
        param="s",
        format=MomentFormat(kind="iso", timezone="Europe/Berlin"),
        param_format=MomentFormat(kind="unix", timezone="Europe/Berlin"),
    )


def test_parts_may_be_named_in_the_configuration() -> None:
    pull = read('url = "{repo}/x"\neach = { name = "repo", values = ["a", "b"] }')
    assert pull.each == EachRule(request=None, fields={"repo": ""}, values=("a", "b"))


@pytest.mark.parametrize(
    ("written", "pagination"),
    [
        ('"none"', NoPages()),
        ('"cursor"', CursorPages(next="paging.cursors.after", param="after")),
        (
            '{ kind = "cursor", next = "header:X-Next", param = "body.c", more = "m" }',
            CursorPages(next="header:X-Next", param="body.c", more="m"),
        ),
        ('"link"', LinkPages(next="next")),
        (
            '{ kind = "link", next = "$[\'@odata.nextLink\']" }',
            LinkPages(next="$['@odata.nextLink']"),
        ),
        ('"link_header"', LinkPages()),
        ('"page"', NumberPages()),
        (
            '{ kind = "page", param = "p", start = 0, total = "pages" }',
            NumberPages(param="p", start=0, total="pages"),
        ),
        ('"offset"', OffsetPages()),
        (
            '{ kind = "offset", total = "header:X-Total-Count" }',
            OffsetPages(total="header:X-Total-Count"),
        ),
    ],
)
def test_a_kind_of_paging_is_a_word_or_a_table(written: str, pagination: object) -> None:
    pull = read(f'url = "x"\nmethod = "POST"\npagination = {written}')
    assert pull.pagination == pagination


@pytest.mark.parametrize(
    ("written", "window"),
    [
        ('"1d"', WindowRule(days=1)),
        ('"2w"', WindowRule(days=14)),
        ('"1mo"', WindowRule(months=1)),
        ('"6h"', WindowRule(seconds=21_600.0)),
        (
            '{ length = "30d", smallest = "1d", delay = "2h", param = "to" }',
            WindowRule(days=30, smallest=86_400.0, delay=7200.0, param="to"),
        ),
    ],
)
def test_a_window_is_a_length_or_a_table(written: str, window: WindowRule) -> None:
    until = "" if window.param else "{until}"
    pull = read(
        f'url = "x"\nparams = {{ u = "{until}" }}\nwindow = {written}\n'
        'cursor = { param = "from", start = "-28d" }'
    )
    assert pull.window == window
    assert pull.cursor is not None
    assert pull.cursor.format.kind == ("datetime" if window.seconds else "date")


DEFAULTS = PullDefaults(
    errors=(ErrorRule(action=Action.RETRY, statuses=(400,)),),
    limits=LimitRule(headers=(UsageHeader(name="X-Usage"),), scope="app", slow_from=60.0),
    pagination=CursorPages(next="paging.next.after", param="after"),
    size=PageSize(param="limit", value=100, smallest=10),
)


def test_what_a_job_does_not_say_is_as_the_providers_data_has_it() -> None:
    pull = read('url = "x"', DEFAULTS)
    assert pull.errors == DEFAULTS.errors
    assert pull.limits == DEFAULTS.limits
    assert pull.pagination == DEFAULTS.pagination
    assert pull.size == DEFAULTS.size


def test_what_a_job_says_comes_first() -> None:
    pull = read(
        'url = "x"\nsize = 5\npagination = "none"\nerrors = [{ status = 400, action = "ignore" }]\n'
        'limits = { scope = "part" }',
        DEFAULTS,
    )
    assert [rule.action for rule in pull.errors] == [Action.IGNORE, Action.RETRY]
    assert pull.limits == LimitRule(
        headers=(UsageHeader(name="X-Usage"),), scope="part", slow_from=60.0
    )
    assert pull.pagination == NoPages()
    assert pull.size == PageSize(param="limit", value=5, smallest=5)


def test_a_kind_that_the_provider_has_too_takes_its_keys() -> None:
    assert read('url = "x"\npagination = "cursor"', DEFAULTS).pagination == DEFAULTS.pagination
    changed = read('url = "x"\npagination = { param = "from" }', DEFAULTS)
    assert changed.pagination == CursorPages(next="paging.next.after", param="from")
    changed = read('url = "x"\npagination = { kind = "cursor", param = "from" }', DEFAULTS)
    assert changed.pagination == CursorPages(next="paging.next.after", param="from")
    facebook = read('url = "x"\npagination = "facebook"', DEFAULTS).pagination
    assert facebook == CursorPages(next="paging.cursors.after", param="after", link="paging.next")


MISTAKES = {
    "": {"url": "is missing; add: url = …"},
    'ulr = "x"\nurl = "x"': {"ulr": "is not a known key; did you mean url?"},
    'url = "https://{host}/x"\neach = { name = "host", values = ["a"] }': {
        "url": "has a placeholder in its origin; write the host in full"
    },
    'url = "//evil.example/x"': {"url": "is no URL of a request; write url ="},
    'url = "https://user@api.example/"': {"url": "is no URL of a request"},
    'url = "x#top"': {"url": "has a fragment"},
    'url = "x?access_token=abc"': {"url": "holds a token"},
    'url = "x"\nparams = { access_token = "abc" }': {
        "params.access_token": "is the credential's; remove it"
    },
    'url = "x"\nheaders = { authorization = "Bearer x" }': {
        "headers.authorization": "is not for a job to set"
    },
    'url = "x"\nheaders = { "a b" = "c" }': {"headers.a b": "is not a header's name"},
    'url = "x"\nmethod = "GET"\nbody = { a = 1 }': {"method": "GET takes no body"},
    'url = "x"\nbody = { a = 1 }\nform = { b = 1 }': {"form": "stands beside a body"},
    'url = "x"\nmethod = "PUT"': {"method": "must be one of GET, POST"},
    'url = "x"\nbody = { a = nan }': {"body": "nan cannot be written in JSON"},
    'url = "x/{sinse}"\ncursor = { field = "a", param = "since" }': {
        "url": "there is no {sinse} to fill in; did you mean {since}?"
    },
    'url = "x"\nbody = { a = "{b}" }': {
        "body": "there is no {b} to fill in; known here: {account}"
    },
    'url = "x"\nrecords = "data[0]"': {"records": "'data[0]' has brackets; write data.0.id"},
    'url = "x"\nrecords = "header:x"': {"records": "is a header's value; write a path"},
    'url = "x"\npagination = "curser"': {"pagination": "must be one of none, cursor"},
    'url = "x"\npagination = { next = "a" }': {"pagination.kind": "is missing; write one of"},
    'url = "x"\npagination = { kind = "page", next = "a" }': {
        "pagination.next": "is not a known key"
    },
    'url = "x"\npagination = { kind = "cursor", param = "body.c" }': {
        "pagination": "sets body.c, and a GET has no body"
    },
    'url = "x"\nsize = 0': {"size": "must be from 1 to 1000000"},
    'url = "x"\nsize = { value = 5, smallest = 9 }': {"size.smallest": "is larger than value"},
    'url = "x"\nsize = { param = "n" }': {"size.value": "is missing"},
    'url = "x"\ncursor = { param = "since" }': {"cursor.field": "is missing"},
    'url = "x"\ncursor = { field = "a" }': {"cursor": "is never sent: the request has no {since}"},
    'url = "x?s={since}"\ncursor = { field = "a", param = "since", start = "-1d" }': {
        "cursor.param": "stands beside {since}"
    },
    'url = "x/{since}"\ncursor = { field = "a" }': {
        "url": "needs {since}, which a first run has not"
    },
    'url = "x"\ncursor = { field = "a", param = "s", format = "datetme" }': {
        "cursor.format": "must be one of iso, date, datetime, unix, unix_ms, number, text, or a"
        " pattern; did you mean datetime?"
    },
    'url = "x"\ncursor = { field = "a", param = "s", format = "%Q" }': {
        "cursor.format": "%Q cannot be read again"
    },
    'url = "x"\ncursor = { field = "a", param = "s", timezone = "Mars/Base" }': {
        "cursor.timezone": "there is no time zone 'Mars/Base'"
    },
    'url = "x"\ncursor = { field = "a", param = "s", timezone = "{zone}" }': {
        "cursor.timezone": "there is no {zone} to fill in; known here: none: add each"
    },
    'url = "x"\ncursor = { field = "a", param = "s", start = "soon" }': {"cursor.start": "'soon'"},
    'url = "x"\ncursor = { field = "a", param = "s", format = "number", lookback = "1d" }': {
        "cursor.lookback": "number cannot go back in time"
    },
    'url = "x"\ncursor = { field = "a", param = "s", format = "text", inclusive = false }': {
        "cursor.inclusive": "text has no smallest step"
    },
    'url = "x?u={until}"\nwindow = "1d"': {"cursor": "is missing: windows begin somewhere"},
    'url = "x?u={until}"\nwindow = "1d"\ncursor = { param = "s" }': {
        "cursor.start": "is missing: windows begin somewhere"
    },
    'url = "x"\nwindow = "1d"\ncursor = { param = "s", start = "-28d" }': {
        "window": "is never sent: the request has no {until}"
    },
    'url = "x?u={until}"\nwindow = "fortnight"': {
        "window": "'fortnight' is not a duration such as",
        "url": "there is no {until}",
    },
    'url = "x?u={until}"\nwindow = "6h"\ncursor = { param = "s", start = "-1d", format = "date"}': {
        "cursor.format": "has days, and the window is not of whole days"
    },
    'url = "x?u={until}"\nwindow = "1d"\ncursor = { param = "s", start = "1", format = "number"}': {
        "cursor.format": "number has no windows"
    },
    'url = "x?u={until}"\nwindow = "1d"\ncursor = { param = "s", start = "-1d", format = "iso" }': {
        "cursor.format": "leaves open whether windows are of days"
    },
    'url = "x?u={until}"\nwindow = "5m"\n'
    'cursor = { param = "s", start = "-1d", format = "%Y%m%d%H" }': {
        "cursor.format": "cannot tell the window's ends apart"
    },
    'url = "x"\ncursor = { field = "a", param = "s", param_format = "unx" }': {
        "cursor.param_format": "must be one of date, datetime, unix, unix_ms, or a pattern;"
        " did you mean unix?"
    },
    'url = "x"\ncursor = { field = "a", param = "s", param_format = "%Q" }': {
        "cursor.param_format": "%Q cannot be read again"
    },
    'url = "x"\ncursor = { field = "a", param = "s", format = "number", param_format = "unix" }': {
        "cursor.param_format": "number is no time"
    },
    'url = "x?u={until}"\nwindow = "1d"\n'
    'cursor = { param = "s", start = "-1d", param_format = "unix" }': {
        "cursor.param_format": "a window's ends are written in format"
    },
    'url = "x"\neach = { url = "y" }': {"each.fields": "is missing"},
    'url = "x"\neach = { url = "y", fields = { since = "id" } }': {
        "each.fields.since": "{since} has another meaning"
    },
    'url = "x"\neach = { url = "y/{until}", fields = { id = "id" } }': {
        "each.url": "there is no {until} to fill in"
    },
    'url = "x"\neach = { name = "id", values = [] }': {"each.values": "is empty"},
    'url = "x"\nkeep = { a = "ad_acount" }\neach = { name = "ad_account", values = ["a"] }': {
        "keep.a": "there is no 'ad_acount' to keep; did you mean ad_account?"
    },
    'url = "x"\nfields = { a = "b..c" }': {"fields.a": "'b..c' has an empty name"},
    'url = "x"\nfields = { a = "b" }\nkeep = { a = "account" }': {
        "keep.a": "is in fields too; give one of them another name"
    },
    'url = "x"\nreport = { id = "id", ready = { a = 1 }, poll = { url = "{reprot}" } }': {
        "report.result": "is missing",
        "report.poll.url": "there is no {reprot} to fill in; did you mean {report}?",
    },
    'url = "x"\nreport = {}': {
        "report.id": "is missing",
        "report.poll": "is missing",
        "report.result": "is missing",
        "report.ready": "is missing",
    },
    'url = "x"\nerrors = [{ status = 404 }]': {
        "errors[0].action": "is missing; write one of retry"
    },
    'url = "x"\nerrors = [{ action = "retry" }]': {"errors[0]": "fits every answer"},
    'url = "x"\nerrors = [{ status = 4040, action = "retry" }]': {
        "errors[0].status": "4040 is no status of HTTP"
    },
    'url = "x"\nerrors = [{ status = 400, action = "split_window" }]': {
        "errors": "split_window needs window; add window"
    },
    'url = "x"\nerrors = [{ status = 400, action = "retry", scope = "app" }]': {
        "errors[0].scope": "is for rate_limited and fail alone"
    },
    'url = "x"\nlimits = { slow_from = 500 }': {"limits.slow_from": "must be from 0 to 100"},
    'url = "x"\ntries = 0': {"tries": "must be from 1 to 100"},
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_told_with_its_key_and_a_remedy(text: str) -> None:
    found = told(text)
    expected = MISTAKES[text]
    assert found.keys() == expected.keys()
    for key, message in expected.items():
        assert message in found[key]


def test_all_mistakes_are_told_at_once() -> None:
    text = 'ulr = "x"\nrecords = "a..b"\npagination = "pages"\nsize = 0\ntries = 0\nwindow = "x"'
    assert told(text).keys() == {"ulr", "url", "records", "pagination", "size", "tries", "window"}


def test_a_url_is_checked_by_whoever_knows_where_it_may_go() -> None:
    section, problems = section_of('url = "https://evil.example/x"')
    assert read_pull(section, None, lambda url: f"{url} is not the provider's") is None
    assert [(problem.key, problem.message) for problem in problems] == [
        ("jobs.x.request.url", "https://evil.example/x is not the provider's")
    ]


def test_a_child_reads_the_same_pull_from_what_it_is_sent() -> None:
    table = tomllib.loads(INSIGHTS)
    defaults = {"pagination": "facebook", "errors": [{"status": 400, "action": "retry"}]}
    pull = load_pull(table, defaults, source="config.toml", job="x")
    known = read_defaults(
        section_of('pagination = "facebook"\n[[errors]]\nstatus = 400\naction = "retry"')[0]
    )
    assert pull == read(INSIGHTS, known)
    with pytest.raises(ConfigurationError, match=r"jobs\.y\.request\.url"):
        load_pull({}, {}, source="config.toml", job="y")


def test_dates_of_toml_become_text() -> None:
    pull = read(
        'url = "x"\nbody = { from = 2026-01-05 }\nmethod = "POST"\n'
        'cursor = { field = "d", param = "body.s", start = 2026-01-05 }'
    )
    assert pull.request.body == {"from": "2026-01-05"}
    assert pull.cursor is not None
    assert pull.cursor.start == "2026-01-05"


def test_reading_imports_nothing_slow() -> None:
    program = (
        "import sys, connector.pulls.reading\n"
        "print([n for n in ('httpx2', 'jsonpath_rfc9535', 'sqlalchemy', 'connector.settings', "
        "'connector.providers', 'cryptography') if n in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"
