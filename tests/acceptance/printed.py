"""An example in a folder of its own, and the commands that its README prints.

Only the ports are others than those that are written there.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from connector.simulator import Settings, Simulator
from connector.simulator.faults import fault_from_json
from connector.simulator.options import changed, from_text

from .forked import Nursery
from .installation import PATIENCE, Installation, free_port

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
#: The ports that the examples are written with.
SIMULATOR_PORT: Final = "8480"
DAEMON_PORT: Final = "8470"


class Example:
    """An example in a folder of its own, and the terminal in which its commands are typed.

    Attributes:
        simulator: started as the README says.
        commands: that the README prints for the other terminal, in their order.
    """

    def __init__(self, installation: Installation, commands: Sequence[str]) -> None:
        self.installation = installation
        self.simulator = installation.simulator
        self.folder = installation.folder
        self.commands = commands

    def type(self, command: str) -> str:
        """Type a line; gives its standard output."""
        words = shlex.split(command, comments=True)
        match words:
            case ["export", assignment]:
                name, _, value = assignment.partition("=")
                self.installation.environment[name] = value
                return ""
            case ["connector", "connect", provider, "--account", account]:
                self.installation.connect(provider, account)
                return ""
            case ["connector", "serve"]:
                status, _, err = self.installation.stop(self.installation.serve())
                assert status == 0, err
                return ""
            case ["connector", *arguments]:
                return self._ended(self.installation.run(*arguments))
        return self.shell(command)

    def shell(self, command: str, environment: Mapping[str, str] | None = None) -> str:
        """Have a shell run a line; gives its standard output."""
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=self.installation.environment if environment is None else environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return self._ended(done)

    def type_all(self) -> list[str]:
        """Type every command; gives what each wrote."""
        return [self.type(command) for command in self.commands]

    def expected(self, api: str, **bounds: str) -> list[dict[str, Any]]:
        """Give what a complete pull has to bring."""
        return self.simulator.apis.expected_records(api, **bounds)

    def _ended(self, done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 0, (done.args, done.stdout, done.stderr)
        return done.stdout


def blocks(readme: str) -> list[list[str]]:
    """Give the commands that a README prints for the simulator, block by block."""
    _, _, section = readme.partition("\n## Against the simulator")
    found = re.findall(r"```shell\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    return [block.strip().splitlines() for block in found]


def simulator_of(command: str, port: int) -> Simulator:
    """Give the simulator that a command starts."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "connector.simulator"], command
    options = list(zip(words[3::2], words[4::2], strict=True))
    named = {name.removeprefix("--").replace("-", "_"): text for name, text in options}
    fault = named.pop("fault", None)
    settings = changed(Settings(), {name: from_text(name, text) for name, text in named.items()})
    simulator = Simulator(settings, port=port)
    if fault is not None:
        simulator.faults.add(fault_from_json(json.loads(fault)))
    return simulator


@contextmanager
def example(name: str, folder: Path, nursery: Nursery) -> Iterator[Example]:
    """Copy an example, and start its simulator."""
    readme = (EXAMPLES / name / "README.md").read_text()
    (started, *_), *others = blocks(readme)
    copy = folder / name
    shutil.copytree(EXAMPLES / name, copy)
    ports = {SIMULATOR_PORT: str(free_port()), DAEMON_PORT: str(free_port())}
    for file in copy.rglob("*"):
        if file.is_file():
            file.write_text(replaced(file.read_text(), ports))
    commands = [replaced(line, ports) for block in others for line in block]
    with (
        simulator_of(started, int(ports[SIMULATOR_PORT])) as simulator,
        Installation(copy, simulator, nursery=nursery) as installation,
    ):
        path = installation.environment["PATH"]
        installation.environment["PATH"] = f"{Path(sys.executable).parent}:{path}"
        yield Example(installation, commands)


def replaced(text: str, ports: Mapping[str, str]) -> str:
    """Give a text with other ports."""
    for written, free in ports.items():
        text = text.replace(written, free)
    return text
