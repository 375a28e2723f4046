"""What an answer means: which action it asks for, by the job's rules, the provider's, then these.

The general rules are those of HTTP and RFC 6750: an answer is taken where nothing says otherwise.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

from connector.pulls.paths import Path
from connector.pulls.rules import ANY, Action, ErrorRule, Scope

#: Passing failures (RFC 9110 §15.5.9, §15.6; RFC 8470 §5.2 for 425), and those of gateways.
_PASSING: Final = frozenset({408, 425, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
#: Where APIs put what people should read: Graph, RFC 9457, Google, Microsoft, JSON:API, RFC 6749.
_MESSAGES: Final = tuple(
    Path.parse(text)
    for text in (
        "error.error_user_msg",
        "error.message",
        "detail",
        "title",
        "message",
        "errors.0.message",
        "errors.0.detail",
        "errors.0.title",
        "error_description",
        "error.description",
        "error_message",
        "error",
        "errors.0",
        "0.message",
    )
)
#: A person reads one line of it.
_LONGEST: Final = 300
_LARGEST_TEXT: Final = 64 * 1024
_CHALLENGE: Final = re.compile(r'\berror\s*=\s*"?([a-z_]+)"?', re.IGNORECASE)
#: What must be consented to: scopes that were not (RFC 6750 §3.1), a fresh login (RFC 9470 §3).
_CONSENT: Final = {(403, "insufficient_scope"), (401, "insufficient_user_authentication")}
_TAGS: Final = re.compile(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>")
_SECRET: Final = re.compile(
    r"(?i)\b((?:access_token|appsecret_proof|client_secret|refresh_token|api_?key)[\"']?\s*[=:]\s*"
    r"[\"']?|bearer\s+)[^\s&\"',;]+"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer asks for.

    Attributes:
        action: what to do.
        message: in one line, for people; it holds nothing that looks like a token.
        scope: of `Action.RATE_LIMITED` and `Action.FAIL`: what must stop; None: as the limits say,
            or the part.
    """

    action: Action
    message: str
    scope: Scope | None = None


def classify(
    rules: Iterable[ErrorRule],
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    body: object,
    *,
    impossible: Collection[Action] = (),
) -> Verdict | None:
    """Tell what an answer asks for; None: its records are taken.

    Args:
        rules: the job's own, then the provider's; the first one that fits holds.
        status: of the answer.
        headers: by small letters.
        content: of the answer.
        body: the content parsed; None where it is no JSON.
        impossible: actions that cannot be done any more; rules with them are passed over.
    """
    found: dict[str, list[object]] = {}  # what a path gives, for many rules look at the same
    for rule in rules:
        if rule.statuses and status not in rule.statuses:
            continue
        if rule.action not in impossible and _fits(rule, status, headers, content, body, found):
            message = rule.message or describe(status, content, body)
            return Verdict(rule.action, message, rule.scope)
    action = _general(status, headers, content, body)
    if action is None:
        return None
    if 200 <= status < 300:
        return Verdict(
            action, f"HTTP {status} with a body that is not JSON: {_text(content) or 'nothing'}"
        )
    if 300 <= status < 400:
        return Verdict(action, f"HTTP {status}: redirected; write the URL that it leads to")
    return Verdict(action, describe(status, content, body))


def describe(status: int, content: bytes, body: object) -> str:
    """Say in one line what an answer's body tells people: ``HTTP 400: (#100) …``."""
    told = next((text for text in _told(body)), "")
    if not told and body is None and content.strip() != b"null":
        told = _text(content)
    if not told:
        try:
            told = HTTPStatus(status).phrase
        except ValueError:
            told = "no reason given"
    return f"HTTP {status}: {_one_line(told)}"


def is_empty(status: int, content: bytes) -> bool:
    """Tell whether a successful answer has no content on purpose (RFC 9110 §15.3.5)."""
    return status in {204, 205} and not content


def _general(
    status: int, headers: Mapping[str, str], content: bytes, body: object
) -> Action | None:
    challenge = _CHALLENGE.search(headers.get("www-authenticate", ""))
    if challenge is not None and (status, challenge[1].lower()) in _CONSENT:
        return Action.CONSENT
    if status == 401:
        return Action.REFRESH
    if status == 429:
        return Action.RATE_LIMITED
    if status in _PASSING:
        return Action.RETRY
    if status == 304:  # nothing has changed since what the request names (RFC 9110 §15.4.5)
        return Action.IGNORE
    if not 200 <= status < 300:
        return Action.FAIL
    if body is None and not is_empty(status, content) and content.strip() != b"null":
        return Action.RETRY  # a page of a proxy, such as "Service Unavailable"
    return None


def _fits(
    rule: ErrorRule,
    status: int,
    headers: Mapping[str, str],
    content: bytes,
    body: object,
    found: dict[str, list[object]],
) -> bool:
    for path, wanted in rule.when.items():
        if path not in found:
            found[path] = Path.parse(path).find(body)
        if not any(_is_one_of(value, wanted) for value in found[path]):
            return False
    for name, wanted_texts in rule.headers.items():
        text = headers.get(name)
        if text is None or not (ANY in wanted_texts or text.strip() in wanted_texts):
            return False
    if not rule.contains:
        return True
    if body is not None and 200 <= status < 300 and not rule.statuses:
        return False
    return rule.contains.lower() in content.decode(errors="replace").lower()


def _is_one_of(value: object, wanted: tuple[object, ...]) -> bool:
    """Compare as JSON does: true is not 1; a number may be written as text."""
    if value is None:
        return None in wanted
    if ANY in wanted:
        return True
    return any(_equals(value, one) for one in wanted)


def _equals(value: object, one: object) -> bool:
    if isinstance(value, bool) or isinstance(one, bool):
        return value is one
    if isinstance(value, str) and isinstance(one, (int, float)):
        return value == str(one)
    return value == one


def _told(body: object) -> Iterable[str]:
    for path in _MESSAGES:
        value = path.first(body)
        if isinstance(value, str) and value.strip():
            yield value


def _text(content: bytes) -> str:
    """Give what a person would read on a page of a proxy."""
    text = content[:_LARGEST_TEXT].decode(errors="replace")
    return _one_line(_TAGS.sub(" ", text))


def _one_line(text: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = _SECRET.sub(r"\1…", line)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def parse_json(content: bytes) -> object:
    """Parse an answer's content; None where it is no JSON, or null."""
    try:
        return cast("object", json.loads(content))
    except (ValueError, RecursionError):
        return None
