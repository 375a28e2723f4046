"""Tries mutations on copies of the tree, and tells which test has noticed."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

from tests.mutations.mutation import ROOT, Mutation

#: What the tests need of the tree.
COPIED: Final = ("connector", "tests", "examples", "docs", "pyproject.toml", "README.md")
#: Seconds; what takes longer hangs, and counts as noticed.
LONGEST: Final = 400.0
SURVIVED: Final = "SURVIVED"
HUNG: Final = "the tests hang"
BROKEN: Final = "its tests cannot be run"
_COUNT: Final = itertools.count()
_RED: Final = re.compile(r"^(?:FAILED|ERROR) (\S+?\.py)(?:::(.*?))?(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What has become of a mutation.

    Attributes:
        mutation: which.
        red: the first test that went red; `SURVIVED` where none did.
        seconds: that it took.
    """

    mutation: Mutation
    red: str
    seconds: float


def run(
    mutations: Sequence[Mutation],
    *,
    jobs: int,
    tell: Callable[[Outcome], None],
    now: Callable[[], float],
) -> list[Outcome]:
    """Try mutations, and tell of each as it is done; give the outcomes in the order given.

    Args:
        mutations: to be tried.
        jobs: how many at once.
        tell: hears of each outcome.
        now: gives seconds that never go back.

    Raises:
        MutationError: one does not fit the code.
    """
    for mutation in mutations:
        mutation.check()
    with _copies(jobs) as copies:
        one_at_a_time = threading.Lock()

        def work(mutation: Mutation) -> Outcome:
            copy = copies.get()
            began = now()
            try:
                red = _try(copy, mutation)
            finally:
                copies.put(copy)
            outcome = Outcome(mutation=mutation, red=red, seconds=now() - began)
            with one_at_a_time:
                tell(outcome)
            return outcome

        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(work, mutations))


@contextmanager
def _copies(count: int) -> Iterator["SimpleQueue[Path]"]:
    """Make copies of the tree, to be taken and put back."""
    copies: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="connector-mutations-") as folder:
        for number in range(count):
            copy = Path(folder) / str(number)
            copy.mkdir()
            for name in COPIED:
                if (ROOT / name).is_dir():
                    shutil.copytree(
                        ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__")
                    )
                else:
                    shutil.copy2(ROOT / name, copy / name)
            copies.put(copy)
        yield copies


def _try(copy: Path, mutation: Mutation) -> str:
    """Run a mutation's tests on a copy; give the first red one."""
    module = copy / mutation.path
    text, status = module.read_text(), module.stat()
    module.write_text(mutation.applied(text))
    # no two texts of a module have one time: bytecode is taken for that of its text by the second
    os.utime(module, (status.st_atime, status.st_mtime + 2 + 2 * next(_COUNT)))
    try:
        return _first_red(copy, mutation)
    finally:
        module.write_text(text)
        os.utime(module, (status.st_atime, status.st_mtime))


def _first_red(copy: Path, mutation: Mutation) -> str:
    command = (sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider")
    environment = {"PYTHONPATH": str(copy)}
    with subprocess.Popen(
        (*command, *mutation.tests),
        cwd=copy,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return HUNG
    if process.returncode == 0:
        return SURVIVED
    found = _RED.search(said)
    if process.returncode != 1 or found is None:
        return f"{BROKEN}: {said[-2000:]}"
    path, test = found.groups()
    return f"{path}::{test}" if test else path
