"""What an account of an export becomes in this store.

It keeps its identifier, under which destinations keep cursors and hosts keep marks. Its generation
becomes higher than any that is known of here, so that nothing which was sent or kept for the tokens
before can be written over it, and so that the installation which it came from, where it shares this
host's marks, holds it (`token_source.gone_back`). A refresh token that is known to be older than
one which was written since may be spent: such a grant is held until a person confirms, as after the
restoration of a database (CHECKLIST 80).
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace

from connector.account import HELD, Attempt, Trouble
from connector.store.account_rows import (
    NO_LEASE,
    NO_TOKENS,
    TERMS_COLUMNS,
    attempt_columns,
    binding,
    seal_tokens,
    sealed_columns,
    terms_columns,
    trouble_columns,
)
from connector.store.export_account import ExportedAccount
from connector.store.generation_marks import GenerationMarks
from connector.store.late_tokens import late_place
from connector.store.present_accounts import Present
from connector.vault.vault import Vault


class Arrivals:
    """Says what accounts become here.

    Args:
        vault: seals their tokens.
        marks: how far tokens had come that were written on this host.
        rotates: tells of a provider whether its refresh tokens are spent by their use.
        waiting: answers in this host's journal: identifiers and generations of their accounts.
    """

    def __init__(
        self,
        vault: Vault,
        marks: GenerationMarks,
        rotates: Callable[[str], bool],
        waiting: Iterable[tuple[str, int]] = (),
    ) -> None:
        self._vault = vault
        self._marks = marks
        self._rotates = rotates
        # what is kept of another vault cannot be opened here; it shows that newer tokens were given
        self._kept = {account_id: generation + 1 for account_id, generation in sorted(waiting)}

    def stand(
        self, account: ExportedAccount, present: Present, now: float
    ) -> tuple[ExportedAccount, bool]:
        """Give an account the generation that it will have here; tell whether it is held.

        Args:
            account: as it was exported.
            present: what is here.
            now: seconds since the epoch.
        """
        here = present.by_id.get(account.id)
        noted = self._marks.newer(account.id, account.generation) or account.generation
        noted = max(noted, self._kept.get(account.id, 0))
        highest = max(account.generation, noted, here.generation if here else 0)
        minted_at = account.terms.minted_at if account.terms else 0.0
        is_older = noted > account.generation
        token = account.tokens.refresh_token if account.tokens else None
        if here is not None:
            if token and self._vault.fingerprint(token) == here.token_fingerprint:
                # else what is here has gone back as well
                is_older = noted > max(account.generation, here.generation)
            else:
                is_older |= (here.generation, here.minted_at) > (account.generation, minted_at)
        attempt = self._attempt(account, here.attempt if here else None)
        standing = replace(account, generation=highest + 1, attempt=attempt)
        is_held = account.state == "active" and token is not None and is_older
        if not is_held or not self._rotates(account.provider):
            return standing, bool(account.trouble and account.trouble.is_held)
        message = (
            f"held: the export of account {account.name} is older than tokens that were written"
            " since (as far as is known here). Its refresh token may have been replaced, and to"
            f" send it may end the grant. Import a newer export, or try it: connector refresh"
            f" {account.name}"
        )
        trouble = Trouble(message=message, since=now, failures=1, retry_at=HELD)
        return replace(standing, trouble=trouble, due_at=None), True

    def row(self, account: ExportedAccount) -> dict[str, object]:
        """Give the columns of an account, its tokens sealed."""
        names = ("id", "name", "provider", "state", "reason", "state_since", "generation")
        more = ("created_at", "due_at", "fingerprint", "subject", "subject_name")
        columns: dict[str, object] = {name: getattr(account, name) for name in (*names, *more)}
        no_terms: dict[str, object] = dict.fromkeys(TERMS_COLUMNS)
        columns |= no_terms if account.terms is None else terms_columns(account.terms)
        columns |= NO_TOKENS
        if account.tokens is not None:
            extra = account.tokens.extra
            sealed = seal_tokens(
                self._vault,
                account.id,
                account.generation,
                account.tokens.access_token,
                bound_to=binding(account.provider, account.fingerprint),
                refresh_token=account.tokens.refresh_token,
                extra=json.loads(extra.reveal()) if extra else {},
            )
            columns |= sealed_columns(sealed)
        columns |= attempt_columns(account.attempt) | trouble_columns(account.trouble)
        return columns | NO_LEASE | {"lease_fence": 0}

    def late_row(self, account: ExportedAccount) -> dict[str, object] | None:
        """Give the columns of an account's late token, or None."""
        tokens = account.tokens
        if account.state != "active" or tokens is None or tokens.late_token is None:
            return None
        own = late_place(
            account.id, account.generation, binding(account.provider, account.fingerprint)
        )
        return {
            "account_id": account.id,
            "generation": account.generation,
            "sent_at": tokens.late_sent_at,
            "refresh_token_sealed": self._vault.seal_secret(tokens.late_token, own),
        }

    def _attempt(self, account: ExportedAccount, here: Attempt | None) -> Attempt | None:
        """Give what was sent and is not answered, told by this vault's digests.

        What this installation has sent last is kept, where it is a token of the export.
        """
        tokens, attempt = account.tokens, account.attempt
        if attempt is not None:
            token = tokens.sent(account.sent) if tokens else None
            digest = self._vault.fingerprint(token) if token else account.sent
            attempt = replace(attempt, token_fingerprint=digest)
        if tokens is None or here is None:
            return attempt
        ours = (tokens.access_token, tokens.refresh_token, tokens.late_token)
        digests = {self._vault.fingerprint(token) for token in ours if token}
        is_later = attempt is None or here.sent_at > attempt.sent_at
        is_same = here.token_fingerprint in digests
        return replace(here, fence=0) if is_same and is_later else attempt
