"""The journal's file, whatever is in it: nothing is raised, and nothing read that was not kept."""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.journal import _HEAD, _MAGIC, Journal, Record, _read

records = st.lists(
    st.builds(
        Record,
        account_id=st.text(max_size=8),
        generation=st.integers(0, 2**63 - 1),
        payload=st.binary(max_size=40),
    ),
    min_size=1,
    max_size=4,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
headers = st.binary(max_size=60) | st.builds(
    lambda value: json.dumps(value).encode(),
    json_values
    | st.fixed_dictionaries({"account_id": json_values, "generation": json_values})
    | st.fixed_dictionaries({"account_id": st.text(max_size=5), "generation": json_values}),
)


@contextmanager
def file_of(content: bytes) -> Iterator[Path]:
    """Give a folder with one file that its owner has left."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "0.journal").write_bytes(content)
        yield Path(folder)


def kept(written: list[Record]) -> bytes:
    """Give the file that holds records, up to its last byte that is not zero."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        for record in written:
            journal.keep(record)
        journal.close()
        found = (Path(folder) / "0.journal").read_bytes()
    stored = list(_read(found))
    assert [one.record for one in stored] == written
    return found[: stored[-1].end]


def framed(body: bytes) -> bytes:
    """Give a body with the length and digest that belong to it."""
    return _HEAD.pack(len(body), b"K", hashlib.sha256(body).digest()) + body


def read(content: bytes) -> list[Record]:
    return [stored.record for stored in _read(content)]


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_hold_no_record(junk: bytes, is_journal: bool) -> None:  # noqa: FBT001
    assert read(_MAGIC * is_journal + junk) == []


@given(headers, st.binary(max_size=20))
def test_a_body_that_is_not_ours_is_no_record_though_its_digest_fits(
    header: bytes, payload: bytes
) -> None:
    """And costs none that comes after it."""
    after = Record(account_id="after", generation=1, payload=b"after")
    ours = kept([after])[len(_MAGIC) :]
    *others, last = read(_MAGIC + framed(header + b"\n" + payload) + ours)
    assert last == after
    for record in others:
        assert type(record.account_id) is str
        assert type(record.generation) is int
        assert {"account_id": record.account_id, "generation": record.generation}.items() <= (
            json.loads((header + b"\n" + payload).partition(b"\n")[0]).items()
        )


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"5",
        b'"account_id"',
        b"{}",
        b'{"account_id": "a"}',
        b'{"account_id": 1, "generation": 1}',
        b'{"account_id": "a", "generation": "1"}',
        b'{"account_id": "a", "generation": true}',
        b"[" * 100_000,
        b'{"account_id": "a", "generation": ' + b"9" * 5000 + b"}",
    ],
)
def test_a_file_with_such_a_body_can_be_used(header: bytes) -> None:
    """Everybody who looks for a record reads all files: one of them must stop nobody."""
    after = Record(account_id="after", generation=1, payload=b"after")
    content = _MAGIC + framed(header + b"\nx") + kept([after])[len(_MAGIC) :]
    with file_of(content) as folder:
        assert Journal(folder).find("account", 1) is None
        assert Journal(folder).find("after", 1) == after
        journal = Journal(folder)
        journal.adopt()
        assert journal.held() == [after]
        journal.settle(after)
        journal.prepare()
        one = Record(account_id="account", generation=1, payload=b"x")
        journal.keep(one)
        assert journal.held() == [one]
        assert Journal(folder).find("account", 1) == one
        journal.close()


@settings(max_examples=30)
@given(records)
def test_cut_at_any_byte_the_records_before_the_cut_are_there(written: list[Record]) -> None:
    whole = kept(written)
    ends = [stored.end for stored in _read(whole)]
    for cut in range(len(whole)):
        left = written[: sum(end <= cut for end in ends)]
        assert read(whole[:cut]) == left
        assert read(whole[:cut] + bytes(50)) == left, "as it was allocated"


@settings(max_examples=30)
@given(records, st.integers(1, 255))
def test_with_any_byte_changed_nothing_is_read_that_was_not_kept(
    written: list[Record], mask: int
) -> None:
    whole = kept(written)
    ends = [stored.end for stored in _read(whole)]
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= mask
        if any(stored.state_at == position for stored in _read(whole)):
            left = written  # settled or not, it was kept
        elif position < len(_MAGIC):
            left = []
        else:
            left = written[: sum(end <= position for end in ends)]
        assert read(bytes(changed)) == left


@settings(max_examples=30)
@given(records, st.data())
def test_a_file_that_was_torn_is_gone_on_with(written: list[Record], data: st.DataObject) -> None:
    whole = kept(written)
    cut = data.draw(st.integers(0, len(whole)))
    junk = data.draw(st.binary(max_size=60))
    added = Record(account_id="added", generation=5, payload=b"added")
    with file_of(whole[:cut] + junk) as folder:
        journal = Journal(folder)
        journal.prepare()
        left = journal.held()
        assert left == written[: len(left)]
        journal.keep(added)
        journal.close()
        again = Journal(folder)
        again.prepare()
        assert again.held() == [*left, added]
        again.close()
