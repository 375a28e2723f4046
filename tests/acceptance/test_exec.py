"""``connector exec``: programs that are given tokens, as real processes."""

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from connector.client import Client
from connector.simulator import Settings, Simulator
from tests.unit.test_local_daemon import NOBODY, SQUATTER

from .forked import Nursery
from .installation import PATIENCE, Installation
from .terminal import Terminal

pytestmark = pytest.mark.traced

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[Installation]:
    """Two accounts, no daemon."""
    with (
        Simulator(Settings(access_token_lifetime=3600)) as simulator,
        Installation(tmp_path_factory.mktemp("exec"), simulator, nursery=nursery) as made,
    ):
        secret = (made.folder / "ads.secret").read_text()
        made.configure()
        config = made.folder / "config.toml"
        config.write_text(config.read_text().replace('"file:ads.secret"', '"env:ADS_SECRET"'))
        made.environment["ADS_SECRET"] = secret
        made.connect("ads", "acme/ads")
        made.connect("ads", "acme/more", person="grace")
        yield made


@pytest.fixture
def serving(installed: Installation) -> Iterator[Installation]:
    daemon = installed.serve()
    yield installed
    if daemon.poll() is None:
        installed.stop(daemon)


def token_of(installation: Installation, account: str = "acme/ads") -> str:
    return installation.run("token", account).stdout.strip()


