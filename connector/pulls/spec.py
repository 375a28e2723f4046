"""What a declared pull is: values, made by `reading` and walked by `connector.jobs.pull`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from connector.pulls.rules import Action, ErrorRule, LimitRule, Scope, UsageHeader

__all__ = [
    "Action",
    "CursorPages",
    "CursorRule",
    "EachRule",
    "ErrorRule",
    "LimitRule",
    "LinkPages",
    "MomentFormat",
    "NoPages",
    "NumberPages",
    "OffsetPages",
    "PageSize",
    "Pagination",
    "Pull",
    "ReportRule",
    "RequestTemplate",
    "Scope",
    "Template",
    "UsageHeader",
    "WindowRule",
]

#: A value in a template: text with ``{placeholders}``, or a list or a table of such values.
Template = object


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTemplate:
    """A request with ``{placeholders}``.

    Attributes:
        method: GET or POST.
        url: relative to the provider's ``api.base_url``, or absolute.
        params: of the query; a list or a table becomes JSON.
        headers: besides those of the provider's credential.
        body: of a POST, sent as JSON; None: none.
        form: of a POST, sent as a form; empty: none.
    """

    url: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, Template] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Template = None
    form: Mapping[str, Template] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSize:
    """How many records a page may have.

    Attributes:
        param: that asks for so many; ``body.NAME`` is a field of the JSON body.
        value: asked for at first.
        smallest: it is never reduced below.
    """

    param: str
    value: int
    smallest: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPages:
    """One answer holds everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorPages:
    """An answer holds the cursor of the next page.

    Attributes:
        next: path to the cursor in the body, or ``header:NAME``.
        param: that takes it; ``body.NAME`` is a field of the JSON body.
        more: path to a boolean that tells whether there is a next page; empty: there is one where
            there is a cursor.
        link: path to something that only a page with a next one has (Facebook's ``paging.next``:
            its cursor is there on the last page too); empty: see ``more``.
    """

    next: str
    param: str
    more: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPages:
    """An answer holds the URL of the next page.

    It is followed only to the provider's own origins, and never written down with a token in it:
    parameters that the credential sets are taken out first.

    Attributes:
        next: path to it in the body; empty: the ``Link`` header with ``rel="next"`` (RFC 8288).
    """

    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPages:
    """Pages are numbered.

    Attributes:
        param: that takes the number; ``body.NAME`` is a field of the JSON body.
        start: the first one's number.
        total: path to how many pages there are; empty: a page with no records, or with fewer than
            were asked for, is the last. An API that never gives as many as are asked for needs it.
    """

    param: str = "page"
    start: int = 1
    total: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetPages:
    """Pages begin at a record's number.

    Attributes:
        param: that takes it; ``body.NAME`` is a field of the JSON body.
        start: the first record's number.
        total: path to how many records there are; empty: a page with no records, or with fewer than
            were asked for, is the last. An API that never gives as many as are asked for needs it.
    """

    param: str = "offset"
    start: int = 0
    total: str = ""


