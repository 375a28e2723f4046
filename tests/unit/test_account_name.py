"""Names of accounts and the globs that select them (CHECKLIST 150)."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.account_name import (
    LONGEST_NAME,
    RESERVED_SEGMENTS,
    check_account_name,
    parse_glob,
)

SEGMENT = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}", fullmatch=True).filter(
    lambda segment: segment not in RESERVED_SEGMENTS
)
NAMES = st.lists(SEGMENT, min_size=1, max_size=5).map("/".join)
#: What has done harm elsewhere: control and bidi characters, paths, options, look-alikes.
HOSTILE = "\0\n\r\t\x1b\x7f\u202e\u2028 ÀＡä.%?#&=:;\\'\"`$(){}<>|*~"


@pytest.mark.parametrize(
    "name", ["a", "0", "acme/facebook", "a.b_c-d/e/f", "token2", "retoken", "a" * LONGEST_NAME]
)
def test_a_name_is_taken_as_it_is(name: str) -> None:
    assert check_account_name(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "1 to 200 characters"),
        ("a" * (LONGEST_NAME + 1), "1 to 200 characters"),
        ("/a", "is not an account name"),
        ("a/", "is not an account name"),
        ("a//b", "is not an account name"),
        ("-a", "is not an account name"),
        (".a", "is not an account name"),
        ("..", "is not an account name"),
        ("../a", "is not an account name"),
        ("A", "is not an account name"),
        ("acme/*", "is not an account name"),
        ("a\n", "is not an account name"),
        ("\u0430cme", "is not an account name"),
        ("\u0661", "is not an account name"),
        *((f"acme/{word}", f"'{word}' is reserved") for word in sorted(RESERVED_SEGMENTS)),
        ("token/acme", "'token' is reserved"),
    ],
)
def test_what_is_no_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_account_name(name)


@given(NAMES, st.sampled_from(HOSTILE.replace(".", "")), st.integers(0, 50))
def test_one_hostile_character_spoils_a_name(name: str, character: str, place: int) -> None:
    with pytest.raises(ValueError, match="is not an account name"):
        check_account_name(name[:place] + character + name[place:])


@given(NAMES)
def test_the_grammar_is_that_of_the_design(name: str) -> None:
    assert check_account_name(name) == name


@pytest.mark.parametrize(
    ("glob", "fitting", "others"),
    [
        ("acme/*", ["acme/a", "acme/a.b-c"], ["acme", "acme/a/b", "acm/a", "acme2/a"]),
        ("acme/**", ["acme/a", "acme/a/b"], ["acme", "acm/a"]),
        ("**", ["a", "a/b/c"], []),
        ("*", ["a", "a.b"], ["a/b"]),
        ("*/facebook", ["acme/facebook"], ["facebook", "a/b/facebook", "acme/facebook2"]),
        ("**/facebook", ["a/facebook", "a/b/facebook"], ["facebook"]),
        ("a.c", ["a.c"], ["abc", "a/c"]),
        ("fb-*", ["fb-1", "fb-"], ["fb", "fb-1/x", "xfb-1"]),
        ("acme/fb", ["acme/fb"], ["acme/fb2", "acme/f"]),
        ("a**z", ["az", "a/b/z"], ["b/z"]),
    ],
)
def test_what_a_glob_selects(glob: str, fitting: list[str], others: list[str]) -> None:
    parsed = parse_glob(glob)
    assert [name for name in fitting + others if parsed.matches(name)] == fitting
    assert parsed.is_literal == ("*" not in glob)
    assert parsed.text == glob


@pytest.mark.parametrize(
    "text", ["", "/", "a/", "/a", "a//b", "A", "a b", "a?", "[ab]", "{a,b}", "a\n", "!a", "é"]
)
def test_what_is_no_glob_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not select accounts"):
        parse_glob(text)


@pytest.mark.parametrize("glob", ["*a*b*", "**a**b**"])
def test_what_is_too_long_for_a_name_costs_a_glob_nothing(glob: str) -> None:
    asked = "ab" * 1500 + ("/" if "**" not in glob else "\n")  # no newline fits ".", nor "/" "*"
    began = time.thread_time()
    assert not parse_glob(glob).matches(asked)
    assert time.thread_time() - began < 0.5  # seconds it took, and hours for a path of 60 KB
    assert not parse_glob("**").matches("a" * (LONGEST_NAME + 1))
    assert parse_glob("**").matches("a" * LONGEST_NAME)


@pytest.mark.parametrize("glob", ["*a*b*c*d*e*f*", "**a**b**c**d**", "a*/**b*/*c**d"])
def test_many_stars_cost_no_more_than_few(glob: str) -> None:
    """A regular expression would try as many ways as there are to place them."""
    name = ("abcde" * 40)[:LONGEST_NAME]
    began = time.thread_time()
    assert not parse_glob(glob).matches(name.replace("f", "e").replace("d", "e"))
    assert time.thread_time() - began < 0.5
    assert parse_glob("*a*b*c*d*e").matches(name)


def fits(glob: str, name: str) -> bool:
    """A model by hand: try every way in which a star may stand for characters."""
    if not glob:
        return not name
    if glob.startswith("**"):
        return any(fits(glob[2:], name[i:]) for i in range(len(name) + 1))
    if glob.startswith("*"):
        within = len(name.split("/", maxsplit=1)[0])
        return any(fits(glob[1:], name[i:]) for i in range(within + 1))
    return bool(name) and name[0] == glob[0] and fits(glob[1:], name[1:])


@given(
    st.text(alphabet="ab/*.", min_size=1, max_size=8),
    st.text(alphabet="ab/.", min_size=1, max_size=8),
)
def test_globs_agree_with_a_model(glob: str, name: str) -> None:
    try:
        parsed = parse_glob(glob)
    except ValueError:
        assert "" in glob.split("/")  # the only way to be refused here
        return
    assert parsed.matches(name) == fits(glob, name)
