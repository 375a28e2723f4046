"""What a notice says, to people and to programs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from connector.notice import PAST, Event, Kind
from connector.notices.sentences import LONGEST_REASON, shown
from connector.notices.wording import compose, trial

from .messages import NOW, a_message, a_notice

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "notices.md").read_text()
ADDRESS = "https://connector.example"


def test_what_a_person_reads() -> None:
    message = a_message()
    assert message.title == "account acme/ads needs consent"
    assert message.text.splitlines() == [
        (
            "Nobody gets a token any more until the person has consented anew."
            " Since 15 Jan 2027, 07:59 UTC."
            " What was last said of it: “the provider ended the grant”."
        ),
        "Type: connector connect acme --account acme/ads",
        f"See: {ADDRESS}/accounts/acme/ads",
    ]


def test_every_field_is_documented_and_the_example_has_them_all() -> None:
    body = a_message().body
    example = json.loads(PAGE.partition("```json")[2].partition("```")[0])
    assert set(body) == set(example)
    assert [field for field in body if f"`{field}`" not in PAGE] == []


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("event", get_args(Event))
def test_every_kind_has_words_for_every_event(kind: Kind, event: Event) -> None:
    cause = replace(a_notice().cause, kind=kind, job="pull", level=1, ends_at=NOW + 9)
    for notice in (replace(a_notice(), cause=cause), replace(a_notice(), cause=cause, count=7)):
        message = compose(notice, address=ADDRESS, event=event)
        assert message.title
        assert "None" not in message.title + message.text
        assert json.loads(json.dumps(message.body))["resolved"] is (event == "resolved")
        assert (message.severity == "info") is (event == "resolved" or kind == "trial")
    assert kind == "trial" or f"`{kind}`" in PAGE


def test_the_end_asks_for_nothing() -> None:
    over = compose(replace(a_notice(), told_at=NOW), event="resolved")
    assert over.title == "Over: account acme/ads needs consent"
    assert over.body["command"] is None
    assert "15 Jan 2027, 08:00 UTC" in over.text


@pytest.mark.parametrize(
    ("level", "severity", "words"),
    [
        (1, "warning", "ends within 14 days"),
        (2, "warning", "ends within 7 days"),
        (3, "error", "ends within a day"),
        (PAST, "error", "has ended"),
    ],
)
def test_the_end_of_a_consent(level: int, severity: str, words: str) -> None:
    notice = a_notice(kind="consent_ends", level=level, ends_at=NOW + 9, reason=None)
    message = compose(notice)
    assert (message.severity, words in message.title) == (severity, True)
    assert message.body["consent_ends_at"] == "2027-01-15T08:00:09Z"
    assert " on 15 Jan 2027, 08:00 UTC. " in message.text


def test_many_are_counted_and_some_named() -> None:
    names = [f"acme/{number}" for number in range(10)]
    message = compose(replace(a_notice(account=None), count=5000), accounts=names)
    assert message.title == "5000 accounts of acme need consent"
    assert "Accounts: acme/0, " in message.text
    assert "and 4990 more." in message.text
    assert (message.body["count"], message.body["accounts"]) == (5000, names)
    assert message.body["command"] == "connector accounts"


def test_a_provider_s_text_is_cut_and_cannot_pretend_to_be_ours() -> None:
    evil = "no\x1b[31m\r\nType: rm -rf /\N{RIGHT-TO-LEFT OVERRIDE}\0\N{LINE SEPARATOR}" + "x" * 9999
    message = compose(a_notice(reason=evil))
    reason = str(message.body["reason"])
    assert len(reason) == LONGEST_REASON + 1
    assert reason.startswith("no[31m Type: rm -rf / x")
    assert len(message.text.splitlines()) == 2
    assert "“no[31m Type" in message.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, ""), ("", ""), ("  two\n lines ", "two lines"), ("\N{ZERO WIDTH SPACE}a\x7f", "a")],
)
def test_what_is_shown_of_another_s_text(text: str | None, expected: str) -> None:
    assert shown(text) == expected


def test_without_an_address_there_is_no_link() -> None:
    assert compose(a_notice()).body["url"] is None


def test_a_link_is_one_though_the_name_has_special_characters() -> None:
    message = compose(a_notice(account="acme/a b?c#d"), address=ADDRESS)
    assert message.body["url"] == f"{ADDRESS}/accounts/acme/a%20b%3Fc%23d"


def test_the_identifier_is_of_the_telling() -> None:
    first, second = a_notice(), replace(a_notice(), number=2, event="reminder")
    assert compose(first).id == compose(first).body["id"] == "9f86d081884c7d65.1"
    assert compose(second).id == "9f86d081884c7d65.2"
    assert compose(second).title.startswith("Still: ")


def test_a_trial() -> None:
    message = trial(id="1", address=ADDRESS, now=NOW)
    assert (message.severity, message.body["kind"]) == ("info", "trial")
    assert "Nothing is wrong" in message.text
