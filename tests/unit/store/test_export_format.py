"""Lines of an export: whole or refused, and every problem of every line told at once."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.store import export_format
from connector.store.export_check import check_export
from connector.store.export_format import ExportError, ExportLines, ExportReader

HEAD = {"store_id": "s", "exported_at": 1.0, "connector": "1"}
ACCOUNT: dict[str, Any] = {
    "id": "0a1b",
    "name": "acme/one",
    "provider": "acme",
    "state": "active",
    "reason": None,
    "state_since": 1.0,
    "generation": 2,
    "created_at": 1,
    "due_at": None,
    "fingerprint": "f",
    "subject": "17",
    "subject_name": None,
    "terms": {
        "token_type": "Bearer",
        "scope": ["read"],
        "minted_at": 1.0,
        "expires_at": 2.0,
        "lifetime": 1.0,
        "consented_at": 1.0,
        "consent_ends_at": None,
    },
    "tokens": {
        "access_token": "access-secret",
        "refresh_token": "refresh-secret",
        "extra": '{"a": 1}',
        "late_token": {"refresh_token": "late-secret", "sent_at": 1.0},
    },
    "attempt": {"sent_at": 1.0, "first_sent_at": 1.0, "count": 1, "sent": "refresh_token"},
    "trouble": {"message": "503", "since": 1.0, "failures": 1, "retry_at": 2.0},
}
DEBT: dict[str, Any] = {
    "id": "d1",
    "account": "acme/one",
    "provider": "acme",
    "subject": None,
    "tokens": {"access_token": None, "refresh_token": "refresh-secret"},
    "attempts": 1,
    "created_at": 1.0,
    "last_error": None,
    "fingerprint": "f",
}
RUN: dict[str, Any] = {
    "id": "r1",
    "job": "pull",
    "account": "acme/one",
    "due_at": None,
    "started_at": 1.0,
    "deadline_at": None,
    "finished_at": 2.0,
    "outcome": "succeeded",
    "error": None,
    "records": 1,
    "batches": 1,
    "tokens": 1,
    "cursor": "null",
    "owner": "me",
}
LINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("account", ACCOUNT),
    ("revocation", DEBT),
    ("paused_job", {"name": "pull", "paused_at": 1.0}),
    ("run", RUN),
    ("metadata", {"provider": "a", "issuer": "i", "document": "{}", "pinned_at": 1.0}),
    (
        "halt",
        {"provider": "a", "halted_until": 1.0, "since": 1.0, "message": "m", "rejected": None},
    ),
)


def written(*lines: tuple[str, dict[str, Any]]) -> bytes:
    out = bytearray()
    export = ExportLines(out.extend, HEAD)
    for kind, record in lines:
        export.add(kind, record)
    export.finish()
    return bytes(out)


def problems(*lines: tuple[str, dict[str, Any]]) -> list[tuple[str, str]]:
    return check_export(ExportReader([written(*lines)])).problems


def check(data: bytes) -> None:
    check_export(ExportReader([data]))


def test_a_whole_one_is_read() -> None:
    checked = check_export(ExportReader([written(*LINES)]))
    assert checked.problems == []
    assert checked.names == {"0a1b": "acme/one"}
    assert dict(checked.counts) == {kind: 1 for kind, _ in LINES}
    assert checked.head["store_id"] == "s"


@given(st.lists(st.integers(1, 200), min_size=1, max_size=40))
def test_lines_do_not_depend_on_where_chunks_end(sizes: list[int]) -> None:
    data, chunks = written(*LINES), []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    reader = ExportReader([*chunks, data])
    assert [kind for _, kind, _ in reader.records()] == [kind for kind, _ in LINES]


@given(st.text())
def test_whatever_a_token_holds_comes_back(token: str) -> None:
    """JSON can hold a NUL and lone surrogates; to lose a token over them would be worse."""
    for text in (token, token + "\ud800\0"):
        line = {**ACCOUNT, "tokens": {**ACCOUNT["tokens"], "access_token": text}}
        ((_, _, record),) = ExportReader([written(("account", line))]).records()
        assert record == line


def test_cut_anywhere_it_is_refused() -> None:
    data = written(*LINES)
    for end in range(len(data) - 1):
        with pytest.raises(ExportError):
            check(data[:end])


def test_each_byte_of_it_counts() -> None:
    """An export that was decrypted, changed and encrypted again, say."""
    data = written(("paused_job", {"name": "pull", "paused_at": 1.0}))
    for place in range(len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(ExportError):
            check(bytes(changed))


def test_lines_in_another_order_left_out_repeated_or_added() -> None:
    lines = written(*LINES).splitlines(keepends=True)
    head, first, second, *rest = lines
    for changed in (
        [head, second, first, *rest],
        [head, second, *rest],
        [head, first, first, second, *rest],
        [*lines, first],
        [*lines, b"\n"],
        [head, *lines],
        lines[1:],
    ):
        with pytest.raises(ExportError):
            check(b"".join(changed))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ({"kind": "vault", "format": "connector-vault-export", "version": 2}, "of version 2"),
        ({"kind": "vault", "format": "connector-vault-export", "version": 0}, "of version 0"),
        ({"kind": "vault", "format": "connector-vault-export", "version": True}, "of version True"),
        ({"kind": "vault", "format": "another", "version": 1}, "no export"),
        ({"kind": "account"}, "no export"),
    ],
)
def test_what_this_program_does_not_know_is_refused(head: dict[str, Any], message: str) -> None:
    line = json.dumps(head).encode() + b"\n"
    end = {"kind": "end", "counts": {}, "sha256": hashlib.sha256(line).hexdigest()}
    with pytest.raises(ExportError, match=message):
        check(line + json.dumps(end).encode() + b"\n")


@pytest.mark.parametrize("data", [b"", b"\n", b"{}", b"[]\n", b"\xff\n", b"age-encryption\n"])
def test_what_is_no_export_is_refused(data: bytes) -> None:
    with pytest.raises(ExportError):
        check(data)


def test_a_line_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_format, "LONGEST_LINE", 1000)
    first = written().splitlines(keepends=True)[0]
    with pytest.raises(ExportError, match="line 2 is too long"):
        check_export(ExportReader([first, *([b"x" * 300] * 10_000)]))


def changed(path: str, value: object) -> dict[str, Any]:
    """Give the account's line with one field changed; "gone" takes it out."""
    line = json.loads(json.dumps(ACCOUNT))
    *parents, name = path.split(".")
    table = line
    for parent in parents:
        table = table[parent]
    table[name] = value
    if value == "gone":
        del table[name]
    return dict(line)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("id", "", "id is no identifier"),
        ("id", "a b", "id is no identifier"),
        ("id", 7, "id is not a text"),
        ("id", "gone", "id is missing"),
        ("name", "Acme", "name is no account name"),
        ("name", None, "name is not a text"),
        ("provider", "a\0", "provider holds a character that no database takes"),
        ("provider", "\ud800", "provider holds a character that no database takes"),
        ("state", "leased", "state is none of pending, active, consent_required"),
        ("state", "pending", "state is pending, and there are tokens"),
        ("state_since", "1", "state_since is not a number"),
        ("state_since", True, "state_since is not a number"),
        ("state_since", 1e300, "state_since is out of range"),
        ("state_since", 253_402_300_800, "state_since is out of range"),
        ("created_at", -62_135_596_801, "created_at is out of range"),
        ("generation", 1.5, "generation is not a whole number"),
        ("generation", -1, "generation is out of range"),
        ("generation", 2**63, "generation is out of range"),
        ("generation", 2**63 - 2, "generation is out of range"),
        ("due_at", [], "due_at is not a number"),
        ("fingerprint", None, "state is active, and tokens, terms or fingerprint are missing"),
        ("terms", None, "state is active, and tokens, terms or fingerprint are missing"),
        ("tokens", None, "state is active, and tokens, terms or fingerprint are missing"),
        ("terms.scope", "read", "terms.scope is not a list"),
        ("terms.scope", ["read", 1], "terms.scope is no list of texts"),
        ("terms.minted_at", None, "terms.minted_at is not a number"),
        ("terms.more", 1, "terms.more is not known to this version"),
        ("tokens.access_token", None, "tokens.access_token is not a text"),
        ("tokens.refresh_token", "", "tokens.refresh_token is empty"),
        ("tokens.extra", "[]", "tokens.extra is no JSON object"),
        ("tokens.extra", "{", "tokens.extra is no JSON object"),
        ("tokens.late_token.refresh_token", 1, "tokens.late_token.refresh_token is not a text"),
        ("tokens.late_token.sent_at", "gone", "tokens.late_token.sent_at is missing"),
        ("attempt.sent", "nothing", "attempt.sent is none of"),
        ("attempt.count", "gone", "attempt.count is missing"),
        ("trouble.failures", {}, "trouble.failures is not a whole number"),
        ("more", 1, "more is not known to this version"),
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_told(path: str, value: object, problem: str) -> None:
    found = problems(("account", changed(path, value)))
    assert any(message.startswith(problem) for _, message in found), found
    assert all(where.startswith("line 2, account") or "name" in path for where, _ in found)


