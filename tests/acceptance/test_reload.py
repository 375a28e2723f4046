"""SIGHUP: another configuration takes effect in a daemon that serves, or the old one stays."""

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from connector.simulator import Simulator
from connector.simulator.faults import Fault

from .daemon_log import Served
from .installation import PATIENCE, Installation

pytestmark = pytest.mark.traced


@pytest.fixture
def unix(installation: Installation) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    with httpx2.Client(transport=transport, base_url="http://connector") as client:
        yield client


@pytest.fixture
def served(installation: Installation) -> Served:
    installation.connect("ads", "acme/ads")
    return Served(installation)


@contextmanager
def load(socket: Path, paths: list[str]) -> Iterator[Counter[int | str]]:
    """Calls without end, some on connections of their own; what they were answered."""
    answers: Counter[int | str] = Counter()
    is_over = threading.Event()

    def call(path: str, *, keeps: bool) -> None:
        client = client_of(socket)
        while not is_over.is_set():
            try:
                answers[client.get(path).status_code] += 1
            except httpx2.HTTPError as error:
                answers[f"{type(error).__name__}: {error}"] += 1
            if not keeps:
                client.close()
                client = client_of(socket)
        client.close()

    threads = [
        threading.Thread(target=call, args=(path,), kwargs={"keeps": keeps})
        for path in paths
        for keeps in (True, False)
    ]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        for thread in threads:
            thread.join(PATIENCE)


def client_of(socket: Path) -> httpx2.Client:
    transport = httpx2.HTTPTransport(uds=str(socket))
    return httpx2.Client(transport=transport, base_url="http://connector", timeout=PATIENCE)


JOB = """
[jobs.pull]
account = "acme/*"
run = "pulls:pull"
destination = { to = "jsonl:out.jsonl" }
"""


class TestTakesEffect:
    def test_jobs_and_providers(self, served: Served, unix: httpx2.Client) -> None:
        assert unix.get("/v1/jobs").json() == []
        config = served.installation.folder / "config.toml"
        config.write_text(config.read_text() + JOB)
        served.change('title = "Ads platform"', 'title = "Other platform"')
        assert served.reload() == "reload.done"
        assert [job["job"] for job in unix.get("/v1/jobs").json()] == ["pull"]
        link = unix.post("/v1/consents", json={"provider": "ads", "account": "acme/b"}).json()
        assert "Continue to Other platform" in httpx2.get(link["connect_url"]).text
        assert served.stop() == 0

    def test_a_public_url(self, served: Served, unix: httpx2.Client) -> None:
        port = served.installation.port
        served.change("[daemon]", '[daemon]\npublic_url = "https://tokens.example"')
        made = {"Host": "tokens.example"}
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz", headers=made).status_code == 403
        assert served.reload() == "reload.done"
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz", headers=made).status_code == 200
        link = unix.post("/v1/consents", json={"provider": "ads", "account": "acme/b"}).json()
        assert link["connect_url"].startswith("https://tokens.example/connect/")

    def test_another_client_registration_voids_the_tokens(
        self, served: Served, unix: httpx2.Client, simulator: Simulator
    ) -> None:
        """As at a start; with the old one they are good again."""
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        known, other = f'client_id = "{simulator.client.client_id}"', 'client_id = "another"'
        served.change(known, other)
        assert served.reload() == "reload.done"
        for path in ("token", "token?min_ttl=0"):
            answer = unix.get(f"/v1/accounts/acme/ads/{path}")
            assert (answer.status_code, answer.json()["type"][-16:]) == (409, "consent-required")
        served.change(other, known)
        assert served.reload() == "reload.done"
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        assert simulator.ledger.count("token", grant_type="refresh_token") == 0

    def test_a_new_secret_is_read(
        self, served: Served, unix: httpx2.Client, simulator: Simulator
    ) -> None:
        secret = served.installation.folder / "ads.secret"
        good = secret.read_text()
        secret.write_text("wrong")
        assert served.reload() == "reload.done"
        assert unix.post("/v1/accounts/acme/ads/refresh").status_code == 502
        secret.write_text(good)
        assert served.reload() == "reload.done"
        assert unix.post("/v1/accounts/acme/ads/refresh").status_code == 200
        assert simulator.ledger.count(outcome="reuse_detected") == 0

    def test_a_provider_that_is_gone(self, served: Served, unix: httpx2.Client) -> None:
        installation = served.installation
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        before = (installation.folder / "config.toml").read_text()
        installation.configure(providers="")
        assert served.reload() == "reload.done"
        answer = unix.get("/v1/accounts/acme/ads/token")
        assert answer.json()["type"].endswith("configuration-error")
        assert unix.get("/v1/accounts/acme/ads").status_code == 200
        (installation.folder / "config.toml").write_text(before)
        assert served.reload() == "reload.done"
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200


