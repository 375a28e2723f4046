"""The authorization server's endpoints and where they are."""

from starlette.routing import Route

from connector.simulator.endpoint import Row, Stage, routes
from connector.simulator.oauth.authorize import AuthorizationEndpoint
from connector.simulator.oauth.consent import CONSENT_PATH, LOGIN_PATH, ConsentPages
from connector.simulator.oauth.device import VERIFICATION_PATH, DeviceEndpoints
from connector.simulator.oauth.metadata import Metadata
from connector.simulator.oauth.revocation import RevocationEndpoint
from connector.simulator.oauth.token_endpoint import TokenEndpoint
from connector.simulator.oauth.userinfo import UserinfoEndpoint
from connector.simulator.pages import Pages
from connector.simulator.state import State


def oauth_routes(state: State, pages: Pages, stage: Stage) -> list[Route]:
    """Everything under /oauth, and the RFC 8414 document outside of it."""
    consent = ConsentPages(state, pages)
    authorization = AuthorizationEndpoint(state, pages, consent)
    device = DeviceEndpoints(state, pages, consent)
    metadata = Metadata(state)
    token = TokenEndpoint(state)
    userinfo = UserinfoEndpoint(state)
    post = ("POST",)
    rows = (
        Row("/.well-known/oauth-authorization-server/oauth", "metadata", metadata.oauth),
        Row("/oauth/.well-known/openid-configuration", "openid_configuration", metadata.openid),
        Row("/oauth/jwks", "jwks", metadata.jwks),
        Row("/oauth/authorize", "authorize", authorization.authorize, ("GET", "POST")),
        Row("/oauth/par", "par", authorization.push, post),
        Row(LOGIN_PATH, "login", consent.sign_in.login_page),
        Row(LOGIN_PATH, "login", consent.sign_in.log_in, post),
        Row(CONSENT_PATH, "consent", consent.sign_in.consent_page),
        Row(CONSENT_PATH, "consent", consent.decide, post),
        Row("/oauth/device_authorization", "device_authorization", device.authorize_device, post),
        Row(VERIFICATION_PATH, "device", device.verification_page),
        Row("/oauth/token", "token", token.answer, post, token.preview),
        Row("/oauth/revoke", "revoke", RevocationEndpoint(state).revoke, post),
        Row("/oauth/userinfo", "userinfo", userinfo.answer, ("GET", "POST"), userinfo.preview),
    )
    return routes(rows, stage)
