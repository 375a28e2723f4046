"""Tokens had without pages, system users' tokens, and every way in which a token dies."""

import base64
import hashlib
import hmac
import json

import httpx2
import pytest

from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.control_link import ControlError
from connector.simulator.facebook.provider import UnknownPermissionError
from connector.simulator.facebook.tokens import Death
from connector.simulator.people import PEOPLE, UnknownPersonError
from connector.simulator.simulator import Simulator

from .conftest import NOW
from .relying_party import Body, FacebookApp, bearer, json_of

SIXTY_DAYS = 60 * 86400


def grant(simulator: Simulator, person: str = "ada") -> str:
    return str(simulator.facebook.grant(person)["access_token"])


def debug(app: FacebookApp, token: str) -> Body:
    own = f"{app.simulator.app.app_id}|{app.simulator.app.app_secret}"
    body = app.graph("debug_token", own, {"input_token": token}).json()
    return dict(body["data"])


def exchange(app: FacebookApp, token: str, *, is_limited: bool) -> Body:
    limit = {"set_token_expires_in_60_days": "true"} if is_limited else {}
    values = {"grant_type": "fb_exchange_token", "fb_exchange_token": token}
    return json_of(app.token({**values, **limit}))


# Without pages


def test_a_token_can_be_had_without_pages(app: FacebookApp, simulator: Simulator) -> None:
    answer = simulator.facebook.grant("ada", permissions=("ads_read", "email"))
    assert set(answer) == {"access_token", "token_type", "expires_in"}
    assert answer["expires_in"] == 5183944
    token = str(answer["access_token"])
    assert app.graph("act_1001/insights", token).status_code == 200
    assert simulator.facebook.grant("ada", kind="short")["expires_in"] == 3600
    assert simulator.facebook.grant("ada", lifetime=5)["expires_in"] == 5
    with pytest.raises(UnknownPersonError):
        simulator.facebook.grant("bob")
    with pytest.raises(UnknownPermissionError):
        simulator.facebook.grant("ada", permissions=("magic",))


def test_a_token_from_another_process(control: Control, app: FacebookApp) -> None:
    answer = control.facebook_grant("grace", kind="system", permissions=["ads_management"])
    assert set(answer) == {"access_token", "token_type"}
    assert app.graph("act_2001/ads", str(answer["access_token"])).status_code == 200
    assert control.facebook_grant("grace", lifetime=60)["expires_in"] == 60
    for values, problem in (
        ({"person": "ada", "kind": "app"}, "kind must be short, long or system"),
        ({"person": "ada", "permissions": "x"}, "permissions must be a list of strings"),
        ({"person": "ada", "permissions": ["x"]}, "no permission 'x'"),
        ({"person": "bob"}, "no person 'bob'"),
    ):
        with pytest.raises(ControlError, match=problem):
            control.post("facebook/grant", values)


# System users


def test_a_system_user_s_token_never_ends_unless_that_is_asked_for(
    app: FacebookApp, simulator: Simulator, clock: Clock
) -> None:
    first = str(simulator.facebook.grant("ada", kind="system")["access_token"])
    assert (debug(app, first)["type"], debug(app, first)["expires_at"]) == ("SYSTEM_USER", 0)
    assert debug(app, first)["data_access_expires_at"] == 0
    assert "expires_in" not in exchange(app, first, is_limited=False)
    limited = exchange(app, first, is_limited=True)
    assert limited["expires_in"] == SIXTY_DAYS
    clock.advance(SIXTY_DAYS - 1)
    renewed = exchange(app, str(limited["access_token"]), is_limited=True)
    # the one before works until its own end
    assert app.graph("me", str(limited["access_token"])).status_code == 200
    clock.advance(1)
    assert app.code_of(app.graph("me", str(limited["access_token"]))) == (190, 463)
    assert app.graph("me", str(renewed["access_token"])).status_code == 200
    # nobody has to come back for it
    clock.advance(400 * 86400)
    assert app.graph("act_1001/insights", first).status_code == 200


def test_a_token_can_be_revoked(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client
) -> None:
    token = str(simulator.facebook.grant("ada", kind="system")["access_token"])
    url = f"{simulator.graph_url}/v26.0/oauth/revoke"
    values = {
        "client_id": simulator.app.app_id,
        "client_secret": simulator.app.app_secret,
        "revoke_token": token,
        "access_token": token,
    }
    wrong = http.get(url, params={**values, "client_secret": "x"})
    assert app.code_of(wrong) == (1, None)
    assert app.code_of(http.get(url, params={**values, "revoke_token": "x"})) == (100, None)
    assert app.graph("me", token).status_code == 200
    assert json_of(http.get(url, params=values)) == {"success": True}
    assert app.code_of(app.graph("me", token)) == (190, None)


