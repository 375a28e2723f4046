"""Where in an answer something is."""

import subprocess
import sys

import jsonpath_rfc9535
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pulls.paths import Path

BODY = {
    "data": [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}],
    "paging": {"cursors": {"after": "QVFI"}, "next": None},
    "@odata.nextLink": "https://graph.example/2",
    "meta": {"page.total": 7},
}
names = st.text(alphabet="abc", min_size=1, max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [BODY]),
        ("paging.cursors.after", ["QVFI"]),
        ("paging.next", [None]),
        ("paging.cursors.before", []),
        ("paging.cursors.after.deeper", []),
        ("data.0.id", [1]),
        ("data.-1.id", [2]),
        ("data.2.id", []),
        ("data.*.id", [1, 2]),
        ("data.*.tags.*", ["a", "b"]),
        ("data.id", []),
        ("*.cursors", [{"after": "QVFI"}]),
        ("@odata.nextLink", ["https://graph.example/2"]),
        ("meta.page.total", [7]),
        ("$.data[*].id", [1, 2]),
        ("$.data[?@.id > 1].tags", [[]]),
        ("$['@odata.nextLink']", ["https://graph.example/2"]),
        ("$.nothing", []),
    ],
)
def test_a_path_finds_what_is_at_its_place(text: str, found: list[object]) -> None:
    assert Path.parse(text).find(BODY) == found


def test_null_is_a_value_and_nothing_is_none() -> None:
    assert Path.parse("paging.next").first(BODY, "default") is None
    assert Path.parse("paging.previous").first(BODY, "default") == "default"


@given(body=values, steps=st.lists(names, min_size=1, max_size=4))
def test_dotted_names_find_what_a_loop_over_objects_finds(body: object, steps: list[str]) -> None:
    expected = [body]
    for name in steps:
        expected = [one[name] for one in expected if isinstance(one, dict) and name in one]
    assert Path.parse(".".join(steps)).find(body) == expected
    assert Path.parse("$." + ".".join(steps)).find(body) == expected


@given(body=values, steps=st.lists(names, max_size=3), end=st.sampled_from(["", "[*]"]))
def test_simple_json_path_finds_what_its_library_finds(
    body: object, steps: list[str], end: str
) -> None:
    text = "".join(["$", *(f".{name}" for name in steps), end])
    expected = jsonpath_rfc9535.compile(text).find(body).values()  # type: ignore[arg-type]
    assert Path.parse(text).find(body) == expected


def test_a_list_of_records_is_given_as_it_is() -> None:
    assert Path.parse("$.data[*]").records(BODY) == BODY["data"]
    assert Path.parse("$.rows[*]").records(BODY) == []
    assert Path.parse("$.rows[*]").find(BODY) == []


def test_a_header_is_found_by_its_name_in_any_case() -> None:
    path = Path.parse("header:X-Next-Cursor", may_be_header=True)
    assert path.look(BODY, {"x-next-cursor": "abc"}) == "abc"
    assert path.look(BODY, {}) is None
    assert Path.parse("paging.cursors.after").look(BODY, {"paging": "x"}) == "QVFI"


@pytest.mark.parametrize(
    ("text", "records"),
    [
        ("data", BODY["data"]),
        ("data.*", BODY["data"]),
        ("data.*.tags", ["a", "b"]),
        ("paging", [BODY["paging"]]),
        ("", [BODY]),
        ("rows", []),
        ("paging.next", []),
    ],
)
def test_records_are_a_list_or_one_object_or_none(text: str, records: list[object]) -> None:
    assert Path.parse(text).records(BODY) == records


def test_what_is_neither_list_nor_object_is_told() -> None:
    with pytest.raises(ValueError, match=r"'paging\.cursors\.after' is str, and not a list"):
        Path.parse("paging.cursors.after").records(BODY)
    with pytest.raises(ValueError, match="the answer itself is str"):
        Path.parse("").records("<html>")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data..id", "write names with single dots"),
        (".data", "write names with single dots"),
        ("data[0].id", r"write data.0.id, or JSONPath"),
        ("$.data[", r"such as \$\.data\[\*\]"),
        ("$data", "RFC 9535"),
        ("header:X-Next", "write a path into the body"),
    ],
)
def test_a_path_that_is_none_says_how_to_write_it(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Path.parse(text)


def test_a_header_without_a_name_is_told() -> None:
    with pytest.raises(ValueError, match="write header:NAME"):
        Path.parse("header:a b", may_be_header=True)


def test_too_deep_an_answer_is_told_and_no_recursion_error() -> None:
    body: object = {}
    for _ in range(5000):
        body = {"a": body}
    with pytest.raises(ValueError, match="cannot be looked for"):
        Path.parse("$..b").find(body)


def test_nobody_pays_for_json_path_who_does_not_use_it() -> None:
    program = (
        "import sys, connector.pulls.pagination as p\n"
        "assert p.Path.parse('a.b').find({'a': {'b': 1}}) == [1]\n"
        "print([n for n in ('jsonpath_rfc9535', 'httpx2', 'connector.settings') "
        "if n in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert shown.stdout.strip() == "[]"
