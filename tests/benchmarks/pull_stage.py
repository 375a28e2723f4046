"""Where pulls are measured: the API that is pulled from, accounts with tokens, and a stopwatch."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx2

from connector import Connector
from connector.simulator import Settings, Simulator
from tests.acceptance.installation import Installation
from tests.benchmarks.pull_server import PAGE

HERE: Final = Path(__file__).parent
#: A round that takes longer than this is ended (seconds); the longest is one of millions of pages.
PATIENCE: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What one round took.

    Attributes:
        seconds: from the start of its process to its end.
        net: from the first page that it asked for to its end (seconds).
        cpu: processor time of all its processes (seconds).
        peak: of memory of the largest of its processes (MiB).
    """

    seconds: float
    net: float
    cpu: float
    peak: float


class Api:
    """The API in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.pull_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.origin = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._control = httpx2.Client(base_url=self.origin)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()
        self._process.communicate()

    def permit(self, token: str) -> None:
        """Let a token be good from now on."""
        self._control.get(f"/_permit/{token}").raise_for_status()

    def begin(self) -> None:
        """Count anew what is asked for."""
        self._control.get("/_begin").raise_for_status()

    def told(self) -> dict[str, float]:
        """Give how many pages were asked for since it began, and when the first and the last."""
        told: dict[str, float] = self._control.get("/_told").raise_for_status().json()
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All that a round needs.

    Attributes:
        folder: for whatever is written.
        api: that is pulled from.
        installation: of Connector, whose provider has that API.
        tokens: access tokens by the names of accounts.
        pages: of a whole pull.
    """

    folder: Path
    api: Api
    installation: Installation
    tokens: dict[str, str] = field(repr=False)
    pages: int

    def url(self, *, latency: int = 0, pages: int | None = None) -> str:
        """Give the URL of records.

        Args:
            latency: of each page (ms).
            pages: how many there are.
        """
        return f"{self.api.origin}/{latency}/{pages or self.pages}/records"

    def declared(self, url: str | None = None) -> str:
        """Give the lines of a job that pulls what ``pull_jobs`` does, without code.

        Args:
            url: of records; None: a whole pull's.
        """
        path = (url or self.url()).removeprefix(f"{self.api.origin}/")
        paging = '{ kind = "cursor", next = "after", param = "after" }'
        return f'request = {{ url = "{path}", records = "data", pagination = {paging} }}'

    @property
    def token(self) -> str:
        """An access token that is good for the API."""
        return next(iter(self.tokens.values()))

    def configure(self, jobs: Mapping[str, str]) -> None:
        """Write the configuration with some jobs.

        Args:
            jobs: the body of each one's table by its name.
        """
        simulator = self.installation.simulator
        provider = f"""
            [providers.ads]
            issuer = "{simulator.issuer}"
            client_id = "{simulator.client.client_id}"
            client_secret = "file:ads.secret"
            scopes = ["ads_read"]
            api_origins = ["{self.api.origin}"]
            api = {{ base_url = "{self.api.origin}/" }}
            """
        tables = "".join(f"\n[jobs.{name}]\n{body}\n" for name, body in jobs.items())
        self.installation.configure(tables, providers=provider)

    def take_time(
        self, command: Sequence[str], *, environment: Mapping[str, str], records: int
    ) -> Took:
        """Run a command in the installation's folder and tell what it took.

        Args:
            command: with its arguments.
            environment: besides the installation's own.
            records: it has to ask for as many, once each.
        """
        out, err = self.folder / "stdout", self.folder / "stderr"
        self.api.begin()
        launcher = [sys.executable, "-I", "-S", str(HERE / "measured.py")]
        done = subprocess.run(
            [*launcher, str(PATIENCE), str(out), str(err), *command],
            cwd=self.installation.folder,
            env={**self.installation.environment, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        took = json.loads(done.stdout)
        assert took["status"] == 0, f"{command}: {took['status']}\n{err.read_text()[-4000:]}"
        told = self.api.told()
        assert told["count"] * PAGE == records, f"{command}: {told['count']} pages were asked for"
        return Took(
            seconds=took["ended"] - took["began"],
            net=took["ended"] - told["first"],
            cpu=took["cpu"],
            peak=took["peak"],
        )


@contextmanager
def set_up(folder: Path, *, pages: int, accounts: int) -> Iterator[Stage]:
    """Start what is needed and connect accounts, each with a token that is good for a week."""
    with ExitStack() as stack:
        settings = Settings(access_token_lifetime=7 * 86_400)
        simulator = stack.enter_context(Simulator(settings))
        home = folder / "connector"
        home.mkdir()
        installation = stack.enter_context(Installation(home, simulator))
        shutil.copy(HERE / "pull_jobs.py", home)
        api = stack.enter_context(Api())
        stage = Stage(folder=folder, api=api, installation=installation, tokens={}, pages=pages)
        stage.configure({})
        names = [f"acme/a{number}" for number in range(accounts)]
        stage.tokens.update(_connect(installation, simulator, names))
        for token in stage.tokens.values():
            api.permit(token)
        yield stage


def _connect(
    installation: Installation, simulator: Simulator, names: Sequence[str]
) -> dict[str, str]:
    """Bring grants that another program had; give the access token of each account."""
    lines = [
        f"{name},{simulator.grant('ada', scope='ads_read')['refresh_token']}" for name in names
    ]
    text = "\n".join(["account,refresh_token", *lines, ""])
    assert installation.run("init").returncode == 0
    done = installation.run("accounts", "import", "-", "--provider", "ads", input_text=text)
    assert done.returncode == 0, done.stderr
    with Connector.open(installation.folder / "config.toml") as connector:
        return {name: connector.get_token(name).value for name in names}
