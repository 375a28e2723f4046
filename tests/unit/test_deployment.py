"""What operators copy: units, images and their configurations say what is intended, and no more."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import click
import pytest

from connector.cli.main import COMMANDS, connector
from connector.secret import SecretReference
from connector.settings import Settings, load_settings

ROOT: Final = Path(__file__).parents[2]
SYSTEMD: Final = ROOT / "examples" / "deployment" / "systemd"
CONTAINER: Final = ROOT / "examples" / "deployment" / "container"
UNIT: Final = SYSTEMD / "connector.service"
WORKER: Final = SYSTEMD / "connector-worker.service"
#: The configurations that are copied.
CONFIGS: Final = {
    "systemd": SYSTEMD / "config.toml",
    "systemd, several hosts": SYSTEMD / "postgres.toml",
    "container": CONTAINER / "config.toml",
}

#: Directives of the service that are simply on.
ON: Final = """
    NoNewPrivileges LockPersonality MemoryDenyWriteExecute PrivateDevices PrivateTmp ProtectClock
    ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
    ProtectKernelTunables RemoveIPC RestrictNamespaces RestrictRealtime RestrictSUIDSGID
"""
#: Each other directive of the service, with its values; a new one is meant, or it is not there.
SERVICE: Final = {
    "Type": ["notify-reload"],
    "NotifyAccess": ["main"],
    "ExecStart": ["/opt/connector/bin/connector serve --log-format json"],
    "Environment": ["CONNECTOR_CONFIG=/etc/connector/config.toml"],
    "User": ["connector"],
    "Group": ["connector"],
    "UMask": ["0077"],
    "StateDirectory": ["connector"],
    "StateDirectoryMode": ["0700"],
    "RuntimeDirectory": ["connector"],
    "RuntimeDirectoryMode": ["0700"],
    "WatchdogSec": ["60"],
    "Restart": ["on-failure"],
    "RestartSec": ["2"],
    "OOMPolicy": ["continue"],
    "RestartPreventExitStatus": ["2 5"],
    "TimeoutStartSec": ["90"],
    "TimeoutStopSec": ["90"],
    "LimitCORE": ["0"],
    "LimitNOFILE": ["16384"],
    "CapabilityBoundingSet": [""],
    "AmbientCapabilities": [""],
    "KeyringMode": ["private"],
    "ProtectProc": ["invisible"],
    "ProtectSystem": ["strict"],
    "RestrictAddressFamilies": ["AF_UNIX AF_INET AF_INET6"],
    "SystemCallArchitectures": ["native"],
    "SystemCallFilter": ["@system-service", "~@privileged"],
    "SystemCallErrorNumber": ["EPERM"],
}
#: A worker's is the same but for these: it has no socket, so that its end may take no folder away.
WORKER_SERVICE: Final = {
    name: values for name, values in SERVICE.items() if not name.startswith("RuntimeDirectory")
} | {"ExecStart": ["/opt/connector/bin/connector worker --log-format json"]}
#: Each unit, and what is meant.
UNITS: Final = {UNIT: SERVICE, WORKER: WORKER_SERVICE}


def section(name: str, path: Path = UNIT) -> dict[str, list[str]]:
    """Give the directives of a section of a unit (systemd.syntax(7)), all values of each."""
    found: dict[str, list[str]] = {}
    current = ""
    for line in path.read_text().splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif current == name and line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    path = shutil.which(program)
    assert path is not None
    return subprocess.run([path, *arguments], capture_output=True, text=True, check=False)


def settings_of(kind: str, folder: Path) -> Settings:
    shutil.copy(CONFIGS[kind], folder / "config.toml")
    return load_settings(folder / "config.toml")


def credentials_of(path: Path) -> set[str]:
    """Give the names of the credentials that a unit loads."""
    return {one.partition(":")[0] for one in section("Service", path)["LoadCredentialEncrypted"]}


@pytest.fixture(params=UNITS, ids=lambda path: path.stem)
def unit(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


class TestUnit:
    def test_every_directive_is_meant(self, unit: Path) -> None:
        found = section("Service", unit)
        del found["LoadCredentialEncrypted"]
        assert found == UNITS[unit] | {name: ["yes"] for name in ON.split()}
        others = {name: section(name, unit) for name in ("Unit", "Install")}
        assert others["Install"] == {"WantedBy": ["multi-user.target"]}
        assert set(others["Unit"]) == {"Description", "Wants", "After", "ConditionPathExists"}

    def test_it_starts_a_command_that_is_there(self, unit: Path) -> None:
        program, command, *options = section("Service", unit)["ExecStart"][0].split()
        assert program == "/opt/connector/bin/connector"
        found = connector.get_command(click.Context(connector), command)
        assert found is not None
        known = {name for one in found.params for name in one.opts}
        assert {option for option in options if option.startswith("--")} <= known

    def test_exit_statuses_that_a_restart_does_not_heal(self, unit: Path) -> None:
        """Those of the errors that say so of themselves."""
        from connector.errors import ConfigurationError, TemporarilyUnavailable, VaultSealed

        never = set(map(int, section("Service", unit)["RestartPreventExitStatus"][0].split()))
        assert {ConfigurationError.exit_code, VaultSealed.exit_code} == never
        assert TemporarilyUnavailable.exit_code not in never

    def test_the_stop_leaves_time_for_what_is_under_way(self, unit: Path) -> None:
        from connector.consent.consents import DRAIN_TIME as CONSENTS
        from connector.token_source.flights import DRAIN_TIME as REFRESHES
        from connector.web.server import SHUTDOWN_TIME

        needed = max(CONSENTS, REFRESHES) + 2 * SHUTDOWN_TIME
        assert int(section("Service", unit)["TimeoutStopSec"][0]) > needed + 10

    def test_the_credentials_that_the_configuration_names_are_loaded(self, tmp_path: Path) -> None:
        settings = settings_of("systemd", tmp_path)
        wanted = {settings.vault.seal_name}
        for registration in settings.registrations.values():
            assert registration.client_secret is not None
            assert registration.client_secret.kind == "credential"
            wanted.add(registration.client_secret.name)
        loaded = credentials_of(UNIT)
        assert wanted <= loaded
        script = (SYSTEMD / "connector-admin").read_text()
        assert set(re.findall(r"LoadCredentialEncrypted=([\w-]+):", script)) == loaded

    def test_a_worker_is_given_all_that_the_configuration_of_several_hosts_names(
        self, tmp_path: Path
    ) -> None:
        settings = settings_of("systemd, several hosts", tmp_path)
        assert str(settings.vault.url).startswith("postgresql://")
        assert isinstance(settings.vault.password, SecretReference)
        secrets = [one.client_secret for one in settings.registrations.values()]
        wanted = {settings.vault.seal_name, settings.vault.password.name}
        wanted |= {secret.name for secret in secrets if secret is not None}
        assert credentials_of(WORKER) == wanted
        assert credentials_of(WORKER) - credentials_of(UNIT) == {settings.vault.password.name}
        assert settings.vault.journal.parent == Path("/var/lib/connector")
        assert settings.daemon.socket == Path("/run/connector/connector.sock")
        one = settings_of("systemd", tmp_path)
        assert settings.providers == one.providers, "it differs by its vault alone"

    def test_what_is_written_lies_where_the_unit_lets_it(self, tmp_path: Path) -> None:
        settings = settings_of("systemd", tmp_path)
        assert settings.vault.url == "sqlite:////var/lib/connector/vault.db"
        assert settings.vault.journal.parent == Path("/var/lib/connector")
        assert settings.daemon.socket == Path("/run/connector/connector.sock")

    def test_the_script_is_one(self) -> None:
        script = SYSTEMD / "connector-admin"
        assert script.stat().st_mode & 0o111
        assert run("sh", "-n", str(script)).returncode == 0

    @pytest.mark.parametrize("is_older", [True, False])
    @pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd here")
    def test_systemd_takes_it(self, tmp_path: Path, unit: Path, *, is_older: bool) -> None:
        version = run("systemd-analyze", "--version").stdout.split()[1]
        text = unit.read_text().replace("/opt/connector/bin/connector", "/bin/true")
        if is_older:
            (tmp_path / f"{unit.name}.d").mkdir()
            shutil.copy(SYSTEMD / "older-systemd.conf", tmp_path / f"{unit.name}.d")
        elif not version.isdecimal() or int(version) < 253:
            pytest.skip("systemd here knows no notify-reload")
        copied = tmp_path / unit.name
        copied.write_text(text.replace("notify-reload", "notify") if is_older else text)
        verified = run("systemd-analyze", "verify", str(copied))
        assert (verified.returncode, verified.stderr) == (0, "")
        options = "--offline=true", "--threshold=16"
        secure = run("systemd-analyze", "security", *options, str(copied))
        assert secure.returncode == 0, secure.stdout

    @pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
    def test_nothing_needs_memory_that_is_written_and_run(self) -> None:
        """MemoryDenyWriteExecute: all that a daemon imports, and the ciphers that it uses."""
        code = (
            "import ctypes, os, sys\n"
            "deny, refuse = 65, 1  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN (prctl(2))\n"
            "if ctypes.CDLL(None).prctl(deny, refuse, 0, 0, 0): sys.exit(77)\n"
            "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])\n"
        )
        work = (
            "import connector.daemon, connector.web.app, connector.jobs.destinations.sqlite, mmap\n"
            "from cryptography.hazmat.primitives.ciphers.aead import AESGCM\n"
            "from connector.oauth.wire import make_transport\n"
            "make_transport()\n"
            "AESGCM(bytes(32)).encrypt(bytes(12), b'x', b'')\n"
            "both = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC\n"
            "try:\n    mmap.mmap(-1, 4096, prot=both)\n"
            "except PermissionError:\n    print('held')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, work], capture_output=True, text=True, check=False
        )
        if done.returncode == 77:
            pytest.skip("the kernel does not know it")
        assert (done.stdout, done.returncode) == ("held\n", 0), done.stderr


def instructions() -> list[tuple[str, str]]:
    """Give the instructions of the Containerfile, lines that go on joined."""
    text = (CONTAINER / "Containerfile").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, " ".join(rest.split()))
        for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)
    ]


class TestImage:
    def test_only_instructions_that_are_meant(self) -> None:
        known = "FROM RUN COPY ENV USER VOLUME STOPSIGNAL HEALTHCHECK ENTRYPOINT CMD".split()  # noqa: SIM905
        assert {name for name, _ in instructions()} == set(known)

    def test_its_bases_come_from_no_other_host(self) -> None:
        bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
        assert len(bases) == 2, "what builds stays behind"
        assert all(re.fullmatch(r"python:3\.\d+-slim", base) for base in bases)

    def test_what_is_installed_is_pinned_by_its_hashes(self) -> None:
        commands = [rest for name, rest in instructions() if name == "RUN"]
        installs = [
            one for line in commands for one in line.split("&&") if "pip" in shlex.split(one)
        ]
        assert len(installs) == 2
        locked, own = map(shlex.split, installs)
        assert {"--require-hashes", "--no-deps"} <= set(locked)
        assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(own)
        assert not any(re.search(r"https?://|apt-get|curl|wget", line) for line in commands)

    def test_what_it_copies_is_there(self) -> None:
        for name, rest in instructions():
            if name == "COPY" and not rest.startswith("--from="):
                for source in rest.split()[:-1]:
                    assert (ROOT / source).exists(), source

    def test_it_runs_as_nobody_in_particular(self) -> None:
        order = [name for name, _ in instructions()]
        user = dict(instructions())["USER"]
        assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user)
        assert order.index("USER") > max(n for n, name in enumerate(order) if name == "RUN")

    def test_it_is_started_and_asked_by_commands_that_are_there(self) -> None:
        found = dict(instructions())
        assert found["ENTRYPOINT"] == '["connector"]'
        assert found["CMD"] == '["serve", "--log-format", "json"]'
        _, _, asked = found["HEALTHCHECK"].partition("CMD ")
        assert asked == '["connector", "ready"]'
        assert {"serve", "ready"} <= set(COMMANDS)
        assert found["STOPSIGNAL"] == "SIGTERM"

    def test_no_secret_is_in_it(self) -> None:
        for name, rest in instructions():
            if name == "ENV":
                assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN", rest)


@pytest.fixture
def compose() -> Any:
    return importlib.import_module("yaml").safe_load((CONTAINER / "compose.yaml").read_text())


class TestCompose:
    def test_the_daemon_is_shut_in(self, compose: Any) -> None:
        daemon = compose["services"]["connector"]
        assert daemon["read_only"] is True
        assert daemon["cap_drop"] == ["ALL"]
        assert daemon["security_opt"] == ["no-new-privileges:true"]
        assert daemon["ulimits"] == {"core": 0}
        assert daemon["init"] is True, "what runs leave behind is reaped"
        assert int(daemon["stop_grace_period"].rstrip("s")) >= 90
        assert "privileged" not in daemon
        assert "user" not in daemon, "the image's own"

    def test_images_come_from_no_other_host_and_have_a_version(self, compose: Any) -> None:
        images = [one["image"] for name, one in compose["services"].items() if name != "connector"]
        assert all(re.fullmatch(r"[a-z]+:\d[\w.-]*", image) for image in images), images

    def test_secrets_and_volumes_are_those_that_the_configuration_names(
        self, compose: Any, tmp_path: Path
    ) -> None:
        settings = settings_of("container", tmp_path)
        password = settings.vault.password
        assert isinstance(password, SecretReference)
        named = {settings.vault.seal_name, password.name}
        named |= {
            one.client_secret.name for one in settings.registrations.values() if one.client_secret
        }
        daemon = compose["services"]["connector"]
        assert named == {f"/run/secrets/{name}" for name in daemon["secrets"]}
        assert set(daemon["secrets"]) <= set(compose["secrets"])
        mounted = {volume.split(":")[1] for volume in daemon["volumes"]}
        assert settings.daemon.socket is not None
        assert {str(settings.vault.journal.parent), str(settings.daemon.socket.parent)} <= mounted

    def test_nobody_reaches_the_daemon_but_through_the_proxy(self, compose: Any) -> None:
        assert compose["services"]["proxy"]["network_mode"] == "service:connector"
        assert compose["services"]["connector"]["ports"] == ["443:443"]
        assert "ports" not in compose["services"]["database"]
        address = (CONTAINER / "Caddyfile").read_text()
        assert "reverse_proxy 127.0.0.1:8470" in address


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_public_address_is_that_of_the_redirect_uris(kind: str, tmp_path: Path) -> None:
    settings = settings_of(kind, tmp_path)
    for provider in settings.providers.values():
        assert provider.redirect_uri.startswith(f"{settings.daemon.public_url}/")
