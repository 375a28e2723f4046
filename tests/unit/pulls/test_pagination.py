"""Paging of every kind, against servers that are models of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.link_header import find_link
from connector.pulls.messages import Answer, Request
from connector.pulls.pagination import PageState, PaginationError, apply, first, following, reduced
from connector.pulls.spec import (
    CursorPages,
    LinkPages,
    NoPages,
    NumberPages,
    OffsetPages,
    PageSize,
    Pagination,
)

TEMPLATE = Request(url="https://api.example/items", params={"fields": "a,b"})
FACEBOOK = CursorPages(next="paging.cursors.after", param="after", link="paging.next")
CURSOR = CursorPages(next="next", param="cursor")
LINK = LinkPages(next="next")

#: Answers a request: body and headers.
Server = Callable[[Request], tuple[object, dict[str, str]]]


def records_of(body: object) -> list[int]:
    assert isinstance(body, dict)
    data = body["data"]
    assert isinstance(data, list)
    return data


def walk(
    pagination: Pagination,
    server: Server,
    sizes: list[PageSize | None],
    *,
    limit: int = 500,
) -> tuple[list[int], list[Request]]:
    """Pull everything, with a checkpoint that goes through JSON after each page."""
    found: list[int] = []
    sent: list[Request] = []
    state: PageState | None = first(pagination)
    while state is not None:
        assert len(sent) < limit, "paging has no end"
        size = sizes[min(len(sent), len(sizes) - 1)]
        request = apply(pagination, state, TEMPLATE, size)
        sent.append(request)
        body, headers = server(request)
        records = records_of(body)
        found += records
        answer = Answer(
            url=request.full_url,
            headers=headers,
            body=body,
            records=len(records),
            size=None if size is None else size.value,
        )
        state = following(pagination, state, answer)
        state = None if state is None else json.loads(json.dumps(state))
    return found, sent


def query(request: Request) -> dict[str, str]:
    return {name: texts[0] for name, texts in parse_qs(urlsplit(request.full_url).query).items()}


def limit_of(request: Request) -> int:
    return int(query(request).get("limit", "25"))


def facebook(count: int, holes: frozenset[int] = frozenset()) -> Server:
    """Pages may be short or empty and have a next one; the last one's cursor is there too."""

    def answer(request: Request) -> tuple[object, dict[str, str]]:
        at = int(query(request).get("after", "0"))
        end = min(count, at + limit_of(request))
        data = [n for n in range(at, end) if n not in holes]
        paging: dict[str, object] = {"cursors": {"before": str(at), "after": str(end)}}
        if end < count:
            paging["next"] = f"https://api.example/items?access_token=EAAB&after={end}"
        return {"data": data, "paging": paging}, {}

    return answer


sizes = st.lists(
    st.builds(lambda value: PageSize(param="limit", value=value), st.integers(1, 9)),
    min_size=1,
    max_size=6,
)


@given(count=st.integers(0, 60), sizes=sizes, holes=st.frozensets(st.integers(0, 59)))
def test_facebook_ends_where_its_link_is_missing(
    count: int, sizes: list[PageSize | None], holes: frozenset[int]
) -> None:
    found, sent = walk(FACEBOOK, facebook(count, holes), sizes)
    assert found == [n for n in range(count) if n not in holes]
    assert all(request.params["fields"] == "a,b" for request in sent)
    assert not any("EAAB" in request.full_url for request in sent)


def test_facebook_is_asked_with_the_cursor_of_the_link_where_it_is_nowhere_else() -> None:
    body = {"data": [1], "paging": {"next": "https://api.example/items?limit=1&after=QV%3D"}}
    answer = Answer(url=TEMPLATE.url, body=body, records=1)
    state = following(FACEBOOK, {}, answer)
    assert state is not None
    assert apply(FACEBOOK, state, TEMPLATE).params["after"] == "QV="
    odd = replace(answer, body={"paging": {"next": "https://api.example/items?offset=1"}})
    with pytest.raises(PaginationError, match=r'kind = "link", next = "paging\.next"'):
        following(FACEBOOK, {}, odd)


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}, {"next": 0}, {"next": False}])
def test_a_cursor_that_is_none_ends(end: dict[str, object]) -> None:
    assert following(CURSOR, {}, Answer(url=TEMPLATE.url, body=end, records=5)) is None


@pytest.mark.parametrize(
    ("more", "goes_on"),
    [(True, True), (False, False), ("true", True), ("False", False), (1, True), (0, False)],
)
def test_has_more_decides_where_the_last_page_has_a_cursor_too(
    more: object,
    goes_on: bool,  # noqa: FBT001 - a row of the table
) -> None:
    pagination = CursorPages(next="data.-1.id", param="starting_after", more="has_more")
    body = {"data": [{"id": "a"}, {"id": "b"}], "has_more": more}
    state = following(pagination, {}, Answer(url=TEMPLATE.url, body=body, records=2))
    assert (state is not None) == goes_on
    if state is not None:
        assert apply(pagination, state, TEMPLATE).params["starting_after"] == "b"


