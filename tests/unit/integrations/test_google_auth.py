"""Google's own session, over a vault and over a daemon."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import AuthorizedSession

from connector.connector import Connector
from connector.errors import ConsentRequired, OriginRefused, TemporarilyUnavailable, UnknownAccount
from connector.integrations.google_auth import AccountCredentials
from connector.simulator.faults import Fault
from tests.unit.workbench import ACCOUNT, Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


@pytest.fixture
def connector(bench: Workbench) -> Iterator[Connector]:
    bench.connect_apart()
    with Connector.open(bench.config) as opened:
        yield opened


@pytest.fixture
def session(connector: Connector) -> Iterator[AuthorizedSession]:
    credentials = AccountCredentials(ACCOUNT, connector)
    with AuthorizedSession(credentials) as made:  # type: ignore[no-untyped-call]
        made.trust_env = False
        yield made


def test_a_request(bench: Workbench, session: AuthorizedSession) -> None:
    answer = session.get(f"{bench.simulator.api_url}/me")
    assert (answer.status_code, answer.json()["name"]) == (200, "Ada Lovelace")
    assert bench.refreshes == 0


def test_the_end_is_what_google_auth_expects(connector: Connector) -> None:
    credentials = AccountCredentials(ACCOUNT, connector)
    assert not credentials.valid
    credentials.refresh(None)
    token = connector.get_token(ACCOUNT)
    assert credentials.token == token.value
    assert credentials.expiry is not None
    assert credentials.expiry.tzinfo is None
    assert credentials.expiry.replace(tzinfo=UTC) == token.expires_at
    assert credentials.valid
    assert token.value not in repr(credentials)


def test_a_token_that_was_rejected_is_replaced_once(
    bench: Workbench, session: AuthorizedSession
) -> None:
    bench.simulator.state.expire_access_tokens("ada")
    for _ in range(2):
        assert session.get(f"{bench.simulator.api_url}/me").status_code == 200
    assert bench.refreshes == 1
    assert bench.simulator.ledger.count("api_me") == 3


def test_an_api_that_rejects_whatever_it_gets_costs_one_refresh(
    bench: Workbench, session: AuthorizedSession
) -> None:
    for _ in range(9):
        bench.simulator.faults.add(Fault(endpoint="api_me", kind="status", status=401))
    for _ in range(3):
        assert session.get(f"{bench.simulator.api_url}/me").status_code == 401
    assert bench.refreshes == 1


def test_near_its_end_the_token_is_asked_for_and_not_refreshed_each_time(
    bench: Workbench, connector: Connector, session: AuthorizedSession
) -> None:
    """google-auth finds a token too old 3 min 45 s before its end; some never live that long."""
    credentials = session.credentials
    credentials.refresh(None)
    credentials.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=3)
    for _ in range(3):
        assert session.get(f"{bench.simulator.api_url}/me").status_code == 200
    assert bench.refreshes == 0
    assert credentials.token == connector.get_access_token(ACCOUNT)


def test_the_token_goes_to_the_apis_origins_only(session: AuthorizedSession) -> None:
    with pytest.raises(OriginRefused):
        session.get("https://elsewhere.example/")


def test_errors_are_google_auths_and_ours_are_their_cause(
    bench: Workbench, connector: Connector, session: AuthorizedSession
) -> None:
    credentials = AccountCredentials("acme/none", connector)
    with pytest.raises(RefreshError, match="no account acme/none") as caught:
        credentials.before_request(None, "GET", bench.simulator.api_url, {})
    assert isinstance(caught.value.__cause__, UnknownAccount)
    assert not caught.value.retryable

    session.get(f"{bench.simulator.api_url}/me")
    bench.simulator.state.expire_access_tokens("ada")
    bench.fault("status", status=503)
    with pytest.raises(RefreshError) as caught:
        session.get(f"{bench.simulator.api_url}/me")
    assert isinstance(caught.value.__cause__, TemporarilyUnavailable)
    assert caught.value.retryable


def test_an_end_of_the_grant(bench: Workbench, session: AuthorizedSession) -> None:
    session.get(f"{bench.simulator.api_url}/me")
    bench.simulator.state.revoke("ada")
    with pytest.raises(RefreshError) as caught:
        session.get(f"{bench.simulator.api_url}/me")
    assert isinstance(caught.value.__cause__, ConsentRequired)
