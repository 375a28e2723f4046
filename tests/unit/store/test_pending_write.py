"""A sealed write as bytes: what was dumped loads, and nothing else does any harm."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.account import SealedTokens, Terms
from connector.store.pending_write import PendingWrite

words = st.text(max_size=10)
times = st.floats(allow_nan=False) | st.integers(-(2**63), 2**63 - 1)
writes = st.builds(
    PendingWrite,
    account_id=words,
    generation=st.integers(0, 2**63 - 1),
    terms=st.builds(
        Terms,
        token_type=words,
        scope=st.none() | st.lists(words, max_size=3).map(tuple),
        minted_at=times,
        expires_at=st.none() | times,
        lifetime=st.none() | times,
        consented_at=times,
        consent_ends_at=st.none() | times,
    ),
    sealed=st.builds(
        SealedTokens,
        access_token=st.binary(max_size=40),
        refresh_token=st.none() | st.binary(max_size=40),
        extra=st.none() | st.binary(max_size=40),
    ),
    due_at=st.none() | times,
    is_rotated=st.booleans(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ONE = PendingWrite(
    account_id="0a1b",
    generation=3,
    bound_to="acme f1",
    terms=Terms(
        token_type="Bearer",
        scope=("read", "write"),
        minted_at=1.5,
        expires_at=2.5,
        lifetime=1.0,
        consented_at=0.5,
        consent_ends_at=9.0,
    ),
    sealed=SealedTokens(access_token=b"\0a", refresh_token=b"\xffr", extra=b"x"),
    due_at=8.0,
    is_rotated=True,
)
#: Every field of a dump, by its path; and values of which none may stand where they do not belong.
PATHS = [
    ("version",),
    ("account_id",),
    ("generation",),
    ("due_at",),
    ("terms",),
    ("sealed",),
    *(("terms", name) for name in Terms.__dataclass_fields__),
    *(("sealed", name) for name in SealedTokens.__dataclass_fields__),
]
OTHERS: list[object] = [True, [], {}, [1], "é!", {"a": 1}, 10**400]

FITTING = [("account_id", "é!"), ("token_type", "é!"), ("scope", []), ("version", True)]


def changed(path: tuple[str, ...], value: object) -> bytes:
    """Give the dump of one with another value at a path."""
    table = json.loads(ONE.dump())
    *parents, name = path
    part = table
    for parent in parents:
        part = part[parent]
    part[name] = value
    return json.dumps(table).encode()


@given(writes)
def test_what_was_dumped_loads(write: PendingWrite) -> None:
    assert PendingWrite.load(write.dump()) == write


def test_what_earlier_versions_dumped_loads() -> None:
    """Golden: what is in a journal must load for ever.

    In version 1 nothing was bound, and ``is_rotated`` came later.
    """
    table = json.loads(ONE.dump())
    assert table == {
        "version": 2,
        "account_id": "0a1b",
        "generation": 3,
        "bound_to": "acme f1",
        "terms": {
            "token_type": "Bearer",
            "scope": ["read", "write"],
            "minted_at": 1.5,
            "expires_at": 2.5,
            "lifetime": 1.0,
            "consented_at": 0.5,
            "consent_ends_at": 9.0,
        },
        "sealed": {"access_token": "AGE=", "refresh_token": "/3I=", "extra": "eA=="},
        "due_at": 8.0,
        "is_rotated": True,
    }
    del table["bound_to"]
    table["version"] = 1
    older = replace(ONE, bound_to="")
    assert PendingWrite.load(json.dumps(table).encode()) == older
    del table["is_rotated"]
    assert PendingWrite.load(json.dumps(table).encode()) == replace(older, is_rotated=False)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_no_write(junk: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        PendingWrite.load(junk)


@pytest.mark.parametrize("junk", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000])
def test_what_would_exhaust_the_parser_is_no_write(junk: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        PendingWrite.load(junk)


def test_cut_anywhere_it_is_no_write() -> None:
    whole = ONE.dump()
    for cut in range(len(whole)):
        with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
            PendingWrite.load(whole[:cut])


@pytest.mark.parametrize("path", PATHS, ids=".".join)
@pytest.mark.parametrize("value", OTHERS, ids=repr)
def test_a_value_of_another_kind_is_refused(path: tuple[str, ...], value: object) -> None:
    """It would fail in the database, again and again, or be written and fail whoever reads it."""
    if (path[-1], value) in FITTING:
        assert isinstance(PendingWrite.load(changed(path, value)), PendingWrite)
        return
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        PendingWrite.load(changed(path, value))


@settings(max_examples=300)
@given(st.sampled_from(PATHS), json_values)
def test_whatever_stands_in_a_field_it_loads_or_is_refused(
    path: tuple[str, ...], value: object
) -> None:
    try:
        write = PendingWrite.load(changed(path, value))
    except ValueError:
        return
    assert type(write.account_id) is type(write.terms.token_type) is str
    assert type(write.generation) is int
    assert type(write.sealed.access_token) is bytes
    assert type(write.terms.scope) in {tuple, type(None)}
    assert all(type(word) is str for word in write.terms.scope or ())
    for number in (write.terms.minted_at, write.terms.consented_at):
        assert type(number) in {int, float}


@given(st.integers(0, len(ONE.dump()) - 1), st.integers(1, 255))
def test_with_any_byte_changed_it_loads_or_is_refused(position: int, mask: int) -> None:
    """The journal's digest finds such a change; here it must raise nothing else."""
    dumped = bytearray(ONE.dump())
    dumped[position] ^= mask
    try:
        assert isinstance(PendingWrite.load(bytes(dumped)), PendingWrite)
    except ValueError:
        return