class TestRefused:
    def test_all_problems_are_told_and_nothing_changes(
        self, served: Served, unix: httpx2.Client
    ) -> None:
        served.change('title = "Ads platform"', 'titel = "Other"')
        config = served.installation.folder / "config.toml"
        config.write_text(config.read_text() + JOB.replace("jsonl:out", "nowhere:"))
        assert served.reload() == "reload.refused"
        told = "".join(line for line in served.log.lines if "reload.problem" in line)
        assert "config.toml: providers.ads.titel" in told
        assert "did you mean title" in told or "title" in told
        assert "config.toml: jobs.pull.destination.to" in told
        assert unix.get("/v1/jobs").json() == []
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        link = unix.post("/v1/consents", json={"provider": "ads", "account": "acme/b"}).json()
        assert "Continue to Ads platform" in httpx2.get(link["connect_url"]).text

    @pytest.mark.parametrize("text", ["", "not toml [", None], ids=["empty", "not TOML", "gone"])
    def test_a_file_that_says_nothing_good(
        self, served: Served, unix: httpx2.Client, text: str | None
    ) -> None:
        config = served.installation.folder / "config.toml"
        before = config.read_text()
        if text is None:
            config.unlink()
        else:
            config.write_text(text)
        assert served.reload() == "reload.refused"
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        config.write_text(before)
        assert served.reload() == "reload.done"

    def test_what_needs_a_restart_is_named_and_the_rest_waits_for_it(
        self, served: Served, unix: httpx2.Client
    ) -> None:
        config = served.installation.folder / "config.toml"
        served.change('url = "sqlite:///vault.db"', 'url = "sqlite:///other.db"')
        served.change(f"port = {served.installation.port}", "port = 1")
        config.write_text(config.read_text() + JOB)
        assert served.reload() == "reload.refused"
        told = [line for line in served.log.lines if "reload.problem" in line]
        named = ["vault.url", "vault.journal", "daemon.port"]
        assert [key for key in named if any(f" {key}: " in line for line in told)] == named
        assert all("restart it" in line for line in told)
        assert unix.get("/v1/jobs").json() == []
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200

    def test_a_secret_that_is_not_there(self, served: Served, unix: httpx2.Client) -> None:
        (served.installation.folder / "ads.secret").unlink()
        assert served.reload() == "reload.refused"
        assert served.log.count("providers.ads.client_secret") == 1
        assert unix.post("/v1/accounts/acme/ads/refresh").status_code == 200


class TestUnderLoad:
    def test_no_call_is_refused_or_fails(self, served: Served, simulator: Simulator) -> None:
        """Tokens, refreshes, new connections; providers and jobs change, and some are refused."""
        installation = served.installation
        config = installation.folder / "config.toml"
        good = config.read_text()
        texts = [
            good + JOB,
            good.replace('title = "Ads platform"', 'title = "B"'),
            good + "nonsense",
            good,
        ]
        paths = ["/v1/accounts/acme/ads/token", "/v1/accounts", "/v1/jobs", "/healthz"]
        socket = installation.folder / "connector.sock"
        with load(socket, paths) as answers, client_of(socket) as client:
            for number in range(40):
                config.write_text(texts[number % len(texts)])
                served.reload()
                assert client.post("/v1/accounts/acme/ads/refresh").status_code == 200
        assert set(answers) == {200}, answers
        assert answers[200] > 500
        assert served.log.count("reload.done") == 30
        assert served.log.count("reload.refused") == 10
        assert served.log.count("web.bug", "reload.bug", "Traceback") == 0
        assert simulator.ledger.count(outcome="reuse_detected") == 0
        assert served.stop() == 0

    def test_memory_does_not_grow(self, served: Served, unix: httpx2.Client) -> None:
        config = served.installation.folder / "config.toml"
        texts = [config.read_text(), config.read_text() + JOB]

        def reload(times: int) -> int:
            for number in range(times):
                config.write_text(texts[number % 2])
                served.reload()
                assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
            return resident(served.process.pid)

        before = reload(300)  # the heap finds its size, bounded caches are full
        after = reload(300)
        # one arena of the heap more is 2 MiB; what each of them left would be ten kilobytes
        assert after - before < 3 * 1024, f"{before} KiB, then {after} KiB"


