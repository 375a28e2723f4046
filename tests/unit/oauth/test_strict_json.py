"""JSON that is not trusted (CHECKLIST 42, 165)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.oauth.strict_json import DEEPEST_ANSWER, parse_json_object

CANARY = "canary-1234"
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(
    st.dictionaries(st.text(), VALUES, max_size=5),
    st.sampled_from(["ascii", "utf-8", "utf-8-sig"]),
)
def test_any_object_is_read_as_it_was_written(table: dict[str, object], encoding: str) -> None:
    text = json.dumps(table, ensure_ascii=encoding == "ascii")
    assert parse_json_object(text.encode(encoding)) == table


def nested(depth: int, opening: str = '{"a":', closing: str = "}") -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "not JSON"),
        (b"  ", "not JSON"),
        (b"<html>canary-1234</html>", "not JSON"),
        (b'{"access_token": "canary-1234', "not JSON"),
        (b'{"access_token": "canary-1234"} x', "not JSON"),
        (b"{'access_token': 'canary-1234'}", "not JSON"),
        (b'{"access_token": "canary-1234\n"}', "not JSON"),
        (b"access_token=canary-1234", "not JSON"),
        (b'\xff{"a": 1}', "not UTF-8"),
        ('{"a": "canary-1234"}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b"null", "not a JSON object"),
        (b"true", "not a JSON object"),
        (b"5", "not a JSON object"),
        (b'"canary-1234"', "not a JSON object"),
        (b'[{"access_token": "canary-1234"}]', "not a JSON object"),
        (b'{"a": 1, "a": 2}', "a name occurs twice"),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "a name occurs twice"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"a": Infinity}', "Infinity is not JSON"),
        (b'{"a": -Infinity}', "-Infinity is not JSON"),
        (nested(DEEPEST_ANSWER), "nested too deep"),
        (nested(100_000), "nested too deep"),
        (b'{"a":' + nested(100_000, "[", "]") + b"}", "nested too deep"),
        (b'{"a": ' + b"9" * 5000 + b"}", "4300 digits"),
    ],
)
def test_what_is_not_strict_json_is_refused_and_not_quoted(body: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_json_object(body)
    error: BaseException | None = raised.value
    assert CANARY not in str(error)
    assert not hasattr(error, "doc")  # JSONDecodeError keeps the whole document


def test_the_deepest_answer_is_read() -> None:
    assert parse_json_object(nested(DEEPEST_ANSWER - 1))


@given(st.binary() | st.text(alphabet='{}[]":,a1\\u ').map(str.encode))
def test_any_bytes_are_an_object_or_refused(body: bytes) -> None:
    try:
        found = parse_json_object(body)
    except ValueError:
        return
    assert isinstance(found, dict)
