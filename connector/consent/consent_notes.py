"""What of consents goes into the audit trail: begun, given, or refused and why (CHECKLIST 167)."""

from connector.consent.values import CompletedConsent
from connector.errors import ConnectorError, ConsentNotGiven
from connector.store.audit_entry import Entry
from connector.store.audit_trail import Note
from connector.store.connect_links import ConnectLink
from connector.store.consents import ConsentRecord


class ConsentNotes:
    """Writes entries about consents.

    Args:
        note: takes them.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._strange: set[str] = set()

    def started(self, record: ConsentRecord) -> None:
        """A person is asked, by redirect."""
        self._note(
            Entry(
                event="consent.started",
                account=record.account,
                detail={"provider": record.provider, "consent": record.id},
            )
        )

    def linked(self, link: ConnectLink) -> None:
        """A link was made that leads a person to consent."""
        self._note(
            Entry(
                event="consent.linked",
                account=link.account,
                outcome="with_code" if link.code_hash else "without_code",
                detail={
                    "provider": link.provider,
                    "link": link.id,
                    "expires_at": link.expires_at,
                },
            )
        )

    def code_rejected(self, link: ConnectLink) -> None:
        """Somebody who followed a link entered another code than its own."""
        self._note(
            Entry(
                event="consent.code_rejected",
                account=link.account,
                detail={"provider": link.provider, "link": link.id},
            )
        )

    def started_on_device(self, account: str, provider: str) -> None:
        """A person is asked, on another device (RFC 8628)."""
        detail = {"provider": provider, "device": True}
        self._note(Entry(event="consent.started", account=account, detail=detail))

    def given(self, completed: CompletedConsent, consent_id: str | None = None) -> None:
        """An account became active.

        Args:
            completed: what came of the consent.
            consent_id: of its record; None: it was given on another device.
        """
        account = completed.account
        self._note(
            Entry(
                event="consent.given",
                account=account.name,
                account_id=account.id,
                outcome="partial" if completed.missing_scopes else "full",
                detail={
                    "provider": account.provider,
                    "generation": account.generation,
                    "consent": consent_id,
                },
            )
        )

    def refused(self, record: ConsentRecord, outcome: str) -> None:
        """A consent came to nothing.

        Args:
            record: of the consent.
            outcome: why, in a word.
        """
        self._note(
            Entry(
                event="consent.refused",
                account=record.account,
                outcome=outcome,
                detail={"provider": record.provider, "consent": record.id},
            )
        )

    def refused_on_device(self, account: str, provider: str, outcome: str) -> None:
        """A consent on another device came to nothing."""
        detail = {"provider": provider, "device": True}
        self._note(Entry(event="consent.refused", account=account, outcome=outcome, detail=detail))

    def wrong_browser(self, record: ConsentRecord) -> None:
        """An answer came in another browser than the link was followed in; told once."""
        if record.id not in self._strange:
            self._strange.add(record.id)
            self.refused(record, "wrong_browser")


def outcome_of(error: BaseException) -> str:
    """Say in a word why a consent came to nothing."""
    if isinstance(error, ConsentNotGiven):
        return error.outcome
    return error.problem_type() if isinstance(error, ConnectorError) else "abandoned"
