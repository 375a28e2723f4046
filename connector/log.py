"""Log lines as records with fields, as JSON or for a console; nothing secret by construction.

A line has an ``action`` (``refresh.done``) and fields from a fixed list; anything else given in
``extra`` is dropped, so that no new field can leak by accident, and of a value that is no text,
number or time only the type is shown (CHECKLIST 163). Control characters are escaped, in tracebacks
too, and a traceback's lines are marked, so that no message can pass for a line of its own
(CHECKLIST 166). Libraries that would print URLs, headers or SQL are held at WARNING whatever the
level (CHECKLIST 162).
"""

import json
import logging
import sys
from datetime import datetime
from typing import Final, Literal, TextIO

from connector.log_thread import ThreadedHandler
from connector.moment import rfc3339

LogFormat = Literal["console", "json"]

#: The only fields that a line may have.
FIELDS: Final = (
    "account",
    "provider",
    "job",
    "run",
    "attempt",
    "host",
    "consent",
    "outcome",
    "reason",
    "error",
    "seconds",
    "expires_in",
    "generation",
    "records",
    "batches",
    "due_at",
    "retry_in",
    "url",
    "path",
    "count",
    "stream",
    "reference",
    "channel",
)
#: They print URLs with queries, headers, bodies or SQL below WARNING.
QUIET_LOGGERS: Final = (
    "aiosqlite",
    "alembic",
    "apscheduler",
    "asyncio",
    "authlib",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "keyring",
    "opentelemetry",
    "procrastinate",
    "psycopg",
    "sqlalchemy",
    "urllib3",
    "uvicorn",
)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Give time (UTC), level, logger, action, message and fields."""
        entry: dict[str, object] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "action": getattr(record, "action", None),
            "message": record.getMessage(),
        }
        entry |= _fields(record)
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps({key: value for key, value in entry.items() if value is not None})


class ConsoleFormatter(logging.Formatter):
    """A line for people: time of day (UTC), level, action, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Give one line; control characters in it are escaped."""
        time = _timestamp(record.created)[11:23]
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        action = getattr(record, "action", record.name)
        line = _escape(f"{time} {record.levelname:<7} {action:<18} {record.getMessage()}{fields}")
        if record.exc_info:
            lines = self.formatException(record.exc_info).split("\n")
            line += "".join(f"\n  | {_escape(text)}" for text in lines)
        return line


def configure_logging(
    level: str, style: LogFormat, stream: TextIO | None = None, *, is_threaded: bool = False
) -> None:
    """Set up logging of this process; for our own programs, never for a library's user.

    Args:
        level: of our own lines, such as ``INFO``.
        style: ``console`` or ``json``.
        stream: standard error where not given.
        is_threaded: nobody who logs waits for whoever reads the lines; see `log_thread`.
    """
    kind = ThreadedHandler if is_threaded else logging.StreamHandler
    handler: logging.Handler = kind(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if style == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("connector").setLevel(level)
    quiet_libraries()


def quiet_libraries() -> None:
    """Hold the libraries at WARNING that would print what must not be printed."""
    for name in QUIET_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, object]:
    values = ((name, getattr(record, name, None)) for name in FIELDS)
    return {name: _shown(value) for name, value in values if value is not None}


def _shown(value: object) -> object:
    """Give what a line shows of a value: texts, numbers and times; of anything else its type."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    return f"<{type(value).__name__}>"


def _timestamp(created: float) -> str:
    return rfc3339(created, "milliseconds")


def _escape(line: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