Pagination = NoPages | CursorPages | LinkPages | NumberPages | OffsetPages


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentFormat:
    """How an API writes a moment.

    Attributes:
        kind: ``iso`` (a date, or a date and time, whichever the records have), ``date``
            (2026-11-26), ``datetime`` (RFC 3339), ``unix``, ``unix_ms``, ``number`` (an identifier
            that grows), ``text`` (compared as text), or a pattern of `strftime`.
        timezone: of dates, and of datetimes without an offset, by its name in the tz database; a
            placeholder of the part (``{timezone}``) is filled in.
    """

    kind: str = "iso"
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorRule:
    """Where a pull goes on from the last successful run.

    Without a window the greatest value of ``field`` is the next run's start. With one, the end of
    the last window is, and ``field`` has no say.

    Attributes:
        field: path in a record; empty: the windows' ends alone.
        param: of the query that takes the start (``body.NAME``: of the JSON body); empty: only
            ``{since}`` stands for it.
        format: how it is written, in records and in the request.
        param_format: how it is written in the request, where that differs; of the same zone.
        lookback: seconds to go back, for figures that change afterwards.
        start: where the first run begins: in ``format``, or ``-28d`` before now; empty: no start
            is sent at first.
        is_inclusive: the API gives records at the start itself. Where it does not, a start is moved
            back by the format's smallest step so that none is lost; either way a record may come
            twice, and the key makes them one.
    """

    field: str = ""
    param: str = ""
    format: MomentFormat = MomentFormat()
    param_format: MomentFormat | None = None
    lookback: float = 0.0
    start: str = ""
    is_inclusive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRule:
    """Pieces of time that are asked for one after another, oldest first.

    Attributes:
        days, months, seconds: how long one is; exactly one is not 0. Days and months are those of
            the calendar in the format's time zone, whatever its clocks do.
        smallest: a window is never split below (seconds; of days: one day).
        is_end_inclusive: the API's ``until`` is the last moment that counts, not the first that
            does not (Facebook's ``time_range``: days, both inclusive).
        delay: seconds before now at which the last window ends, for figures that come late.
        param: that takes the end (``body.NAME``: of the JSON body); empty: only ``{until}`` stands
            for it.
    """

    days: int = 0
    months: int = 0
    seconds: float = 0.0
    smallest: float = 0.0
    is_end_inclusive: bool = False
    delay: float = 0.0
    param: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EachRule:
    """The parent things that a pull is made for, one after another.

    Attributes:
        request: that lists them.
        records, pagination, size: of that list.
        fields: placeholders by name, with the path in a parent's record that gives its value; the
            first one identifies the parent.
        values: of the first placeholder, where they are known and nothing is listed.
    """

    request: RequestTemplate | None
    fields: Mapping[str, str]
    records: str = ""
    pagination: Pagination = field(default_factory=NoPages)
    size: PageSize | None = None
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRule:
    """A report that the API makes in its own time: created, polled, then read page by page.

    Attributes:
        create: the request that orders it; its answer has the identifier.
        id: path to the identifier, which is ``{report}`` from then on.
        poll: the request that asks how far it is.
        ready: by a path: the values that say, all of them, that it can be read.
        failed: by a path: the values of which one says that it never will be.
        progress: path to a percentage; empty: none.
        result: the request for the first page of it.
        interval: seconds between polls.
        deadline: seconds after which it is ordered anew.
        tries: how many are ordered for one window before the run fails.
        lifetime: seconds for which a result can be read; a checkpoint that is older begins anew.
        always: every window is asked for so; else only where an error asks for it (`REPORT`).
    """

    create: RequestTemplate
    id: str
    poll: RequestTemplate
    ready: Mapping[str, tuple[object, ...]]
    result: RequestTemplate
    failed: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    progress: str = ""
    interval: float = 5.0
    deadline: float = 3600.0
    tries: int = 3
    lifetime: float = 86_400.0
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """A declared pull.

    Attributes:
        request: of a page.
        records: path to the records in an answer; empty: the answer is the list, or the record.
        pagination: how to get at the next page.
        size: of a page, where the API lets us say.
        cursor: where a run goes on from the last.
        window: pieces of time.
        each: parent things.
        report: made in the API's own time.
        errors: the job's own rules, then the provider's, then the general ones.
        limits: of rates.
        tries: how often a request is sent before a passing failure fails the run.
        fields: what is made of each record: by the field, the path in it; empty: it is as it came.
        keep: fields of the part that each record gets, by the record's field.
    """

    request: RequestTemplate
    records: str = ""
    pagination: Pagination = field(default_factory=NoPages)
    size: PageSize | None = None
    cursor: CursorRule | None = None
    window: WindowRule | None = None
    each: EachRule | None = None
    report: ReportRule | None = None
    errors: tuple[ErrorRule, ...] = ()
    limits: LimitRule = field(default_factory=LimitRule)
    tries: int = 6
    fields: Mapping[str, str] = field(default_factory=dict)
    keep: Mapping[str, str] = field(default_factory=dict)