@pytest.mark.parametrize(
    ("kind", "line", "problem"),
    [
        ("revocation", DEBT | {"tokens": {"access_token": None, "refresh_token": None}}, "missing"),
        ("revocation", DEBT | {"tokens": None}, "missing"),
        ("revocation", DEBT | {"tokens": {"access_token": "a"}}, "refresh_token is missing"),
        ("revocation", DEBT | {"tokens": DEBT["tokens"] | {"more": "a"}}, "more is not known"),
        ("run", RUN | {"outcome": "running"}, "outcome is none of"),
        ("run", RUN | {"records": -1}, "records is out of range"),
        ("run", RUN | {"tokens": 2**31}, "tokens is out of range"),
        ("metadata", {"provider": "a", "issuer": "i", "document": "[]", "pinned_at": 1}, "no JSON"),
        ("metadata", {"provider": "a", "issuer": "i", "document": "{", "pinned_at": 1}, "no JSON"),
        ("paused_job", {"name": "a"}, "paused_at is missing"),
        ("lease", {}, "does not know: 'lease'"),
    ],
)
def test_other_lines_are_looked_at_as_well(kind: str, line: dict[str, Any], problem: str) -> None:
    found = problems((kind, line))
    assert {where for where, _ in found} == {"line 2"}
    assert any(problem in message for _, message in found)


def test_all_problems_are_told_at_once_and_no_value() -> None:
    bad = changed("tokens.refresh_token", ["refresh-secret"]) | {"generation": "refresh-secret"}
    found = problems(
        ("account", ACCOUNT),
        ("account", ACCOUNT),
        ("account", ACCOUNT | {"id": "another"}),
        ("account", bad | {"name": "acme/two"}),
        ("run", RUN | {"outcome": "x"}),
    )
    assert [where for where, _ in found] == [
        "line 3, account acme/one",
        "line 4, account acme/one",
        "line 5, account acme/two",
        "line 5, account acme/two",
        "line 6",
    ]
    assert "secret" not in str(found)


def test_what_it_holds_is_not_shown() -> None:
    from connector.store.export_account import read_exported
    from connector.store.export_fields import Fields

    account = read_exported(Fields(ACCOUNT, []))
    assert "secret" not in repr(account)
    assert "secret" not in repr(account.tokens)
    assert account.record() == ACCOUNT
