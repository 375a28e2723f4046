"""API keys through the real command line, and a real daemon over TCP."""

import json
import time
from collections.abc import Iterator

import httpx2
import pytest

from .installation import Installation

pytestmark = pytest.mark.traced


@pytest.fixture
def tcp(installation: Installation) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{installation.port}", trust_env=False) as client:
        yield client


def run(installation: Installation, *arguments: str) -> tuple[int, str, str]:
    """Run ``connector keys``; give exit status and output."""
    done = installation.run("keys", *arguments)
    return done.returncode, done.stdout, done.stderr


def make(installation: Installation, name: str, *arguments: str) -> dict[str, str]:
    """Make a key; give the header that presents it."""
    code, out, err = run(installation, "create", name, *arguments)
    assert (code, len(out.splitlines())) == (0, 1), err
    assert "shown this once" in err
    return {"Authorization": f"Bearer {out.strip()}"}


def test_a_key_from_its_making_to_its_end(installation: Installation, tcp: httpx2.Client) -> None:
    installation.connect("ads", "acme/ads")
    installation.connect("ads", "beta/ads", person="grace")
    daemon = installation.serve()
    key = make(installation, "ci", "--accounts", "acme/*", "--scope", "token:read")
    answer = tcp.get("/v1/accounts/acme/ads/token", headers=key)
    assert answer.status_code == 200
    assert answer.json()["access_token"]
    assert answer.headers["cache-control"] == "no-store"
    assert [one["account"] for one in tcp.get("/v1/accounts", headers=key).json()] == ["acme/ads"]
    assert tcp.get("/v1/accounts/beta/ads/token", headers=key).status_code == 404
    assert tcp.post("/v1/accounts/acme/ads/revoke", headers=key).status_code == 403

    code, out, _ = run(installation, "--json")
    (listed,) = json.loads(out)
    assert code == 0
    assert (listed["key"], listed["state"], listed["scopes"]) == ("ci", "active", ["token:read"])
    assert key["Authorization"].removeprefix("Bearer ") not in out

    assert run(installation, "revoke", "ci")[0] == 0
    revoked_at = time.monotonic()
    while tcp.get("/v1/accounts", headers=key).status_code == 200:
        assert time.monotonic() - revoked_at < 2.5, "it still works"
        time.sleep(0.05)  # between two calls; the bound is above
    assert tcp.get("/v1/accounts/acme/ads/token", headers=key).status_code == 401
    _, out, _ = run(installation)
    assert "revoked" in out

    installation.stop(daemon)
    trail = json.loads(installation.run("audit", "--json").stdout)
    released = [row for row in trail if row["event"] == "token.released"]
    assert ("key:ci", "acme/ads") in {(row["actor"], row["account"]) for row in released}
    assert ("access.refused", "bad_key") in {(row["event"], row["outcome"]) for row in trail}
    assert {"key.created", "key.revoked"} <= {row["event"] for row in trail}


def test_bad_input(installation: Installation) -> None:
    installation.run("init")
    right = ("--accounts", "acme/*", "--scope", "token:read")
    make(installation, "ci", *right)
    for arguments, code, words in (
        (("CI", *right), 2, "not the name of a key"),
        (("new", "--accounts", "acme/ *", "--scope", "token:read"), 2, "does not select"),
        (("new", "--accounts", "**", "--scope", "tokens"), 2, "token:read"),
        (("new", "--scope", "token:read"), 2, "--accounts"),
        (("new", "--accounts", "**"), 2, "--scope"),
        (("new", *right, "--expires", "soon"), 2, "not a duration"),
        (("new", *right, "--expires", "0"), 2, "over at once"),
        (("ci", *right), 6, "there is a key ci already"),
    ):
        result, out, err = run(installation, "create", *arguments)
        assert (result, out) == (code, ""), err
        assert words in err
    result, _, err = run(installation, "revoke", "cii")
    assert result == 6
    assert "did you mean ci?" in err
    _, out, _ = run(installation, "--json")
    assert [one["key"] for one in json.loads(out)] == ["ci"]


def test_an_end(installation: Installation, tcp: httpx2.Client) -> None:
    installation.serve()
    key = make(installation, "short", "--accounts", "**", "--scope", "admin", "--expires", "2s")
    made_at = time.monotonic()
    assert tcp.get("/v1/accounts", headers=key).status_code == 200
    while tcp.get("/v1/accounts", headers=key).status_code == 200:
        assert time.monotonic() - made_at < 4
        time.sleep(0.05)  # between two calls; the bound is above
    _, out, _ = run(installation)
    assert "expired" in out


def test_no_keys_yet(installation: Installation) -> None:
    installation.run("init")
    code, out, _ = run(installation)
    assert code == 0
    assert "connector keys create" in out
