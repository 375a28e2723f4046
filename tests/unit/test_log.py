"""Log lines: one record a line, fields from a list, nothing secret (CHECKLIST 162, 163, 166)."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.log import FIELDS, QUIET_LOGGERS, LogFormat, configure_logging, quiet_libraries
from connector.secret import Secret

CANARY = "canary-77aa"
HOSTILE = "a\r\nfake line\x1b[2J\u202e\u2028\ud800\0é"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Give the root logger and all levels back as they were."""
    root = logging.getLogger()
    names = ["connector", *QUIET_LOGGERS]
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in names}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, old in levels.items():
        logging.getLogger(name).setLevel(old)


def configured(style: LogFormat, level: str = "DEBUG") -> io.StringIO:
    stream = io.StringIO()
    configure_logging(level, style, stream)
    return stream


logger = logging.getLogger("connector.tests")


def fail(message: str) -> None:
    raise ValueError(message)


def test_a_json_line() -> None:
    stream = configured("json")
    extra = {"action": "refresh.done", "account": "acme/fb", "seconds": 0.25, "generation": 3}
    logger.info("access token %s", "minted", extra=extra)
    entry = json.loads(stream.getvalue())
    time = datetime.fromisoformat(entry.pop("time"))
    assert time.utcoffset() == UTC.utcoffset(None)
    assert entry == {
        "level": "info",
        "logger": "connector.tests",
        "action": "refresh.done",
        "message": "access token minted",
        "account": "acme/fb",
        "seconds": 0.25,
        "generation": 3,
    }


def test_a_console_line() -> None:
    stream = configured("console")
    logger.warning("it failed", extra={"action": "refresh.failed", "account": "acme/fb"})
    line = stream.getvalue()
    assert line[2] == line[5] == ":"
    assert line[12:] == " WARNING refresh.failed     it failed account=acme/fb\n"


def test_a_line_without_an_action_names_its_logger() -> None:
    stream = configured("console")
    logger.info("hello")
    assert " connector.tests    hello" in stream.getvalue()


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize(
    "extra",
    [
        {"token": CANARY},
        {"access_token": CANARY, "account": "a"},
        {"account": Secret(CANARY)},
        {"reason": CANARY.encode()},
        {"reason": bytearray(CANARY.encode())},
        {"error": {"refresh_token": CANARY}},
        {"error": [CANARY]},
        {"error": ValueError(CANARY)},
        {"url": object()},
    ],
    ids=["unknown", "beside", "Secret", "bytes", "bytearray", "dict", "list", "error", "object"],
)
def test_only_known_fields_of_plain_types_are_shown(
    style: LogFormat, extra: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """163: by a list of what may be shown, never by one of what may not."""
    stream = configured(style)
    logger.info("it happened", extra=extra)
    assert "it happened" in stream.getvalue()
    assert CANARY not in stream.getvalue()
    assert capsys.readouterr().err == ""  # no "--- Logging error ---" with the record in it


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_secret_in_a_message_is_masked(style: LogFormat) -> None:
    stream = configured(style)
    logger.info("got %s and %r", Secret(CANARY), Secret(CANARY))
    assert CANARY not in stream.getvalue()
    assert "Secret(" in stream.getvalue()


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_record_is_one_line_whatever_it_holds(style: LogFormat) -> None:
    """166: CR, LF, escape sequences and bidi characters are encoded."""
    stream = configured(style)
    logger.info(HOSTILE, extra={"action": HOSTILE, "reason": HOSTILE})
    (line,) = stream.getvalue().split("\n")[:-1]
    assert all(character.isprintable() for character in line)
    assert "fake line" in line


def test_a_traceback_cannot_pass_for_lines_of_the_log() -> None:
    """166: what an exception says is not taken for a record."""
    stream = configured("console")
    try:
        fail("a\n10:00:00.000 INFO    consent.done       account connected\x1b[2J")
    except ValueError:
        logger.exception("it failed")
    first, *others = stream.getvalue().rstrip("\n").split("\n")
    assert "it failed" in first
    assert others[0] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") for line in others)
    assert "\x1b" not in stream.getvalue()


def test_a_traceback_in_json_is_a_field_without_locals() -> None:
    """165: tracebacks carry no locals."""
    stream = configured("json")
    token = CANARY[::-1]  # occurs in no line of this file
    try:
        fail(f"broken, with {len(token)} characters")
    except ValueError:
        logger.exception("it failed")
    entry = json.loads(stream.getvalue())
    assert entry["traceback"].endswith("ValueError: broken, with 11 characters")
    assert token not in stream.getvalue()


@given(
    st.dictionaries(
        st.sampled_from([*FIELDS, "secret", "body"]), st.from_type(type).flatmap(st.from_type)
    )
)
def test_any_value_is_logged_without_failing(extra: dict[str, object]) -> None:
    """163: unknown fields and types are masked, and the line comes all the same."""
    stream = configured("json")
    logger.info("x", extra=extra)
    entry = json.loads(stream.getvalue())
    assert set(entry) <= {"time", "level", "logger", "message", *FIELDS}


@pytest.mark.parametrize("name", [*QUIET_LOGGERS, "httpcore2.http11", "sqlalchemy.engine.Engine"])
def test_libraries_are_quiet_even_at_debug(name: str) -> None:
    """162: they would print URLs with queries, headers, bodies and SQL."""
    stream = configured("console", "DEBUG")
    logging.getLogger(name).info("GET https://x/?access_token=%s", CANARY)
    logging.getLogger(name).debug("headers %s", CANARY)
    assert stream.getvalue() == ""
    logging.getLogger(name).warning("pool is full")
    assert "pool is full" in stream.getvalue()


def test_any_other_library_is_heard_from_warning_on() -> None:
    stream = configured("json", "DEBUG")
    logging.getLogger("requests_oauthlib").debug(CANARY)
    assert stream.getvalue() == ""


def test_our_level_is_ours() -> None:
    stream = configured("console", "WARNING")
    logger.info("hidden")
    logger.warning("shown")
    assert "hidden" not in stream.getvalue()
    assert "shown" in stream.getvalue()


def test_libraries_can_be_quietened_alone() -> None:
    """A user's function in a child process sets up its own logging; ours only holds these back."""
    logging.getLogger("httpx2").setLevel(logging.DEBUG)
    quiet_libraries()
    assert logging.getLogger("httpx2").level == logging.WARNING


def test_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "console")
    logger.info("hello")
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello" in err