def test_more_without_a_cursor_is_told_and_not_taken_for_the_end() -> None:
    pagination = CursorPages(next="next", param="cursor", more="has_more")
    answer = Answer(url=TEMPLATE.url, body={"has_more": True, "next": None})
    with pytest.raises(PaginationError, match="has_more says that there is more"):
        following(pagination, {}, answer)


def test_without_has_more_the_cursor_decides() -> None:
    pagination = CursorPages(next="next", param="cursor", more="has_mroe")
    answer = Answer(url=TEMPLATE.url, body={"has_more": True, "next": "c"})
    assert following(pagination, {}, answer) is not None


@given(before=st.integers(0, 20), circle=st.integers(1, 20))
def test_a_circle_of_cursors_ends_with_an_error(before: int, circle: int) -> None:
    asked = 0

    def server(request: Request) -> tuple[object, dict[str, str]]:
        nonlocal asked
        asked += 1
        at = int(query(request).get("cursor", "0")) + 1
        return {"data": [at], "next": str(at if at < before + circle else before)}, {}

    if before == 0:
        before = 1
    with pytest.raises(PaginationError, match="its cursor repeats"):
        walk(CURSOR, server, [None])
    assert asked <= 3 * (before + circle) + 2


def test_a_cursor_goes_into_the_body_and_may_be_a_table() -> None:
    pagination = CursorPages(next="header:X-Next", param="body.page.start")
    answer = Answer(url="x", body={}, headers={"x-next": "abc"})
    state = following(pagination, {}, answer)
    assert state is not None
    request = Request(url="x", method="POST", body={"page": {"size": 5}})
    assert apply(pagination, state, request).body == {"page": {"size": 5, "start": "abc"}}
    table = following(CURSOR, {}, Answer(url="x", body={"next": {"id": 1}}))
    assert table is not None
    assert apply(CURSOR, table, TEMPLATE).params["cursor"] == '{"id":1}'


