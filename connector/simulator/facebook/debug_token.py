"""GET /debug_token: what an app may learn of a token, by its own app token."""

from connector.simulator.ads_data import AdsData
from connector.simulator.call import Call, Reply, json_response
from connector.simulator.facebook.error import GraphError, bad_parameter, unreadable_token
from connector.simulator.facebook.provider import PUBLIC_PROFILE, Provider
from connector.simulator.facebook.tokens import GraphToken
from connector.simulator.facebook.viewer import identify

# Which kinds of object a permission may be limited to.
GRANULAR_PERMISSIONS = ("ads_read", "ads_management")

TYPES = {"app": "APP", "system": "SYSTEM_USER"}


class DebugToken:
    """Describes tokens."""

    def __init__(self, provider: Provider, ads: AdsData) -> None:
        self._provider = provider
        self._ads = ads

    def answer(self, call: Call) -> Reply:
        """The description of the token in `input_token`; a dead one is described too.

        Raises:
            GraphError: the caller is not the app, or names no token.
        """
        viewer = identify(call, self._provider)
        if viewer.token.person is not None:
            # assumed wording; a developer's own user token would do at the real provider
            message = (
                "(#100) You must provide an app access token, or a user access token that is an "
                "owner or developer of the app"
            )
            raise GraphError(100, message, subject=viewer.subject)
        value = viewer.parameters.get("input_token")
        if value is None:
            raise bad_parameter("The parameter input_token is required", viewer.subject)
        token = self._provider.find(value)
        data = self._unknown() if token is None else self._describe(token)
        subject = viewer.subject if token is None else token.subject()
        return Reply(response=json_response({"data": data}), subject=subject)

    def _unknown(self) -> dict[str, object]:
        error = unreadable_token().as_debug_error()
        return {"error": error, "is_valid": False, "scopes": []}

    def _describe(self, token: GraphToken) -> dict[str, object]:
        settings = self._provider.state.settings
        death = self._provider.death_of(token)
        data: dict[str, object] = {
            "app_id": settings.app_id,
            "type": TYPES.get(token.kind, "USER"),
            "application": settings.app_name,
            # 0: never
            "expires_at": 0 if token.expires_at is None else int(token.expires_at),
            "is_valid": death is None,
        }
        if death is not None:
            data["error"] = death.as_debug_error()
        if token.kind in {"long", "system"}:
            data["issued_at"] = int(token.issued_at)
        if token.person is None:
            return data | {"scopes": []}
        connection = self._provider.connection(token.person)
        scopes = [name for name, status in connection.permissions.items() if status == "granted"]
        accounts = self._ads.accounts_of(token.person.name)
        targets = [account.account_id for account in accounts]
        return data | {
            "data_access_expires_at": (
                0 if token.kind == "system" else int(connection.data_access_expires_at)
            ),
            "scopes": [*scopes, PUBLIC_PROFILE] if connection.is_connected else [],
            "granular_scopes": [
                {"scope": name, "target_ids": targets}
                for name in scopes
                if name in GRANULAR_PERMISSIONS
            ],
            "user_id": token.person.id,
        }
