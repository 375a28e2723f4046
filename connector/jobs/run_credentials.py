"""Credentials of the account that a run is for, by whatever name it has by now.

An account may be renamed or forgotten while its run goes on, and another one may be given its name:
that one's token would bring another person's records into the run.
"""

from connector.credential import Credential, CredentialSource
from connector.errors import ConsentRequired, Refused, TemporarilyUnavailable, UnknownAccount
from connector.oauth.token import AccessToken
from connector.store.accounts import AccountStore


class RunCredentials:
    """Credentials of one account; implements `credential.CredentialSource`.

    Args:
        source: gives those of any account, by its name.
        accounts: knows the names.
        account_id: the account's identifier.
    """

    def __init__(self, source: CredentialSource, accounts: AccountStore, account_id: str) -> None:
        self._source = source
        self._accounts = accounts
        self._account_id = account_id
        self._name: str | None = None  # that it was given since

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential; see `credential`."""
        return self._source.credential_now(self._name or account, rejected)

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential of the account, and of no other that has its name by now.

        Args:
            account: its name when the run began.
            rejected: another token than this one is wanted; None: any.

        Raises:
            Refused: it was forgotten.
            ConnectorError: as the source.
        """
        name = self._name or account
        while True:
            refusal: ConsentRequired | UnknownAccount | TemporarilyUnavailable
            try:
                credential = await self._source.credential(name, rejected)
            except (ConsentRequired, UnknownAccount) as error:
                refusal = error
            else:
                if credential.account_id in {None, self._account_id}:
                    return credential
                refusal = TemporarilyUnavailable(f"account {name} was renamed just now")
            present = await self._accounts.name_of(self._account_id)
            if present is None:
                raise Refused(f"account {name} was forgotten while its run went on")
            if present == name:
                raise refusal
            self._name = name = present
