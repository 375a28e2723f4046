"""Who was given which token, and how often: summed up for the audit trail.

What memory serves to this process is counted there, by one number for each token. Whatever is given
in any other way is counted here: through the daemon, to a job, after a look into the store.
"""

import threading
from collections.abc import Callable, Iterator

from connector.oauth.token import AccessToken
from connector.secret import Secret
from connector.store.audit_entry import Actor, Entry, acting
from connector.token_source.memory import TokenMemory

#: Account, its identifier, who got it, and the token itself.
_Key = tuple[str, str | None, Actor | None, str]


class Releases:
    """Counts tokens that are given out.

    Args:
        memory: of this process.
        fingerprint: gives what a token is told by.
    """

    def __init__(self, memory: TokenMemory, fingerprint: Callable[[Secret], str]) -> None:
        self._memory = memory
        self._fingerprint = fingerprint
        self._counts: dict[_Key, int] = {}
        self._lock = threading.Lock()

    def note(self, account: str, token: AccessToken) -> None:
        """Count one that was given to whoever is `acting`, else to this process; from any thread.

        Args:
            account: the account's name.
            token: that was given.
        """
        remembered = self._memory.get(account)
        account_id = None if remembered is None else remembered.account_id
        key = account, account_id, acting(), token.value
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1

    def collect(self) -> Iterator[Entry]:
        """Give what was counted since this was asked last, an entry for account, actor and token.

        What is not taken stays.
        """
        for name, remembered, count in self._memory.released():
            key = name, remembered.account_id, None, remembered.token.value
            yield self._entry(key, count)
        while self._counts:
            with self._lock:
                noted, count = self._counts.popitem()
            yield self._entry(noted, count)

    def _entry(self, key: _Key, count: int) -> Entry:
        account, account_id, actor, value = key
        return Entry(
            event="token.released",
            account=account,
            account_id=account_id,
            actor=actor,
            outcome="given",
            fingerprint=self._fingerprint(Secret(value)),
            count=count,
        )