def shown(installation: Installation, *options: str) -> dict[str, str]:
    """Run a program with tokens; give its environment."""
    done = installation.run("exec", *options, "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, str] = json.loads(done.stdout)
    return found


class TestEnvironment:
    def test_one_account(self, installed: Installation) -> None:
        environment = shown(installed, "--account", "acme/ads")
        assert environment["CONNECTOR_TOKEN"] == token_of(installed)
        assert "ADS_SECRET" not in environment, "the configuration names it for a secret"
        assert environment["PATH"] == installed.environment["PATH"]

    def test_several_accounts(self, installed: Installation) -> None:
        both = ("--account", "acme/ads", "--account", "acme/more")
        named = ("--env", "acme/ads=ADS", "--env", "acme/more=MORE")
        environment = shown(installed, *both, *named)
        assert environment["ADS"] == token_of(installed)
        assert environment["MORE"] == token_of(installed, "acme/more")
        assert environment["ADS"] != environment["MORE"]
        assert "CONNECTOR_TOKEN" not in environment

    def test_with_a_daemon_the_vault_stays_closed(self, serving: Installation) -> None:
        key = serving.folder / "root.key"
        content = key.read_text()
        key.unlink()
        try:
            environment = shown(serving, "--account", "acme/ads", "--env", "NAME")
            assert environment["NAME"]
        finally:
            key.write_text(content)
            key.chmod(0o600)

    @pytest.mark.parametrize("has_daemon", [True, False])
    def test_the_audit_trail_says_through_what(
        self, installed: Installation, *, has_daemon: bool
    ) -> None:
        before = len(json.loads(installed.run("audit", "--json").stdout))
        daemon = installed.serve() if has_daemon else None
        shown(installed, "--account", "acme/more")
        if daemon is not None:
            installed.stop(daemon)
        rows = json.loads(installed.run("audit", "--json").stdout)[before:]
        assert [(row["account"], row["through"]) for row in rows] == [
            ("acme/more", "connector exec")
        ]


class TestDescriptor:
    def test_the_token_is_read_from_it_once(self, installed: Installation) -> None:
        script = 'cat <&"$CONNECTOR_TOKEN_FD"; echo; cat <&"$CONNECTOR_TOKEN_FD"; env'
        options = ("exec", "--account", "acme/ads", "--fd")
        done = installed.run(*options, "--", "sh", "-c", script)
        assert done.returncode == 0, done.stderr
        token, _, rest = done.stdout.partition("\n")
        assert token == token_of(installed)
        assert token not in rest

    def test_nobody_needs_to_read_it(self, installed: Installation) -> None:
        assert installed.run("exec", "--account", "acme/ads", "--fd", "true").returncode == 0


class TestBeforeTheProgramStarts:
    @pytest.mark.parametrize(
        ("options", "status", "message"),
        [
            (["--account", "acme/none"], 6, "There is no account acme/none"),
            (["--account", "acme/none", "--fd"], 6, "There is no account acme/none"),
            (["--account", "acme/none", "--endpoint"], 6, "There is no account acme/none"),
            (["--account", "a b\r\nX: y"], 6, "There is no account"),
            (["--account", "acme/ads", "--config", "none.toml"], 2, "no such file"),
            (["--account", "acme/ads", "--env", "A B"], 2, "no name of a variable"),
            (["--account", "acme/ads", "--env", "acme/more=A"], 2, "--account acme/more"),
            (["--account", "acme/ads", "--account", "acme/more"], 2, "--env acme/ads=NAME"),
            (["--account", "acme/ads", "--endpoint", "--fd"], 2, "leave out"),
            (["--account", "acme/ads", "--min-ttl", "nan"], 2, "number of seconds"),
            ([], 2, "--account"),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, list) else None,
    )
    def test_it_says_why(
        self, installed: Installation, options: list[str], status: int, message: str
    ) -> None:
        done = installed.run("exec", *options, "--", "echo", "started")
        assert (done.returncode, done.stdout) == (status, "")
        assert message in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_consent_is_needed(self, installation: Installation, options: list[str]) -> None:
        installation.connect("ads", "acme/ended")
        installation.run("revoke", "acme/ended")
        done = installation.run("exec", "--account", "acme/ended", *options, "--", "echo", "x")
        assert (done.returncode, done.stdout) == (3, "")
        assert "connector connect ads --account acme/ended" in done.stderr

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_who_waits_for_a_silent_daemon_may_give_up(
        self, installed: Installation, tmp_path: Path, options: list[str]
    ) -> None:
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(str(tmp_path / "silent.sock"))
            silent.listen()
            environment = installed.environment | {
                "CONNECTOR_SOCKET": str(tmp_path / "silent.sock")
            }
            command = [sys.executable, "-m", "connector", "exec", "--account", "acme/ads"]
            process = subprocess.Popen(
                [*command, *options, "--", "echo", "started"],
                cwd=installed.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # so that a whole foreground group can be interrupted
            )
            connection, _ = silent.accept()
            with connection:
                assert b"acme/ads" in connection.recv(4096)
                os.killpg(process.pid, signal.SIGINT)
                out, err = process.communicate(timeout=PATIENCE / 2)
        assert (process.returncode, out, err.strip()) == (130, "", "")

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_programs_that_cannot_be_run(self, installed: Installation, options: list[str]) -> None:
        exec_ = ("exec", "--account", "acme/ads", *options, "--")
        done = installed.run(*exec_, "no-such-command\x1b[31m")
        assert (done.returncode, done.stdout) == (127, "")
        assert done.stderr == "connector: no-such-command\\x1b[31m: there is no such command\n"
        plain = installed.folder / "plain"
        plain.write_text("x")
        assert installed.run(*exec_, "./plain").returncode == 126


class TestTheProgramsOwn:
    """Signals, exit status, limits and terminal are the program's, as without us."""

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_exit_status(self, installed: Installation, options: list[str]) -> None:
        exec_ = ("exec", "--account", "acme/ads", *options, "--")
        assert installed.run(*exec_, "sh", "-c", "exit 42").returncode == 42
        assert installed.run(*exec_, "sh", "-c", "kill -9 $$").returncode == -9  # 137 in a shell

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_signals(self, installed: Installation, options: list[str]) -> None:
        code = (
            "import signal, sys, time\n"
            "signal.signal(signal.SIGTERM, lambda *_: print('ignored', flush=True))\n"
            "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))\n"
            "print('started', flush=True)\n"
            "while True: signal.pause()\n"
        )
        exec_ = ("exec", "--account", "acme/ads", *options, "--")
        process = installed.start(*exec_, sys.executable, "-c", code)
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        for _ in range(2):  # a program that ignores SIGTERM is left alone
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "ignored\n"
        process.send_signal(signal.SIGUSR1)
        assert installed.finish(process)[0] == 7

    def test_what_we_were_given_is_passed_on(self, installed: Installation) -> None:
        """Who writes to a closed pipe dies; what was ignored stays so; cores are limited."""
        command = [sys.executable, "-m", "connector", "exec", "--account", "acme/ads", "--"]
        # in C, for Python itself ignores SIGPIPE: what grep shows was inherited
        grep = ["sh", "-c", "grep SigIgn /proc/self/status; ulimit -S -c"]
        hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
        soft = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)

        def prepare() -> None:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))

        done = subprocess.run(
            [*command, *grep],
            cwd=installed.folder,
            env=installed.environment,
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        mask, limit = done.stdout.split("\n")[:2]
        ignored = int(mask.split()[1], 16)
        assert [n for n in range(1, 32) if ignored >> (n - 1) & 1] == [signal.SIGTERM]
        assert int(limit) * 512 == soft or int(limit) * 1024 == soft

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_it_has_the_terminal(self, installed: Installation, options: list[str]) -> None:
        script = 'stty -a >/dev/null && read line && echo "read $line" && exec sleep 60'
        exec_ = ("exec", "--account", "acme/ads", *options, "--", "sh", "-c", script)
        with Terminal(
            *exec_, folder=installed.folder, environment=installed.environment
        ) as terminal:
            terminal.type("hello\n")
            terminal.expect("read hello")
            terminal.type("\x03")
            assert terminal.finish() == -signal.SIGINT

    @pytest.mark.parametrize("options", [[], ["--endpoint"]], ids=["token", "endpoint"])
    def test_a_passphrase_is_asked_for_before_it_has_the_terminal(
        self, installation: Installation, options: list[str]
    ) -> None:
        installation.configure()
        config = installation.folder / "config.toml"
        config.write_text(config.read_text().replace('"file:root.key"', '"passphrase"'))
        passphrase = "correct horse battery staple"
        installation.environment["CONNECTOR_VAULT_PASSPHRASE"] = passphrase
        installation.connect("ads", "acme/ads")
        del installation.environment["CONNECTOR_VAULT_PASSPHRASE"]
        script = 'read line && echo "read $line, passphrase ${CONNECTOR_VAULT_PASSPHRASE:-unset}"'
        exec_ = ("exec", "--account", "acme/ads", *options, "--", "sh", "-c", script)
        with Terminal(
            *exec_, folder=installation.folder, environment=installation.environment
        ) as terminal:
            terminal.expect("Passphrase of the vault: ")
            terminal.type(f"{passphrase}\n")
            terminal.expect("\n")  # the prompt's own, once it has been read
            terminal.type("hello\n")
            terminal.expect("read hello, passphrase unset")
            assert terminal.finish() == 0
            assert passphrase not in terminal.shown

    @pytest.mark.parametrize("streams", ["<&-", ">&-", "<&- >&- 2>&-"])
    @pytest.mark.parametrize("option", ["", "--fd", "--endpoint"])
    def test_closed_streams(self, installed: Installation, streams: str, option: str) -> None:
        line = f"{sys.executable} -m connector exec --account acme/ads {option} -- "
        line += f"sh -c 'echo x > ran; exit 3' {streams}"
        (installed.folder / "ran").unlink(missing_ok=True)
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            cwd=installed.folder,
            env=installed.environment,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 3
        assert (installed.folder / "ran").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser can be another user too")
@pytest.mark.parametrize("command", ["exec", "exec --endpoint", "git-credential"])
def test_another_users_socket_is_not_asked(
    installed: Installation, tmp_path: Path, command: str
) -> None:
    """The vault is opened instead (CHECKLIST 153; `tests/unit/test_local_daemon.py`)."""
    path = tmp_path / "squatted.sock"
    squatter = subprocess.Popen(
        [sys.executable, "-c", SQUATTER, path, str(NOBODY), "9"], stdout=subprocess.PIPE, text=True
    )
    with squatter:
        assert squatter.stdout is not None
        assert squatter.stdout.readline() == "listening\n"
        token = token_of(installed)
        name, *options = command.split()
        rest = ["--", "true"] if name == "exec" else ["--host", "git.example", "get"]
        done = installed.run(
            name,
            "--account",
            "acme/ads",
            *options,
            *rest,
            input_text="protocol=https\nhost=git.example\n\n",
            environment={"CONNECTOR_SOCKET": str(path)},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert (token in done.stdout) == (name == "git-credential")
        squatter.kill()
        received = squatter.stdout.read().split()
    assert received
    assert set(received) == {"b''"}, "it was connected to, and sent nothing"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
@pytest.mark.parametrize(("option", "number"), [("", 0), ("--fd", 1), ("--endpoint", 0)])
def test_nothing_else_is_inherited(installed: Installation, option: str, number: int) -> None:
    options = [option] if option else []
    exec_ = ("exec", "--account", "acme/ads", *options, "--")
    done = installed.run(*exec_, "sh", "-c", "ls /proc/$$/fd")
    open_files = [int(one) for one in done.stdout.split()]
    assert [one for one in open_files if 2 < one < 10] == [3] * number, "10 and above are sh's own"


def command_lines() -> list[str]:
    """Give the arguments of every process that we can see."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(path.read_bytes().decode("utf-8", "replace"))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="there is no /proc")
@pytest.mark.parametrize("option", ["", "--fd", "--endpoint"])
def test_no_secret_stands_in_arguments(
    installed: Installation, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sampled from the start to the end, of all processes (CHECKLIST 157)."""
    monkeypatch.setattr(installed, "nursery", None)  # what is forked has not its own line in `ps`
    secrets = [token_of(installed), installed.environment["ADS_SECRET"]]
    script = 'echo "$CONNECTOR_KEY"; read line'
    options = [option] if option else []
    exec_ = ("exec", "--account", "acme/ads", *options, "--", "sh", "-c", script)
    process = installed.start(*exec_, takes_input=True)
    assert process.stdout is not None
    assert process.stdin is not None
    os.set_blocking(process.stdout.fileno(), False)
    samples: list[str] = []
    key = ""
    ends_at = time.monotonic() + PATIENCE
    while not key and time.monotonic() < ends_at:
        samples += command_lines()
        key = process.stdout.readline()  # until the program has started
    samples += command_lines()
    os.set_blocking(process.stdout.fileno(), True)
    process.stdin.write("\n")
    assert installed.finish(process)[0] == 0
    if option == "--endpoint":
        secrets.append(key.strip())
    assert any("CONNECTOR_KEY" in line for line in samples), "the program itself was seen"
    assert all(secret for secret in secrets)
    assert not [line for line in samples if any(secret in line for secret in secrets)]


class Asked:
    """A program with an endpoint, which waits until it is told to end."""

    def __init__(self, installation: Installation, *options: str) -> None:
        script = 'echo "$CONNECTOR_URL"; echo "$CONNECTOR_KEY"; read line'
        exec_ = ("exec", "--endpoint", *options, "--", "sh", "-c", script)
        self._installation = installation
        self.process = installation.start(*exec_, takes_input=True)
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.key = self.process.stdout.readline().strip()

    def ask(
        self,
        path: str = "/v1/accounts/acme/ads/token",
        *,
        method: str = "GET",
        **headers: str | None,
    ) -> tuple[int, Any]:
        """Ask the endpoint; give status and document."""
        sent = {"Authorization": f"Bearer {self.key}", **headers}
        present = {name.replace("_", "-"): value for name, value in sent.items() if value}
        connection = http.client.HTTPConnection(self.url.partition("//")[2], timeout=PATIENCE)
        with closing(connection):
            connection.request(method, path, headers=present)
            answer = connection.getresponse()
            if answer.status != 200:
                return answer.status, answer.read().decode()
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, json.load(answer)

    def end(self) -> int:
        """Let the program end; give its exit status."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        return self._installation.finish(self.process)[0]

    def is_gone(self) -> bool:
        """Wait until nobody answers any more."""
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            try:
                self.ask()
            except OSError:
                return True
            time.sleep(0.05)  # polls a port that another process closes
        return False


class TestEndpoint:
    def test_it_gives_tokens_as_the_daemon_does(self, serving: Installation) -> None:
        program = Asked(serving, "--account", "acme/ads", "--account", "acme/more")
        status, document = program.ask()
        assert status == 200
        assert document["access_token"] == token_of(serving)
        assert document["token_type"] == "Bearer"
        assert 3000 < document["expires_in"] <= 3600
        assert document["scope"] == "ads_read"
        _, more = program.ask("/v1/accounts/acme/more/token?min_ttl=60")
        assert more["access_token"] == token_of(serving, "acme/more")
        assert program.end() == 0
        assert program.is_gone()

    def test_it_gives_a_renewed_token(self, serving: Installation) -> None:
        program = Asked(serving, "--account", "acme/ads")
        before = program.ask()[1]["access_token"]
        with Client(serving.folder / "connector.sock") as client:
            client.refresh("acme/ads")
        after = program.ask()[1]["access_token"]
        assert after == token_of(serving) != before
        program.end()

    def test_the_thin_client_finds_it(self, serving: Installation) -> None:
        code = "from connector.client import Client\nprint(Client().get_access_token('acme/ads'))"
        exec_ = ("exec", "--endpoint", "--account", "acme/ads", "--")
        done = serving.run(*exec_, sys.executable, "-W", "ignore", "-c", code)
        assert (done.returncode, done.stdout.strip()) == (0, token_of(serving)), done.stderr

    def test_whom_it_refuses(self, serving: Installation) -> None:
        program = Asked(serving, "--account", "acme/ads")
        port = program.url.rpartition(":")[2]
        assert program.ask()[0] == 200
        assert program.ask(Host=f"localhost:{port}")[0] == 200
        assert program.ask(Host="evil.example")[0] == 403
        assert program.ask(Host=f"evil.example:{port}")[0] == 403
        assert program.ask(Origin="https://evil.example")[0] == 403
        assert program.ask(Origin=program.url)[0] == 403
        assert program.ask(Sec_Fetch_Site="cross-site")[0] == 403
        assert program.ask(Authorization=None)[0] == 401
        assert program.ask(Authorization=f"Bearer {program.key}x")[0] == 401
        assert program.ask(Authorization=f"Basic {program.key}")[0] == 401
        assert program.ask(Authorization=f"Bearer {program.key[:-1]}é".encode().decode("latin-1"))
        assert (
            program.ask(f"/v1/accounts/acme/ads/token?key={program.key}", Authorization=None)[0]
            == 401
        )
        assert program.ask("/v1/accounts/acme/more/token")[0] == 404, "it was not named"
        assert program.ask("/v1/accounts")[0] == 404
        assert program.ask(method="POST")[0] == 405
        refresh = "/v1/accounts/acme/ads/refresh"
        assert program.ask(refresh)[0] == 405
        assert program.ask(refresh, method="POST")[0] == 400, "no refreshes at will"
        assert program.ask(refresh, method="POST", Authorization=None)[0] == 401
        named = program.ask(refresh, method="POST", Connector_Rejected="another")
        assert named[1]["access_token"] == token_of(serving)
        more = "/v1/accounts/acme/more/refresh"
        assert program.ask(more, method="POST", Connector_Rejected="another")[0] == 404
        assert program.ask("/v1/accounts/acme/ads/token?min_ttl=-1")[0] == 400
        program.end()

    def test_without_a_daemon_it_is_told_of_what_others_do(
        self, installation: Installation, simulator: Simulator
    ) -> None:
        installation.connect("ads", "acme/ads")
        program = Asked(installation, "--account", "acme/ads")
        before = program.ask()[1]["access_token"]
        refresh = "/v1/accounts/acme/ads/refresh"
        for _ in range(2):
            rejected = program.ask(refresh, method="POST", Connector_Rejected=before)
            assert rejected[1]["access_token"] != before
        assert simulator.ledger.count("token", grant_type="refresh_token") == 1
        installation.run("revoke", "acme/ads")
        ends_at = time.monotonic() + 2.5  # a change elsewhere is known within two seconds
        while (answer := program.ask())[0] == 200 and time.monotonic() < ends_at:
            time.sleep(0.1)  # what another process has written is looked for
        assert answer[0] == 409
        assert "consent-required" in answer[1]
        assert program.end() == 0

    def test_a_daemon_that_stops_meanwhile(self, installed: Installation) -> None:
        daemon = installed.serve()
        program = Asked(installed, "--account", "acme/ads")
        before = program.ask()[1]["access_token"]
        installed.stop(daemon)
        assert program.ask()[1]["access_token"] == before, "the vault is opened here"
        daemon = installed.serve()
        assert program.ask()[1]["access_token"] == before
        installed.stop(daemon)
        assert program.end() == 0

    def test_it_ends_though_the_program_is_killed(self, installed: Installation) -> None:
        program = Asked(installed, "--account", "acme/ads")
        program.process.kill()
        assert installed.finish(program.process)[0] == -signal.SIGKILL, "and holds no output open"
        assert program.is_gone()

    def test_what_ends_while_somebody_reads_its_output(self, installed: Installation) -> None:
        """The endpoint keeps no end of the program's pipes."""
        line = f"{sys.executable} -m connector exec --endpoint --account acme/ads -- yes | head -1"
        done = subprocess.run(
            ["/bin/bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
            cwd=installed.folder,
            env=installed.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stdout) == (128 + signal.SIGPIPE, "y\n")
        assert done.stderr == ""