# How tokens die


@pytest.mark.parametrize(
    ("death", "code", "subcode"),
    [
        ("expired", 190, 463),
        ("password_changed", 190, 460),
        ("logged_out", 190, 467),
        ("app_removed", 190, 458),
        ("checkpointed", 190, 459),
        ("unconfirmed", 190, 464),
        ("invalid", 190, None),
        ("session_ended", 102, None),
    ],
)
def test_every_death(
    app: FacebookApp, simulator: Simulator, death: Death, code: int, subcode: int | None
) -> None:
    token = grant(simulator)
    assert simulator.facebook.end_tokens("ada", death) == 1
    assert app.code_of(app.graph("me", token)) == (code, subcode)
    assert app.code_of(app.graph("act_1001/insights", token)) == (code, subcode)
    # a dead token is not exchanged, and its death shows where tokens are described
    assert app.code_of(app.exchange(token)) == (code, subcode)
    described = debug(app, token)
    assert described["is_valid"] is False
    error = described["error"]
    assert isinstance(error, dict)
    assert (error["code"], error.get("subcode")) == (code, subcode)
    assert app.graph("me", grant(simulator)).status_code == 200


@pytest.mark.parametrize("death", ["expired", "logged_out"])
def test_a_token_may_die_after_so_many_calls(
    app: FacebookApp, simulator: Simulator, control: Control, death: Death
) -> None:
    token, other = grant(simulator), grant(simulator, "grace")
    assert control.end_tokens("ada", death, after=3) == 0
    statuses = [app.graph("act_1001/insights", token).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 400, 400]
    assert app.graph("me", other).status_code == 200
    # it was that once
    newer = grant(simulator)
    assert [app.graph("me", newer).status_code for _ in range(4)] == [200] * 4


def test_what_ends_tokens_now_ends_what_was_to_come(
    app: FacebookApp, simulator: Simulator, control: Control
) -> None:
    control.expire_tokens("ada", after=1)
    control.log_out("ada")
    token = grant(simulator)
    assert [app.graph("me", token).status_code for _ in range(3)] == [200] * 3
    with pytest.raises(ControlError, match="death must be one of expired"):
        control.post("facebook/end_tokens", {"person": "ada", "death": "bored"})
    with pytest.raises(ControlError, match="no person 'bob'"):
        control.expire_tokens("bob", after=1)


# Renewal


@pytest.mark.parametrize(
    ("renewal", "given"),
    [
        ("new_token", ("another", 5183944)),
        ("same_token", ("the same", 5183944 - 86400)),
        ("same_expiry", ("another", 5183944 - 86400)),
    ],
)
def test_what_a_renewal_gives(
    app: FacebookApp, simulator: Simulator, clock: Clock, renewal: str, given: tuple[str, int]
) -> None:
    simulator.change({"renewal": renewal})
    token = grant(simulator)
    clock.advance(86400)
    answer = json_of(app.exchange(token))
    which = "the same" if answer["access_token"] == token else "another"
    assert (which, answer["expires_in"]) == given
    simulator.change({"graph_omit_expires_in": True})
    assert "expires_in" not in json_of(app.exchange(token))


# The app is removed


def test_the_signed_request_of_a_removal(simulator: Simulator, control: Control) -> None:
    whole = simulator.facebook.signed_request("ada")
    assert control.signed_request("ada") == whole
    signature, _, payload = whole.partition(".")

    def decoded(text: str) -> bytes:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    secret = simulator.app.app_secret.encode()
    assert decoded(signature) == hmac.new(secret, payload.encode(), hashlib.sha256).digest()
    assert json.loads(decoded(payload)) == {
        "algorithm": "HMAC-SHA256",
        "issued_at": int(NOW),
        "user_id": PEOPLE["ada"].id,
    }


def test_the_endings_have_paths_of_their_own(
    app: FacebookApp, simulator: Simulator, http: httpx2.Client
) -> None:
    for name, subcode in (("expire_tokens", 463), ("remove_app", 458)):
        token = grant(simulator)
        url = f"{simulator.control_url}/facebook/{name}"
        headers = bearer(simulator.control_key)
        assert http.post(url, json={"person": "ada"}, headers=headers).json() == {"count": 1}
        assert app.code_of(app.graph("me", token)) == (190, subcode)
