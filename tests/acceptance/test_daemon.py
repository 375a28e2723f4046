"""The daemon over its sockets: who may call, what it answers, and the consents that it takes."""

import fcntl
import resource
import signal
import stat
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

from connector.simulator import Person, Simulator
from connector.simulator.faults import Fault

from .installation import Installation

pytestmark = pytest.mark.traced


@pytest.fixture
def unix(installation: Installation) -> Iterator[httpx2.Client]:
    """A client of the Unix socket; its host name does not matter there."""
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    with httpx2.Client(transport=transport, base_url="http://connector") as client:
        yield client


@pytest.fixture
def tcp(installation: Installation) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=f"http://127.0.0.1:{installation.port}", trust_env=False) as client:
        yield client


class TestTokens:
    def test_token(self, installation: Installation, unix: httpx2.Client) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        answer = unix.get("/v1/accounts/acme/ads/token")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        body = answer.json()
        assert set(body) == {"access_token", "token_type", "expires_at", "expires_in", "scope"}
        assert (body["token_type"], body["scope"]) == ("Bearer", "ads_read")
        assert 0 < body["expires_in"] <= 60
        assert datetime.fromisoformat(body["expires_at"]).tzinfo is not None
        assert body["access_token"] == installation.run("token", "acme/ads").stdout.strip()

    def test_min_ttl_longer_than_a_token_lives(
        self, installation: Installation, unix: httpx2.Client, simulator: Simulator
    ) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        first = unix.get("/v1/accounts/acme/ads/token").json()["access_token"]
        fresh = unix.get("/v1/accounts/acme/ads/token", params={"min_ttl": "100000"}).json()
        assert fresh["access_token"] != first
        assert simulator.ledger.count("token", grant_type="refresh_token") == 1
        assert unix.get("/v1/accounts/acme/ads/token?min_ttl=soon").status_code == 400

    def test_refresh(self, installation: Installation, unix: httpx2.Client) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        before = unix.get("/v1/accounts/acme/ads/token").json()["access_token"]
        after = unix.post("/v1/accounts/acme/ads/refresh").json()["access_token"]
        assert after != before
        assert unix.get("/v1/accounts/acme/ads/token").json()["access_token"] == after

    def test_problems(self, installation: Installation, unix: httpx2.Client) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        unknown = unix.get("/v1/accounts/acme/none/token")
        assert (unknown.status_code, unknown.json()["status"]) == (404, 404)
        assert unknown.headers["content-type"] == "application/problem+json"
        assert unknown.json()["type"].endswith("unknown-account")
        installation.run("revoke", "acme/ads")
        ended = unix.get("/v1/accounts/acme/ads/token")
        assert (ended.status_code, ended.json()["type"][-16:]) == (409, "consent-required")
        assert ended.json()["reason"] == "revoked by its owner here"

    def test_a_token_revoked_elsewhere_is_not_served_after_two_seconds(
        self, installation: Installation, unix: httpx2.Client
    ) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        installation.run("revoke", "acme/ads")  # takes a process, and longer than the bound allows
        ends_at = time.monotonic() + 2.0
        while unix.get("/v1/accounts/acme/ads/token").status_code == 200:
            assert time.monotonic() < ends_at

    def test_provider_away(
        self, installation: Installation, unix: httpx2.Client, simulator: Simulator
    ) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        simulator.clock.advance(0)
        simulator.stop()
        failed = unix.post("/v1/accounts/acme/ads/refresh")
        assert failed.status_code == 503
        assert failed.json()["type"].endswith("temporarily-unavailable")
        assert int(failed.headers["retry-after"]) >= 1
        # a failing refresh never hides a token that works
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        simulator.start()

    def test_a_caller_that_hangs_up_does_not_stop_the_refresh(
        self, installation: Installation, simulator: Simulator, unix: httpx2.Client
    ) -> None:
        """The provider has rotated the token; who asked for it has gone."""
        installation.connect("ads", "acme/ads")
        installation.serve()
        simulator.faults.add(Fault(endpoint="token", kind="hold", when="after"))
        for _ in range(3):
            with pytest.raises(httpx2.ReadTimeout):
                unix.post("/v1/accounts/acme/ads/refresh", timeout=0.5)
        simulator.gates["gate"].wait_until_held(timeout=30)
        simulator.gates["gate"].release()
        ends_at = time.monotonic() + 10
        query = "SELECT generation, attempt_count, lease_owner FROM account"
        while installation.rows(query, database="vault.db") != [(2, 0, None)]:
            assert time.monotonic() < ends_at, installation.rows(query, database="vault.db")
            time.sleep(0.02)  # polls a file that another process writes
        assert unix.post("/v1/accounts/acme/ads/refresh").status_code == 200
        assert simulator.ledger.count(outcome="reuse_detected") == 0
        assert simulator.ledger.max_in_flight() == 1


