"""Auth for HTTP clients that asks a daemon, for programs that do not open the vault.

The same object as `Connector.auth` makes, over the thin client. The daemon gives tokens and tells
nothing of a provider's API, so the origins that the token may go to are named by the caller, and a
401 is what rejects it (RFC 6750 §3.1).
"""

import asyncio
from collections.abc import Sequence

from connector.client import Client
from connector.credential import Credential, make_credential
from connector.oauth.endpoint_url import origin_of
from connector.oauth.token import AccessToken
from connector.providers.provider import Api
from connector.resource import AccountAuth, make_auth


class ClientCredentials:
    """Credentials from a daemon; implements `credential.CredentialSource`.

    Args:
        client: asks the daemon.
        origins: that the token may go to (``https://*.example.com`` takes any subdomain).
        scheme: of the ``Authorization`` header.

    Raises:
        ValueError: there is no origin, or what was named is none.
    """

    def __init__(
        self,
        client: Client,
        *,
        origins: Sequence[str],
        scheme: str = "Bearer",
    ) -> None:
        if isinstance(origins, str) or not origins:
            raise ValueError(
                "name the origins that the token may go to, such as ['https://api.example']"
            )
        for origin in origins:
            try:
                origin_of(origin.replace("://*.", "://", 1))
            except ValueError as error:
                raise ValueError(f"{origin!r} {error}") from None
        self._client = client
        self._api = Api(origins=tuple(origins), scheme=scheme)

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential, blocking; with ``rejected``, another one than that.

        Raises:
            DaemonUnreachable: no daemon answers.
            ConnectorError: as `Client.get_token`.
        """
        if rejected is None:
            given = self._client.get_token(account)
        else:
            given = self._client.refresh(account, rejected=rejected.value)
        token = AccessToken(
            value=given.value,
            token_type=given.token_type,
            expires_at=given.expires_at,
            scope=given.scope,
        )
        return make_credential(self._api, token, None)

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential, in a thread, since the thin client blocks; see `credential_now`."""
        return await asyncio.to_thread(self.credential_now, account, rejected)


def client_auth(
    client: Client, account: str, *, origins: Sequence[str], scheme: str = "Bearer"
) -> AccountAuth:
    """Make auth for the HTTP clients that `Connector.auth` is for, over a daemon.

    Args:
        client: asks the daemon.
        account: the account's name.
        origins: that the token may go to, such as ``["https://graph.facebook.com"]``.
        scheme: of the ``Authorization`` header.

    Raises:
        ValueError: there is no origin, or what was named is none.
    """
    return make_auth(account, ClientCredentials(client, origins=origins, scheme=scheme))
