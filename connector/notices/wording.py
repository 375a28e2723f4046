"""What a notice says: for people, and for programs (docs/reference/notices.md).

No token or secret is in any of it. The link is a page that asks who one is, and does not expire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import quote

from connector.moment import rfc3339
from connector.notice import STEPS, Cause, Event, Kind, Notice
from connector.notices.sentences import command_of, over, shown, text_of, title_of

Severity = Literal["info", "warning", "error"]

#: Of many accounts so many are named.
MOST_NAMED: Final = 10
_WARNINGS: Final = frozenset[Kind]({"provider_unavailable", "consent_ends", "answers_waiting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One telling of a notice, the same however often it is sent.

    Attributes:
        id: of this telling, by which a receiver knows one that it has had.
        event: why it is sent.
        severity: how much it matters.
        title: a line.
        text: a few lines.
        body: all of it for programs, ready for JSON.
    """

    id: str
    event: Event
    severity: Severity
    title: str
    text: str
    body: Mapping[str, object] = field(repr=False)


def compose(
    notice: Notice, *, accounts: Sequence[str] = (), address: str = "", event: Event | None = None
) -> Message:
    """Put a notice into words.

    Args:
        notice: what there is to tell.
        accounts: some of those that it sums up.
        address: of the daemon, as people reach it, without a slash at the end; empty: none.
        event: says it as if for this reason.
    """
    event = notice.event if event is None else event
    title = title_of(notice)
    if event == "resolved":
        title, text = f"Over: {title}", over(notice)
    else:
        if event == "reminder":
            title = f"Still: {title}"
        text = text_of(notice)
    command = None if event == "resolved" else command_of(notice)
    url = url_of(notice, address)
    lines = [text]
    if accounts and notice.count is not None and event != "resolved":
        more = (notice.count or 0) - len(accounts)
        lines.append(
            "Accounts: " + ", ".join(accounts) + (f" and {more} more." if more > 0 else ".")
        )
    lines += [f"Type: {command}"] if command else []
    lines += [f"See: {url}"] if url else []
    message_id = f"{notice.id}.{notice.number}"
    severity = severity_of(notice, event)
    body: dict[str, object] = {
        "type": f"notice.{event}",
        "id": message_id,
        "timestamp": rfc3339(notice.told_at),
        "notice": notice.id,
        "kind": notice.cause.kind,
        "severity": severity,
        "account": notice.cause.account,
        "accounts": list(accounts),
        "count": 1 if notice.count is None else notice.count,
        "provider": notice.cause.provider,
        "job": notice.cause.job,
        "reason": shown(notice.cause.reason) or None,
        "since": rfc3339(notice.cause.since),
        "consent_ends_at": rfc3339(notice.cause.ends_at),
        "title": title,
        "text": "\n".join(lines),
        "command": command,
        "url": url,
        "resolved": event == "resolved",
    }
    return Message(
        id=message_id,
        event=event,
        severity=severity,
        title=title,
        text="\n".join(lines),
        body=body,
    )


def trial(*, id: str, address: str, now: float) -> Message:  # noqa: A002 - as of every notice
    """Give a message that shows that messages arrive.

    Args:
        id: of the notice.
        address: of the daemon.
        now: seconds since the epoch.
    """
    cause = Cause(key="trial", kind="trial", since=now)
    notice = Notice(id=id, cause=cause, number=1, first_seen=now, told_at=now)
    return compose(notice, address=address)


def severity_of(notice: Notice, event: Event) -> Severity:
    """Say how much a notice matters: a consent that ends tomorrow more than one in two weeks."""
    if event == "resolved" or notice.cause.kind == "trial":
        return "info"
    if notice.cause.kind == "consent_ends" and notice.cause.level >= len(STEPS):
        return "error"
    return "warning" if notice.cause.kind in _WARNINGS else "error"


def url_of(notice: Notice, address: str) -> str | None:
    """Give the page of an account, or the first one: unlike a connect link it does not expire."""
    if not address:
        return None
    account = notice.cause.account
    return f"{address}/accounts/{quote(account)}" if account else f"{address}/"