class TestAccounts:
    def test_list_and_one(self, installation: Installation, unix: httpx2.Client) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        (one,) = unix.get("/v1/accounts").json()
        assert one == unix.get("/v1/accounts/acme/ads").json()
        assert one["state"] == "active"
        assert unix.get("/v1/accounts/none").status_code == 404


class TestJobs:
    def test_a_run_that_is_asked_for(self, installation: Installation, unix: httpx2.Client) -> None:
        """It goes on behind the answer, and is stopped in order with the daemon."""
        installation.connect("ads", "acme/ads")
        installation.configure(
            """
            [jobs.slow]
            account = "acme/*"
            run = "slow:pull"
            destination = { to = "jsonl:out.jsonl" }
            """
        )
        (installation.folder / "slow.py").write_text(
            "import time\n"
            "def pull(api, context):\n"
            "    yield [{'run': context.run_id}]\n"
            "    time.sleep(600)\n"
        )
        daemon = installation.serve()
        begun = unix.post("/v1/jobs/slow/runs")
        assert begun.status_code == 202
        run = begun.json()["runs"][0]["run"]
        out = installation.folder / "out.jsonl"
        while not out.exists() or run not in out.read_text():
            assert daemon.poll() is None
        (shown,) = unix.get("/v1/runs", params={"job": "slow"}).json()
        assert (shown["run"], shown["outcome"]) == (run, "running")
        status, _, log = installation.stop(daemon)
        assert status == 0, log
        outcomes = installation.rows("SELECT id, outcome FROM run", database="vault.db")
        assert outcomes == [(run, "queued")], "the next daemon takes it up"


class TestAccess:
    def test_socket_is_ours_alone(self, installation: Installation) -> None:
        installation.serve()
        mode = (installation.folder / "connector.sock").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600

    @pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="Linux tells of another process")
    def test_the_daemon_writes_no_core_file(self, installation: Installation) -> None:
        """CHECKLIST 168: it would hold the vault's keys."""
        before, hard = resource.getrlimit(resource.RLIMIT_CORE)
        assert hard != 0, "nothing could be seen"
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
        try:
            daemon = installation.serve()
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, (before, hard))
        assert resource.prlimit(daemon.pid, resource.RLIMIT_CORE)[0] == 0

    def test_tcp_needs_a_key(self, installation: Installation, tcp: httpx2.Client) -> None:
        installation.connect("ads", "acme/ads")
        installation.serve()
        assert tcp.get("/healthz").text == "ok\n"
        for path in ("/v1/accounts", "/v1/accounts/acme/ads/token", "/readyz", "/metrics", "/"):
            refused = tcp.get(path)
            assert (refused.status_code, path) == (401, path)
            assert refused.json()["type"].endswith("unauthorized")

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "evil.example"},
            {"Host": "evil.example:8470"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        ],
        ids=lambda headers: next(iter(headers)),
    )
    def test_foreign_pages_are_refused(
        self, installation: Installation, tcp: httpx2.Client, headers: dict[str, str]
    ) -> None:
        installation.serve()
        assert tcp.get("/healthz", headers=headers).status_code == 403
        assert "access-control-allow-origin" not in tcp.options("/healthz", headers=headers).headers

    def test_health(self, installation: Installation, unix: httpx2.Client) -> None:
        installation.serve()
        assert unix.get("/readyz").text == "ready\n"
        assert unix.get("/nowhere").status_code == 404
        assert unix.post("/healthz").status_code == 405


def test_a_daemon_whose_log_nobody_reads_serves_on(
    installation: Installation, unix: httpx2.Client
) -> None:
    """A pipe takes 64 KiB; each refresh is a line or two of the log."""
    installation.connect("ads", "acme/ads")
    daemon = installation.serve("--log-format", "json", "--debug")
    assert daemon.stderr is not None
    size = fcntl.fcntl(daemon.stderr.fileno(), fcntl.F_SETPIPE_SZ, 4096)
    for _ in range(100):
        answer = unix.post("/v1/accounts/acme/ads/refresh")
        assert answer.status_code == 200, answer.text
    waiting = fcntl.ioctl(daemon.stderr.fileno(), termios.FIONREAD, bytes(4))
    assert int.from_bytes(waiting, sys.byteorder) > size - 512, "the pipe is full"
    _, _, log = installation.stop(daemon)
    assert log.count("refresh.done") == 100, "and nothing was lost"


