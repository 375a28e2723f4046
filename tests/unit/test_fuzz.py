"""What `make fuzz` looks for is found where it is, and its runs end as they should."""

import base64
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from connector.journal import Record
from connector.vault import age_header
from connector.vault.age_header import VERSION_LINE, write_header
from connector.vault.age_keys import X25519Recipient
from tests.fuzz import __main__ as fuzz
from tests.fuzz import targets
from tests.fuzz.targets import FRAMED, RAW, TARGETS, PromiseBroken


@pytest.mark.parametrize("name", TARGETS)
def test_its_seeds_break_no_promise(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].check(seed)
        for cut in range(len(seed)):
            TARGETS[name].check(seed[:cut])


def test_an_envelope_that_opens_though_it_was_changed_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets, "unseal", lambda *_, **__: b"token")
    with pytest.raises(PromiseBroken, match="was not sealed"):
        TARGETS["envelope"].check(FRAMED + b"\0\5\1token")
    with pytest.raises(PromiseBroken, match="something else"):
        TARGETS["envelope"].check(FRAMED + b"\0\5\1another")


def test_a_sealed_value_among_the_raw_ones_is_found() -> None:
    with pytest.raises(PromiseBroken, match="was not sealed"):
        TARGETS["envelope"].check(RAW + targets.sealed_by_us(b"token"))


def test_a_reader_of_the_journal_that_does_not_look_at_the_header_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def careless(body: bytes) -> Record:
        header, _, payload = body.partition(b"\n")
        return Record(**json.loads(header), payload=payload)

    monkeypatch.setattr("connector.journal._record", careless)
    for body in (b"{", b"[]", b"{}"):
        with pytest.raises((ValueError, TypeError)):
            TARGETS["journal"].check(FRAMED + body)
    with pytest.raises(PromiseBroken, match="other kinds"):
        TARGETS["journal"].check(FRAMED + b'{"account_id": 1, "generation": 1}')


def test_a_parser_that_is_not_strict_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "parse_json_object", json.loads)
    with pytest.raises(PromiseBroken, match="holds the document"):
        TARGETS["strict_json"].check(b"{")
    with pytest.raises(PromiseBroken, match="deeper"):
        TARGETS["strict_json"].check(b'{"a":' * 65 + b"1" + b"}" * 65)


def test_a_header_of_age_that_is_not_strict_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(text: str) -> bytes:
        return base64.b64decode(text + "=" * (-len(text) % 4))

    monkeypatch.setattr(age_header, "decode_base64", lenient)
    with pytest.raises(PromiseBroken, match="two forms"):
        TARGETS["age_header"].check(FRAMED + b"-> kind a\nAB\n")


def test_a_header_of_age_whose_mac_is_not_looked_at_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stanza = X25519Recipient(targets._IDENTITY.recipient).wrap(bytes(16))
    body = write_header([stanza], bytes(16)).removeprefix(VERSION_LINE).partition(b"--- ")[0]
    TARGETS["age_header"].check(FRAMED + body)
    monkeypatch.setattr("connector.vault.age_header.hmac.compare_digest", lambda *_: True)
    with pytest.raises(PromiseBroken, match="nobody wrote"):
        TARGETS["age_header"].check(FRAMED + body)


@pytest.mark.parametrize(("ended", "status"), [(0, 0), (77, 1), (-9, 1)])
def test_the_exit_status_is_that_of_all_targets(
    ended: int, status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run: list[list[str]] = []

    def pretend(command: list[str], *, check: bool) -> SimpleNamespace:
        assert not check
        run.append(command)
        return SimpleNamespace(returncode=ended if "journal" in command else 0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pretend)
    assert fuzz.main(["--seconds", "3"]) == status
    assert [command[3] for command in run] == list(TARGETS)
    assert all("-max_total_time=3" in command for command in run)
    assert fuzz.main(["envelope"]) == 0
    assert len(list((tmp_path / "artefacts" / "fuzz" / "journal").iterdir())) == 3
    with pytest.raises(SystemExit):
        fuzz.main(["nothing"])
    with pytest.raises(SystemExit):
        fuzz.main(["--seconds", "0"])
