"""Auth for dlt's declarative REST source (``rest_api_source``).

dlt's ``RESTClient`` takes what `Connector.auth` gives, as an auth of requests. The declarative
source takes only what it could have read from dlt's own configuration, and copies it deeply: this
is such a thing, holds no token, and stays one when it is copied. dlt is imported with this module,
and with no other of ours.
"""

from typing import Self, cast

from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from requests import PreparedRequest

from connector.credential import CredentialSource
from connector.integrations import requests


class RestApiAuth(AuthConfigBase):
    """Auth of one account, for ``client = {"auth": …}`` of a ``rest_api_source``.

    Args:
        account: the account's name.
        source: a `Connector`, or `client_auth.ClientCredentials` over a daemon.
    """

    def __init__(self, account: str, source: CredentialSource) -> None:
        super().__init__()
        self._account = account
        self._source = source
        self.__is_resolved__ = True  # nothing of it is looked for in dlt's configuration

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Attach a token; on a rejection refresh once and send once more.

        Raises:
            OriginRefused: the request goes to an origin that is not the provider's.
            ConnectorError: no token can be had; see `TokenSource.get`.
        """
        requests.prepare(cast("requests.Prepared", request), self._account, self._source)
        return request

    def __repr__(self) -> str:
        return f"RestApiAuth({self._account!r})"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self
