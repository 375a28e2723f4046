"""Files of accounts: read strictly, every problem told with its line, no token quoted."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.consent.accounts_file import FIELDS, Entry, read_accounts_file
from connector.secret import Secret

Problems = list[tuple[int, str, str]]


def read(data: bytes | str, provider: str | None = None) -> tuple[list[Entry], Problems]:
    problems: Problems = []
    encoded = data.encode() if isinstance(data, str) else data
    entries = read_accounts_file(
        encoded, provider, lambda line, message, remedy: problems.append((line, message, remedy))
    )
    return entries, problems


def refused(data: bytes | str) -> Problems:
    _, problems = read(data)
    assert problems
    return problems


JSON = """
[
  {"provider": "acme", "account": "acme/one", "refresh_token": "r-1",
   "scope": "read write", "access_token": "a-1", "expiry": "2026-11-30T12:00:00Z"},
  {"provider": "acme", "account": "acme/two", "refresh_token": "r-2", "scope": ["read"],
   "consent_ends_at": 1800000000, "access_token": null}
]
"""
CSV = """provider,account,refresh_token,access_token,scope,expiry,consent_ends_at
acme,acme/one,r-1,a-1,read write,2026-11-30T12:00:00Z,

acme,acme/two,r-2,,"read",,1800000000
"""


@pytest.mark.parametrize(("text", "lines"), [(JSON, (3, 5)), (CSV, (2, 4))])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_and_csv_say_the_same(
    text: str, lines: tuple[int, int], newline: str, mark: str
) -> None:
    (one, two), problems = read((mark + text).replace("\n", newline))
    assert problems == []
    assert (one.line, two.line) == lines
    assert (one.account, one.refresh_token, one.access_token) == (
        "acme/one",
        Secret("r-1"),
        Secret("a-1"),
    )
    assert (one.scope, one.expiry, one.consent_ends_at) == (
        ("read", "write"),
        1_796_040_000.0,
        None,
    )
    assert (two.scope, two.expiry, two.consent_ends_at) == (("read",), None, 1_800_000_000.0)
    assert two.access_token is None


@pytest.mark.parametrize("text", ["[]", " [ ] \n", ",".join(FIELDS)])
def test_none_is_no_problem(text: str) -> None:
    assert read(text) == ([], [])


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "is empty"),
        ("\n\n", 1, "is empty"),
        ('{"provider": "a"}', 1, "is one object"),
        ("[", 1, "is not JSON"),
        ("[\n1]", 2, "is no object"),
        ("[\n{}\n,]", 3, "is not JSON"),
        ("[{}\n{}]", 2, "the list has no end"),
        ("[{}", 1, "the list has no end"),
        ("[]\nx", 1, "something follows"),
        ('[\n{"account": "a",\n "account": "b"}]', 2, "a name occurs twice"),
        ('[{"expiry": NaN}]', 1, "is not JSON"),
        ("[" + "[" * 100_000, 1, "nested too deep"),
        ("provider,acount\n", 1, "an unknown column: 'acount'"),
        ("provider,provider\n", 1, "the column 'provider' twice"),
        ("provider;account\n", 1, "an unknown column"),
        ("provider,account\na\n", 2, "has 1 cells, and the first line names 2 columns"),
        ('provider,account\n"a,b\n', 2, "is not CSV"),
        ('provider,account\na"b,"c"d\n', 2, "is not CSV"),
    ],
)
def test_another_form_is_told_with_its_line(text: str, line: int, problem: str) -> None:
    last = refused(text)[-1]
    assert last[0] == line
    assert problem in last[1]


def test_what_is_no_text_is_told_with_its_line() -> None:
    assert refused(b"provider\nacme\n\xff")[0][:2] == (3, "is not UTF-8")
    assert refused("[]".encode("utf-16"))[0][1] == "is not UTF-8"
    assert refused("provider\n\0")[0][:2] == (2, "holds a NUL")


def row(**changes: object) -> str:
    whole: dict[str, object] = {"provider": "acme", "account": "acme/one", "refresh_token": "r"}
    return json.dumps([whole | changes])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"provider": None}, "has no provider"),
        ({"provider": ""}, "has no provider"),
        ({"provider": 7}, "has no provider"),
        ({"account": None}, "has no account"),
        ({"account": "Acme"}, "is not an account name"),
        ({"account": "acme/token"}, "is reserved"),
        ({"refresh_token": ""}, "an empty refresh_token"),
        ({"refresh_token": ["r"]}, "an empty refresh_token, or one that is no text"),
        ({"refresh_token": "r\n"}, "a refresh_token with a space or line break at its end"),
        ({"refresh_token": " r"}, "a refresh_token with a space or line break at its end"),
        ({"refresh_token": "r\u00e4"}, "a refresh_token with characters that no token has"),
        ({"refresh_token": "r\tr"}, "a refresh_token with characters that no token has"),
        ({"access_token": ""}, "an empty access_token"),
        ({"scope": 'a"b'}, "a scope that is none"),
        ({"scope": ["a b"]}, "a scope that is none"),
        ({"scope": 7}, "a scope that is none"),
        ({"expiry": "tomorrow"}, "expiry that is no moment"),
        ({"expiry": "2026-11-30T12:00:00"}, "expiry that is no moment"),
        ({"expiry": True}, "expiry that is no moment"),
        ({"expiry": 1_800_000_000_000}, "expiry out of range"),
        ({"expiry": -1}, "expiry out of range"),
        ({"expiry": "nan"}, "expiry"),
        ({"consent_ends_at": "never"}, "consent_ends_at that is no moment"),
        ({"tokens": "x"}, "an unknown field: 'tokens'"),
    ],
)
def test_a_field_that_is_wrong_is_told(changes: dict[str, object], problem: str) -> None:
    ((line, message, _),) = refused(row(**changes))
    assert line == 1
    assert problem in message


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("refreshtoken", "did you mean refresh_token?"), ("Scope", "did you mean scope?"),
     ("zzz", "known: provider, account")],
)  # fmt: skip
def test_the_nearest_field_is_named(name: str, remedy: str) -> None:
    assert refused(row(**{name: "x"}))[0][2].startswith(remedy)
    assert refused(f"provider,{name}\n")[0][2].startswith(remedy)


def test_all_problems_are_told_at_once_and_no_token() -> None:
    lines = (
        "account,refresh_token,expiry",
        "A,secret ä,x",
        "acme/one,secret ,",
        "acme/two,secret,",
    )
    entries, problems = read("\n".join(lines), "acme")
    assert [line for line, _, _ in problems] == [2, 2, 2, 3]
    assert "secret" not in str(problems)
    assert [entry.account for entry in entries] == ["acme/two"]
    assert entries[0].provider == "acme"
    assert "secret" not in repr(entries)


def test_a_lines_own_provider_is_taken_before_the_default() -> None:
    assert read(row(), "other")[0][0].provider == "acme"


@pytest.mark.parametrize("written", ["never", 1.5, "1.5", "1970-01-01T00:00:01.5+00:00"])
def test_ways_to_write_an_end(written: object) -> None:
    ((entry,), problems) = read(row(expiry=written, access_token="a"))
    assert problems == []
    assert (entry.is_endless, entry.expiry) == (
        (True, None) if written == "never" else (False, 1.5)
    )


@given(st.binary(max_size=60) | st.text(alphabet='[]{},:" \n\racount0', max_size=60))
def test_any_file_is_read_or_refused(data: Any) -> None:
    entries, problems = read(data)
    assert entries == [] or isinstance(entries[0], Entry)
    assert all(line >= 0 and message for line, message, _ in problems)
