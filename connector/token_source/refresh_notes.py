"""What of a refresh goes into the audit trail: what a person may have to ask about afterwards.

A refresh that brought tokens is no such thing; the log has it, and its tokens are in the trail once
they are given out. A lost answer is: with the end that may follow it tells how a rotation was lost
(CHECKLIST 64).
"""

from connector.account import Account
from connector.store.audit_entry import Entry
from connector.store.audit_trail import Note


class RefreshNotes:
    """Writes entries about refreshes.

    Args:
        note: takes them.
    """

    def __init__(self, note: Note) -> None:
        self._note = note
        self._rejected: set[tuple[str, str]] = set()
        self._held: set[str] = set()

    def unanswered(self, account: Account) -> None:
        """A refresh was sent, and what became of it is not known."""
        attempt = account.attempt
        self._note(
            Entry(
                event="refresh.unanswered",
                account=account.name,
                account_id=account.id,
                fingerprint=attempt.token_fingerprint if attempt else None,
                detail={
                    "provider": account.provider,
                    "generation": account.generation,
                    "attempt": attempt.count if attempt else 1,
                },
            )
        )

    def ended(self, account: Account, outcome: str) -> None:
        """The grant has ended.

        Args:
            account: whose; with the attempt that ended it, if any.
            outcome: ``invalid_grant``, ``suspected_reuse`` (the same, of a server that ends a grant
                when a replaced refresh token comes back), ``rotation_lost``, ``another_person`` or
                ``no_refresh_token``.
        """
        self._note(
            Entry(
                event="grant.ended",
                account=account.name,
                account_id=account.id,
                outcome=outcome,
                fingerprint=account.attempt.token_fingerprint if account.attempt else None,
                detail={"provider": account.provider, "generation": account.generation},
            )
        )

    def restored(self, name: str, account_id: str, provider: str) -> None:
        """An end was taken back: too many accounts were refused alike."""
        self._note(
            Entry(
                event="grant.restored",
                account=name,
                account_id=account_id,
                detail={"provider": provider},
            )
        )

    def rejected(self, account: Account, error: str) -> None:
        """The provider rejects our registration; told once until it has issued tokens again.

        Args:
            account: with which that was found out.
            error: the code that the server gave, or ``suspected``.
        """
        if (account.provider, error) not in self._rejected:
            self._rejected.add((account.provider, error))
            self._note(
                Entry(
                    event="registration.rejected",
                    account=account.name,
                    account_id=account.id,
                    outcome=error,
                    detail={"provider": account.provider},
                )
            )

    def succeeded(self, provider: str) -> None:
        """A provider has issued tokens."""
        if self._rejected:
            self._rejected = {told for told in self._rejected if told[0] != provider}

    def held(self, account: Account, noted: int) -> None:
        """The database has gone back: a spent refresh token is not sent; told once.

        Args:
            account: as it is in the database.
            noted: how often its tokens had been written.
        """
        if account.id not in self._held:
            self._held.add(account.id)
            self._note(
                Entry(
                    event="grant.held",
                    account=account.name,
                    account_id=account.id,
                    detail={
                        "provider": account.provider,
                        "generation": account.generation,
                        "noted": noted,
                    },
                )
            )
