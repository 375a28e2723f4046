"""A notice to send."""

from connector.notice import Cause, Notice
from connector.notices.wording import Message, compose

NOW = 1_800_000_000.0


def a_notice(**values: object) -> Notice:
    """Give a notice of a dead grant; further fields of its cause may be given."""
    cause: dict[str, object] = {
        "key": "consent_required/17",
        "kind": "consent_required",
        "since": NOW - 60,
        "account_id": "17",
        "account": "acme/ads",
        "provider": "acme",
        "reason": "the provider ended the grant",
    }
    return Notice(
        id="9f86d081884c7d65",
        cause=Cause(**(cause | values)),  # type: ignore[arg-type]
        number=1,
        first_seen=NOW,
        told_at=NOW,
    )


def a_message() -> Message:
    return compose(a_notice(), address="https://connector.example")