class TestUnderWay:
    def test_a_refresh_under_way_commits(
        self, served: Served, unix: httpx2.Client, simulator: Simulator
    ) -> None:
        """The provider has rotated the token; the registration changes before its answer comes."""
        simulator.faults.add(Fault(endpoint="token", kind="hold", when="after"))
        with pytest.raises(httpx2.ReadTimeout):
            unix.post("/v1/accounts/acme/ads/refresh", timeout=0.5)
        simulator.gates["gate"].wait_until_held(timeout=30)
        known, other = f'client_id = "{simulator.client.client_id}"', 'client_id = "another"'
        served.change(known, other)
        assert served.reload() == "reload.done"
        simulator.gates["gate"].release()
        query = "SELECT generation, attempt_count, lease_owner FROM account"
        ends_at = time.monotonic() + PATIENCE
        while served.installation.rows(query, database="vault.db") != [(2, 0, None)]:
            assert time.monotonic() < ends_at
            time.sleep(0.02)  # polls a file that another process writes
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 409, "it is another's token"
        served.change(other, known)
        assert served.reload() == "reload.done"
        assert unix.get("/v1/accounts/acme/ads/token").status_code == 200
        assert unix.post("/v1/accounts/acme/ads/refresh").status_code == 200
        assert simulator.ledger.count(outcome="reuse_detected") == 0

    def test_a_run_under_way_goes_on(self, served: Served, unix: httpx2.Client) -> None:
        folder = served.installation.folder
        (folder / "pulls.py").write_text(
            "import pathlib, time\n"
            "def pull(api, context):\n"
            "    yield [{'n': 1}]\n"
            "    while not pathlib.Path('go').exists():\n"
            "        time.sleep(0.02)\n"
            "    yield [{'n': 2}]\n"
        )
        config = folder / "config.toml"
        without = config.read_text()
        config.write_text(without + JOB)
        assert served.reload() == "reload.done"
        begun = unix.post("/v1/jobs/pull/runs").json()["runs"][0]["run"]
        served.log.wait_for(1, "run.started")
        config.write_text(without)
        assert served.reload() == "reload.done"
        assert unix.get("/v1/jobs").json() == []
        (folder / "go").touch()
        served.log.wait_for(1, "run.finished")
        while (run := unix.get("/v1/runs").json()[0])["outcome"] == "running":
            assert served.process.poll() is None  # it is told before it is written down
        assert (run["run"], run["outcome"], run["records"]) == (begun, "succeeded", 2)

    def test_two_in_quick_succession_and_while_it_stops(self, served: Served) -> None:
        for _ in range(50):
            served.process.send_signal(signal.SIGHUP)
        served.log.wait_for(1, "reload.done")
        served.process.send_signal(signal.SIGTERM)
        while served.process.poll() is None:
            served.process.send_signal(signal.SIGHUP)
            time.sleep(0.001)  # until the very end
        assert served.process.returncode == 0
        assert served.log.count("Traceback") == 0


def test_before_it_serves(installation: Installation, unix: httpx2.Client) -> None:
    """Whichever moment of its beginning it meets, but for the interpreter's own."""
    installation.run("init")
    for pause in (0.2, 0.5):
        daemon = installation.start("serve")
        held = wait_until_held(daemon.pid)
        ends_at = time.monotonic() + pause
        while held and time.monotonic() < ends_at:
            daemon.send_signal(signal.SIGHUP)
            time.sleep(0.01)
        while not installation.is_listening():
            assert daemon.poll() is None, installation.finish(daemon)
        assert unix.get("/healthz").status_code == 200
        assert installation.stop(daemon)[0] == 0


def wait_until_held(pid: int) -> bool:
    """Wait until a process holds SIGHUP back, or takes it (proc(5))."""
    bit = 1 << (signal.SIGHUP - 1)
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        status = Path(f"/proc/{pid}/status").read_text()
        fields = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
        if any(int(fields[name], 16) & bit for name in ("SigBlk", "SigCgt")):
            return True
    return False


def resident(pid: int) -> int:
    """Give the memory of a process (KiB)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


class TestTerminal:
    """It was started on a terminal, which is then closed."""

    @pytest.mark.parametrize("is_kept", [False, True], ids=["closed", "with nohup"])
    def test_the_terminal_is_closed(
        self, installation: Installation, unix: httpx2.Client, *, is_kept: bool
    ) -> None:
        installation.run("init")
        pid, terminal = os.forkpty()
        if pid == 0:
            os.chdir(installation.folder)
            if is_kept:
                signal.signal(signal.SIGHUP, signal.SIG_IGN)
            program = [sys.executable, "-m", "connector", "serve"]
            os.execve(sys.executable, program, installation.environment)  # noqa: S606
        try:
            while not installation.is_listening():
                assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            os.close(terminal)
            if is_kept:
                os.kill(pid, signal.SIGHUP)
                ends_at = time.monotonic() + 30
                while unix.get("/readyz").status_code != 200:  # it begins, and does not stop
                    assert time.monotonic() < ends_at
                os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        assert os.waitstatus_to_exitcode(status) == 0, "it stopped in order"