class TestConsents:
    def test_connect_link(
        self, installation: Installation, unix: httpx2.Client, tcp: httpx2.Client
    ) -> None:
        installation.serve()
        made = unix.post("/v1/consents", json={"provider": "ads", "account": "acme/ads"})
        link = made.json()["connect_url"]
        asked = tcp.get(link)
        assert asked.status_code == 200
        assert "Continue to Ads platform" in asked.text
        led = tcp.post(link)
        assert led.status_code == 303
        with Person("ada") as ada:
            answer = ada.consent(led.headers["location"])
        assert "code=" in answer

        with httpx2.Client(trust_env=False) as another_browser:
            refused = another_browser.get(answer)
        assert refused.status_code == 403
        assert "another browser" in refused.text

        shown = tcp.get(answer, follow_redirects=True)
        assert "Ads platform is connected" in shown.text
        assert "code=" not in str(shown.url)
        assert unix.get("/v1/accounts/acme/ads").json()["state"] == "active"
        assert tcp.get(link).status_code == 404, "a link works once"

    @pytest.mark.parametrize(
        ("content", "kind", "status"),
        [
            (b"{}", "application/json", 400),
            (b"nonsense", "application/json", 400),
            (b'{"provider": 1, "account": "a"}', "application/json", 400),
            (b'{"provider": "ads", "account": "a"}', "text/plain", 415),
            (b'{"provider": "nope", "account": "a"}', "application/json", 400),
            (b'{"provider": "ads", "account": "A\\n"}', "application/json", 400),
        ],
    )
    def test_junk(
        self,
        installation: Installation,
        unix: httpx2.Client,
        content: bytes,
        kind: str,
        status: int,
    ) -> None:
        installation.serve()
        answer = unix.post("/v1/consents", content=content, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert unix.get("/v1/accounts").json() == []

    def test_the_daemon_takes_the_answer_where_it_holds_the_port(
        self, installation: Installation
    ) -> None:
        text = (installation.folder / "config.toml").read_text()
        port = installation.port
        text = text.replace("http://localhost/callback", f"http://localhost:{port}/callback")
        (installation.folder / "config.toml").write_text(text)
        installation.serve()
        process, url = installation.begin_connect("facebook", "acme/fb")
        redirect_uri = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        assert urlsplit(redirect_uri).port == port
        with Person("ada") as ada:
            page = ada.deliver(ada.consent(url))
        assert "is connected" in page.text
        status, out, err = installation.finish(process)
        assert (status, "acme/fb is connected" in out) == (0, True), err


class TestStop:
    def test_orderly(self, installation: Installation) -> None:
        daemon = installation.serve()
        status, _, log = installation.stop(daemon)
        assert status == 0
        assert "Traceback" not in log
        assert not (installation.folder / "connector.sock").exists()

    def test_a_second_signal_cuts_off_no_refresh(
        self, installation: Installation, simulator: Simulator, unix: httpx2.Client
    ) -> None:
        """The provider has rotated the token; its answer is still on the way to the daemon."""
        simulator.change({"access_token_lifetime": 5})
        installation.connect("ads", "acme/ads")
        daemon = installation.serve()
        simulator.faults.add(Fault(endpoint="token", kind="hold", when="after"))
        assert unix.get("/v1/accounts/acme/ads/token?min_ttl=0").status_code == 200
        # it is used, and is therefore renewed ahead: nobody waits for that
        simulator.gates["gate"].wait_until_held(timeout=30)
        daemon.send_signal(signal.SIGTERM)
        while installation.is_listening():
            time.sleep(0.02)  # polls a socket that another process closes
        for _ in range(10):  # whichever moment of the stop they meet
            daemon.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                daemon.wait(0.2)  # it waits for the answer
        simulator.gates["gate"].release()
        assert installation.finish(daemon)[0] == 0
        done = installation.run("refresh", "acme/ads")
        assert done.returncode == 0, done.stderr
        assert simulator.ledger.count(outcome="reuse_detected") == 0

    def test_a_stale_socket_is_replaced(self, installation: Installation) -> None:
        daemon = installation.serve()
        daemon.kill()
        installation.finish(daemon)
        assert (installation.folder / "connector.sock").exists()
        status, _, log = installation.stop(installation.serve())
        assert status == 0, log

    def test_a_run_is_stopped_at_its_cursor_and_taken_up_again(
        self, installation: Installation
    ) -> None:
        installation.connect("ads", "acme/ads")
        installation.configure(
            """
            [jobs.slow]
            provider = "ads"
            account = "**"
            schedule = "every 1s"
            jitter = "0"
            run = "slow:pull"
            destination = { to = "jsonl:out.jsonl", key = ["n"] }
            """
        )
        (installation.folder / "slow.py").write_text(
            "import asyncio\n"
            "async def pull(api, context):\n"
            "    n = context.cursor or 0\n"
            "    while True:\n"
            "        n += 1\n"
            "        context.cursor = n\n"
            "        yield [{'n': n}]\n"
            "        await asyncio.sleep(0.05)\n"
        )
        out = installation.folder / "out.jsonl"
        for _ in range(2):
            daemon = installation.serve()
            before = out.stat().st_size if out.exists() else 0
            while not out.exists() or out.stat().st_size <= before + 100:
                assert daemon.poll() is None
            status, _, log = installation.stop(daemon)
            assert status == 0, log
        outcomes = installation.rows("SELECT DISTINCT outcome FROM run", database="vault.db")
        assert outcomes == [("queued",)]
        numbers = [
            int(line.partition('"n":')[2].rstrip("}\n")) for line in out.read_text().splitlines()
        ]
        assert numbers == list(range(1, len(numbers) + 1)), "each once, in order, across the stop"
