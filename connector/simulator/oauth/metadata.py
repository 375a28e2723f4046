"""Authorization server metadata (RFC 8414, OpenID Connect Discovery) and the JWKS."""

from connector.simulator.call import Call, Reply, json_response
from connector.simulator.oauth.token_endpoint import GRANT_TYPES
from connector.simulator.state import State


class Metadata:
    """The two documents, alike but for what only OpenID Connect knows."""

    def __init__(self, state: State) -> None:
        self._state = state

    def oauth(self, _call: Call) -> Reply:
        """RFC 8414, at the issuer's path after the well-known one (§3.1)."""
        return self._reply(self._shared())

    def openid(self, _call: Call) -> Reply:
        """OpenID Connect Discovery §4, at the well-known path after the issuer's."""
        document = self._shared()
        document |= {
            "userinfo_endpoint": f"{self._state.issuer}/userinfo",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "name", "email", "auth_time", "nonce"],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
        return self._reply(document)

    def jwks(self, _call: Call) -> Reply:
        """The keys that ID tokens are signed with."""
        return Reply(response=json_response(self._state.keys.jwks()))

    def _shared(self) -> dict[str, object]:
        settings, issuer = self._state.settings, self._state.issuer
        methods = [*settings.token_endpoint_auth_methods, "none"]
        is_push_required = settings.require_pushed_authorization_requests
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "revocation_endpoint": f"{issuer}/revoke",
            "device_authorization_endpoint": f"{issuer}/device_authorization",
            "pushed_authorization_request_endpoint": f"{issuer}/par",
            "require_pushed_authorization_requests": is_push_required,
            "jwks_uri": f"{issuer}/jwks",
            "scopes_supported": list(settings.scopes_supported),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": list(GRANT_TYPES),
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _reply(self, document: dict[str, object]) -> Reply:
        document |= self._state.settings.metadata_overrides
        return Reply(
            response=json_response(
                {name: value for name, value in document.items() if value is not None}
            )
        )
