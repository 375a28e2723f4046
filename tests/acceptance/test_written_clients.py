"""The clients on the page about clients, as they stand there: shell, Node and Go."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.simulator import Settings, Simulator

from .forked import Nursery
from .installation import PATIENCE, Installation

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "clients.md").read_text()
SHELL, NODE, GO = "shell", "javascript", "go"
#: Building one the first time compiles what it needs of the standard library.
GO_PATIENCE = 300.0


def written(language: str) -> str:
    """Give the client in a language."""
    _, _, section = PAGE.partition("\n## Asking a daemon\n")
    (found,) = re.findall(rf"```{language}\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return str(found)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, nursery: Nursery) -> Iterator[Installation]:
    with (
        Simulator(Settings(access_token_lifetime=3600)) as simulator,
        Installation(tmp_path_factory.mktemp("clients"), simulator, nursery=nursery) as made,
    ):
        made.configure()
        made.connect("ads", "acme/facebook")
        made.serve()
        yield made


@pytest.fixture(scope="module")
def key(serving: Installation) -> str:
    scope = ("--accounts", "acme/*", "--scope", "token:read")
    return serving.run("keys", "create", "remote", *scope).stdout.strip()


@pytest.fixture(scope="module", params=[SHELL, NODE, GO])
def program(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[str]:
    """Give the command of a client."""
    language: str = request.param
    folder = tmp_path_factory.mktemp(language)
    tool = {SHELL: "curl", NODE: "node", GO: "go"}[language]
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed")
    source = folder / {SHELL: "client.sh", NODE: "client.mjs", GO: "client.go"}[language]
    source.write_text(written(language))
    if language == SHELL:
        return ["/bin/sh", "-eu", str(source)]
    if language == NODE:
        return [found, str(source)]
    binary = folder / "client"
    subprocess.run(
        [found, "build", "-o", binary, source],
        env=os.environ | {"GOCACHE": str(folder / "cache"), "GOPROXY": "off", "GO111MODULE": "off"},
        timeout=GO_PATIENCE,
        check=True,
    )
    return [str(binary)]


@pytest.mark.timeout(GO_PATIENCE + PATIENCE)
def test_each_gives_a_token(serving: Installation, program: list[str], key: str) -> None:
    token = serving.run("token", "acme/facebook").stdout

    def ask(**environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            program,
            cwd=serving.folder,
            env=serving.environment | environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    over_socket = ask(CONNECTOR_SOCKET="connector.sock")
    assert (over_socket.returncode, over_socket.stdout) == (0, token), over_socket.stderr
    url = f"http://127.0.0.1:{serving.port}"
    over_tcp = ask(CONNECTOR_URL=url, CONNECTOR_KEY=key)
    assert (over_tcp.returncode, over_tcp.stdout) == (0, token), over_tcp.stderr
    refused = ask(CONNECTOR_URL=url, CONNECTOR_KEY=f"{key[:-1]}-")
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert ask(CONNECTOR_SOCKET="none.sock").returncode != 0


def test_each_asks_the_endpoint_of_exec(serving: Installation, program: list[str]) -> None:
    token = serving.run("token", "acme/facebook").stdout
    done = serving.run("exec", "--endpoint", "--account", "acme/facebook", "--", *program)
    assert (done.returncode, done.stdout) == (0, token), done.stderr
