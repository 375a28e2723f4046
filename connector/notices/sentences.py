"""The sentences of notices: titles, texts and what to type, for each kind.

What a provider said stands in quotation marks, cut and without control characters: it is another's
text.
"""

import unicodedata
from collections.abc import Callable, Mapping
from typing import Final

from connector.moment import for_people
from connector.notice import PAST, STEPS, Kind, Notice

#: Of another's text so much is passed on (characters).
LONGEST_REASON: Final = 300
#: Letters, marks, numbers, punctuation, symbols and the space; no control, no bidi, no newline.
_VISIBLE: Final = frozenset("LMNPSZ")
_HIDDEN: Final = frozenset({"Zl", "Zp"})


def title_of(notice: Notice) -> str:
    """Give a line that says what it is."""
    cause, what = notice.cause, _subject(notice)
    titles: dict[Kind, str] = {
        "consent_required": f"{what} needs consent",
        "consent_ends": f"the consent of {what} {_ends(notice)}",
        "refresh_failing": f"{what} has not been refreshed for a day",
        "refresh_held": f"{what} waits for somebody to confirm its refresh",
        "registration_rejected": f"{cause.provider} rejects our client registration",
        "provider_unavailable": f"{cause.provider} is unavailable",
        "job_failing": f"job {cause.job} fails for {what}",
        "answers_waiting": "answers of providers wait to be written to the database",
        "audit_does_not_fit": "the audit trail was altered",
        "store_unavailable": "the database cannot be had",
        "vault_sealed": "the vault is sealed",
        "trial": "this is a trial",
    }
    title = titles[cause.kind]
    return title if notice.count is None else title.replace(" needs ", " need ")


def command_of(notice: Notice) -> str | None:
    """Give what to type, where typing helps."""
    cause = notice.cause
    if notice.count is not None:
        return "connector accounts"
    commands: dict[Kind, str] = {
        "consent_required": f"connector connect {cause.provider} --account {cause.account}",
        "consent_ends": f"connector connect {cause.provider} --account {cause.account}",
        "refresh_failing": f"connector connect {cause.provider} --account {cause.account}",
        "refresh_held": f"connector refresh {cause.account}",
        "registration_rejected": "connector doctor",
        "job_failing": f"connector jobs check {cause.job}",
        "answers_waiting": "connector doctor",
        "audit_does_not_fit": "connector audit --verify",
        "store_unavailable": "connector doctor",
        "vault_sealed": "connector vault status",
    }
    return commands.get(cause.kind)


def text_of(notice: Notice) -> str:
    """Say what has happened, what it means, since when, and what was last said of it."""
    kind = notice.cause.kind
    text = _TEXTS[kind]
    said = text if isinstance(text, str) else text(notice)
    if kind in _WITHOUT_CAUSE:
        return said
    since = f"Since {for_people(notice.cause.since)}."
    return " ".join(filter(None, (said, since, _quoted(notice))))


def shown(text: str | None) -> str:
    """Give another's text as it may be shown: one line, cut, nothing that is obeyed or hidden."""
    line = " ".join((text or "").split())
    visible = "".join(
        character
        for character in line
        if unicodedata.category(character)[0] in _VISIBLE
        and unicodedata.category(character) not in _HIDDEN
    )
    return visible if len(visible) <= LONGEST_REASON else f"{visible[:LONGEST_REASON]}…"


def _subject(notice: Notice) -> str:
    cause = notice.cause
    if notice.count is not None:
        return f"{notice.count or notice.told_count} accounts of {cause.provider}"
    return f"account {cause.account}"


def _ends(notice: Notice) -> str:
    """Say when a consent ends: in words that stay true while the message is under way."""
    cause = notice.cause
    if cause.level >= PAST:
        return "has ended"
    if not 1 <= cause.level <= len(STEPS):
        return "ends"
    days = STEPS[cause.level - 1]
    return f"ends within {days} days" if days != 1 else "ends within a day"


def _quoted(notice: Notice) -> str:
    """Give the reason as what it is: the text of a provider, or of a program."""
    reason = shown(notice.cause.reason)
    return f"What was last said of it: “{reason}”." if reason else ""


def _consent_required(notice: Notice) -> str:
    if notice.cause.job is not None:
        return (
            f"Job {notice.cause.job} is not run for it until the person has consented to all that"
            " it needs; whatever else is granted goes on."
        )
    whom = "the persons have" if notice.count is not None else "the person has"
    return f"Nobody gets a token any more until {whom} consented anew."


def _consent_ends(notice: Notice) -> str:
    first = "At the earliest " if notice.count is not None else ""
    ends_at = notice.cause.ends_at
    when = "" if ends_at is None else f" on {for_people(ends_at)}"
    if notice.cause.level >= PAST:
        return f"{first or 'It '}ended{when}. The person must consent anew."
    return f"{first or 'It '}ends{when}. To consent anew before then keeps everything running."


def _registration_rejected(notice: Notice) -> str:
    provider = notice.cause.provider
    return (
        f"No token of {provider} is refreshed until this is mended; no account is lost."
        f" Check client_id and client_secret under [providers.{provider}]."
    )


#: What has happened and what it means; where it depends on the notice, what says it.
_TEXTS: Final[Mapping[Kind, str | Callable[[Notice], str]]] = {
    "consent_required": _consent_required,
    "consent_ends": _consent_ends,
    "refresh_failing": "The provider refuses or does not answer, and does not say that the grant"
    " has ended. Perhaps only a new consent helps.",
    "refresh_held": "The database has gone back to an older state, and its refresh token may be"
    " spent: to send it could end the grant. Restore a newer backup, or have it tried.",
    "registration_rejected": _registration_rejected,
    "provider_unavailable": "Its token endpoint is left alone for a while, and tried again by"
    " itself; tokens that work are given out as ever.",
    "job_failing": "Its last runs have all failed; it goes on trying.",
    "answers_waiting": "New tokens are safe in the journal of this host, and not in the database"
    " yet. Do not remove the journal.",
    "audit_does_not_fit": "Somebody has changed or removed rows of it, or the database has gone"
    " back.",
    "store_unavailable": "Tokens that work are given out; nothing new can be stored.",
    "vault_sealed": "No token can be refreshed or stored, and no daemon starts to serve.",
    "trial": "Notices of Connector arrive here. Nothing is wrong.",
}
#: Of these neither since when nor a reason is told: they name a moment, or are none.
_WITHOUT_CAUSE: Final[frozenset[Kind]] = frozenset({"consent_ends", "trial"})


def over(notice: Notice) -> str:
    """Say that its cause has gone."""
    if notice.count is not None:
        return f"No account of {notice.cause.provider} is left of which this holds."
    began, ended = for_people(notice.cause.since), for_people(notice.told_at)
    return f"It began on {began} and is over on {ended}."
