"""Credentials of accounts for HTTP clients in the process that has the objects."""

from connector.credential import Credential
from connector.oauth.token import AccessToken
from connector.runtime.objects import Runtime
from connector.store.audit_entry import acting


class RuntimeCredentials:
    """Credentials from a `Runtime` in the same event loop; implements `CredentialSource`.

    Args:
        runtime: whose accounts they are of.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:  # noqa: ARG002
        """Refuse: waiting here would stop the event loop that has to answer."""
        raise RuntimeError("a synchronous client cannot be used in the daemon's own loop")

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give a credential; with ``rejected``, another one than that.

        What a job's run is given is counted.
        """
        begun = self._runtime.reads.begin(account)
        credential = await self._runtime.credential(account, rejected)
        actor = acting()
        if actor is not None and actor.kind == "job":
            self._runtime.reads.end(account, "job", begun)
            self._runtime.releases.note(account, credential.token)
        return credential
