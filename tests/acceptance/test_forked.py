"""A command that is forked does what one that is started does."""

import os
import signal
import subprocess

import pytest

from .forked import Forked
from .installation import Installation

pytestmark = pytest.mark.traced


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("accounts", "--json"),
        ("token", "acme/nobody"),
        ("connect", "--no-such-option"),
        ("vault", "import", "-"),
    ],
    ids=" ".join,
)
def test_it_ends_and_prints_as_one_that_is_started(
    installation: Installation, arguments: tuple[str, ...]
) -> None:
    forked = installation.run(*arguments, input_text="no export\n")
    installation.nursery = None
    started = installation.run(*arguments, input_text="no export\n")
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        started.returncode,
        started.stdout,
        started.stderr,
    )
    assert forked.stdout or forked.stderr


def test_it_is_a_process_of_its_own(installation: Installation) -> None:
    installation.connect("ads", "acme/ads")
    daemon = installation.serve()
    assert isinstance(daemon, Forked)
    assert daemon.poll() is None
    assert daemon.pid not in {os.getpid(), os.getppid()}
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.wait(0.01)
    os.kill(daemon.pid, signal.SIGKILL)
    status, _, _ = installation.finish(daemon)
    assert status == -signal.SIGKILL


def test_another_setting_of_python_has_a_program_started(installation: Installation) -> None:
    assert installation.nursery is not None
    assert installation.nursery.can_run(installation.environment | {"CONNECTOR_DEBUG": "1"})
    assert not installation.nursery.can_run(installation.environment | {"PYTHONUTF8": "0"})
