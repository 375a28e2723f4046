"""Credentials for Google's own client libraries, which take what google-auth defines.

A library asks for a token before each request while google-auth holds the present one for too old
(3 min 45 s before its end), and after a 401; the refresh itself is ours alone. google-auth is
imported with this module, and with no other of ours.
"""

from collections.abc import MutableMapping
from datetime import UTC

from google.auth import credentials
from google.auth.exceptions import RefreshError

from connector.credential import Credential, CredentialSource
from connector.errors import ConnectorError, TemporarilyUnavailable
from connector.oauth.token import AccessToken


class AccountCredentials(credentials.Credentials):
    """Credentials of one account, for ``credentials=`` of Google's clients and `AuthorizedSession`.

    Args:
        account: the account's name.
        source: a `Connector`, or `client_auth.ClientCredentials` over a daemon.
    """

    def __init__(self, account: str, source: CredentialSource) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._account = account
        self._source = source
        self._credential: Credential | None = None

    def __repr__(self) -> str:
        return f"AccountCredentials({self._account!r})"

    def refresh(self, _request: object) -> None:
        """Take another token than the present one; without one, the one that there is.

        google-auth calls this after a 401. Where the token was replaced by then, or is seconds old,
        nothing is refreshed.

        Raises:
            google.auth.exceptions.RefreshError: no token can be had; its cause is our error, and
                where a later try makes sense it is ``retryable``.
        """
        self._take(self._credential.token if self._credential is not None else None)

    def before_request(
        self, _request: object, _method: str, url: str, headers: MutableMapping[str, str]
    ) -> None:
        """Attach a token that is good now.

        Raises:
            OriginRefused: the request goes to an origin that is not the provider's.
            google.auth.exceptions.RefreshError: no token can be had; see `refresh`.
        """
        credential = self._credential
        if credential is None or not self.valid:
            credential = self._take(None)
        credential.check_origin(url, self._account)
        self.apply(headers, token=credential.token.value)  # type: ignore[no-untyped-call]

    def _take(self, rejected: AccessToken | None) -> Credential:
        try:
            credential = self._source.credential_now(self._account, rejected)
        except ConnectorError as error:
            is_retryable = isinstance(error, TemporarilyUnavailable)
            raise RefreshError(str(error), retryable=is_retryable) from error  # type: ignore[no-untyped-call]
        expires_at = credential.token.expires_at
        # google-auth compares with a time that has no zone, in UTC
        self.expiry = (
            None if expires_at is None else expires_at.astimezone(UTC).replace(tzinfo=None)
        )
        self.token = credential.token.value
        self._credential = credential
        return credential