def numbered(count: int, *, total: str = "") -> Server:
    def answer(request: Request) -> tuple[object, dict[str, str]]:
        limit = limit_of(request)
        at = (int(query(request)["page"]) - 1) * limit
        body: dict[str, object] = {"data": list(range(at, min(count, at + limit)))}
        if total:
            body[total] = str(-(-count // limit))
        return body, {"x-pages": str(-(-count // limit))}

    return answer


@pytest.mark.parametrize("total", ["", "pages", "header:X-Pages"])
@given(count=st.integers(0, 60), sizes=sizes)
def test_numbered_pages_leave_nothing_out_whatever_their_size_becomes(
    total: str, count: int, sizes: list[PageSize | None]
) -> None:
    found, _ = walk(NumberPages(total=total), numbered(count, total="pages"), sizes)
    assert sorted(set(found)) == list(range(count))
    if len(set(sizes)) == 1:
        assert found == list(range(count))


def test_a_short_page_ends_unless_the_total_says_otherwise() -> None:
    size = PageSize(param="limit", value=10)
    short = Answer(url="x", body={"pages": 3}, records=4, size=size.value)
    assert following(NumberPages(), {"page": 1}, short) is None
    assert following(NumberPages(total="pages"), {"page": 1}, short) == {"page": 2, "size": 10}
    assert following(NumberPages(total="pages"), {"page": 3, "size": 10}, short) is None
    empty = replace(short, records=0)
    assert following(NumberPages(total="pages"), {"page": 2, "size": 10}, empty) is not None
    unknown = replace(short, size=None)
    assert following(NumberPages(), {"page": 1}, unknown) == {"page": 2}
    assert following(NumberPages(total="nothing"), {"page": 1}, short) is None


def offset_server(count: int, *, cap: int = 1000) -> Server:
    def answer(request: Request) -> tuple[object, dict[str, str]]:
        at = int(query(request)["offset"])
        limit = min(cap, limit_of(request))
        return {"data": list(range(at, min(count, at + limit))), "count": count}, {}

    return answer


@pytest.mark.parametrize("total", ["", "count"])
@given(count=st.integers(0, 60), sizes=sizes)
def test_offsets_give_every_record_once_whatever_the_page_size_becomes(
    total: str, count: int, sizes: list[PageSize | None]
) -> None:
    found, _ = walk(OffsetPages(total=total), offset_server(count), sizes)
    assert found == list(range(count))


@given(count=st.integers(0, 60), cap=st.integers(1, 5))
def test_offsets_with_a_total_hold_where_an_api_gives_fewer_than_asked(
    count: int, cap: int
) -> None:
    size = PageSize(param="limit", value=50)
    found, _ = walk(OffsetPages(total="count"), offset_server(count, cap=cap), [size])
    assert found == list(range(count))


def test_offsets_end_at_a_page_with_nothing_though_the_total_is_not_reached() -> None:
    answer = Answer(url="x", body={"count": 10}, records=0, size=5)
    assert following(OffsetPages(total="count"), {"offset": 5}, answer) is None


def test_one_answer_is_all_where_there_are_no_pages() -> None:
    assert apply(NoPages(), first(NoPages()), TEMPLATE) == TEMPLATE
    assert following(NoPages(), {}, Answer(url="x", body={"next": "y"}, records=5)) is None


def test_a_link_is_resolved_and_kept_without_tokens() -> None:
    body = {"next": "?page=2&access_token=EAAB&appsecret_proof=ab&sig=1&a=%2F#top"}
    answer = Answer(url="https://api.example/v1/items?page=1", body=body)
    state = following(LINK, {}, answer, secrets={"sig"})
    assert state is not None
    assert state["url"] == "https://api.example/v1/items?page=2&a=%2F"
    assert "EAAB" not in json.dumps(state)
    size = PageSize(param="limit", value=5)
    request = apply(LINK, state, TEMPLATE, size)
    assert request.full_url == "https://api.example/v1/items?page=2&a=%2F&limit=5"


@pytest.mark.parametrize(
    "link",
    [
        "ftp://api.example/2",
        "https://user:pw@api.example/2",
        "javascript:alert(1)",
        "https://[::1/2",
        "https://api.example:99999/2",
        {"href": "https://api.example/2"},
        5,
    ],
)
def test_a_link_that_is_no_url_of_a_page_is_told(link: object) -> None:
    with pytest.raises(PaginationError):
        following(LINK, {}, Answer(url="https://api.example/1", body={"next": link}))


def test_a_circle_of_links_ends_with_an_error() -> None:
    answer = Answer(url="https://api.example/", body={"next": "/2?access_token=a"})
    state = following(LINK, {}, answer)
    assert state is not None
    again = replace(answer, url="https://api.example/2", body={"next": "/2?access_token=b"})
    with pytest.raises(PaginationError, match="its url repeats"):
        following(LINK, state, again)


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('<https://a.example/?page=2>; rel="next", <https://a.example/?page=9>; rel="last"', "2"),
        ('<https://a.example/?page=9>; rel="last", <https://a.example/?page=2>; rel="next"', "2"),
        ("<https://a.example/?page=2>;rel=next", "2"),
        ('<https://a.example/?page=2> ; REL = "prefetch NEXT" ; title="x"', "2"),
        ('<https://a.example/?page=1>; title="a, <b>; rel=next"; rel="prev"', None),
        ('<https://a.example/?page=1>; title="say \\"rel=next\\""; rel=prev', None),
        ("<https://a.example/?page=2>; rel=next; rel=prev", "2"),
        ("<https://a.example/?page=1>; rel=prev; rel=next", None),
        ('<https://a.example/?page=2,3>; rel="next"', "2,3"),
        ('<https://a.example/?page=1>; rel="next"; anchor="/other"', None),
        ('<https://a.example/?page=1>; rel="https://rels.example/next"', None),
        (', ,<https://a.example/?page=2>; rel="next"', "2"),
        ("", None),
        ("next", None),
        ("<https://a.example/?page=1", None),
    ],
)
def test_the_link_header_is_read_as_rfc_8288_says(header: str, target: str | None) -> None:
    expected = None if target is None else f"https://a.example/?page={target}"
    assert find_link(header, "next") == expected


@given(header=st.text(alphabet='<>;,="\\ arelnext', max_size=60))
def test_no_link_header_raises(header: str) -> None:
    find_link(header, "next")


@given(count=st.integers(1, 12))
def test_the_link_header_leads_through_all_pages(count: int) -> None:
    def server(request: Request) -> tuple[object, dict[str, str]]:
        page = int(query(request).get("page", "1"))
        header = f'<?page={page + 1}>; rel="next"' if page < count else '<?page=1>; rel="first"'
        return {"data": [page]}, {"link": header}

    found, _ = walk(LinkPages(), server, [None])
    assert found == list(range(1, count + 1))


def test_a_page_size_is_halved_down_to_its_smallest() -> None:
    size: PageSize | None = PageSize(param="limit", value=25, smallest=3)
    values: list[int] = []
    while size is not None and len(values) < 9:
        values.append(size.value)
        size = reduced(size)
    assert values == [25, 12, 6, 3]
