"""Other processes for the tests: each does what it is told when it is told to go.

A worker is ``python -m tests.store.worker``. It reads an order, gets ready, waits for the word, and
answers with what the order gave, all in lines of JSON. `Crew` has several of them, kept between
tests since starting one takes half a second.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[2]


class Worker:
    """One process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def order(self, scenario: str, **arguments: object) -> None:
        """Say what to do; it does not begin before `go`."""
        self._tell({"scenario": scenario, "arguments": arguments})

    def wait_until_ready(self) -> None:
        answer = self._hear()
        assert answer == "ready", answer

    def go(self) -> None:
        self._tell("go")

    def result(self) -> Any:
        answer = self._hear()
        assert "failure" not in answer, answer["failure"]
        return answer["result"]

    def kill(self) -> None:
        """End it without a word, as a crash would."""
        self._process.kill()
        self._process.wait()

    def wait_until_dead(self) -> None:
        """Wait for one that was told to kill itself."""
        assert self._process.wait(timeout=30) < 0, "it was not killed"

    def close(self) -> None:
        with self._process as process:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _tell(self, message: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the worker has died"
        return json.loads(line)


class Crew:
    """Several processes that begin at the same moment."""

    def __init__(self, size: int) -> None:
        self._workers = [Worker() for _ in range(size)]

    def run(self, scenario: str, arguments: Sequence[dict[str, object]]) -> list[Any]:
        """Run a scenario once for each of the arguments, all at once."""
        workers = self._workers[: len(arguments)]
        assert len(workers) == len(arguments), "too few workers"
        for worker, own in zip(workers, arguments, strict=True):
            worker.order(scenario, **own)
        for worker in workers:
            worker.wait_until_ready()
        for worker in workers:
            worker.go()
        return [worker.result() for worker in workers]

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


@contextmanager
def crew(size: int) -> Iterator[Crew]:
    """Give several processes for a while."""
    workers = Crew(size)
    try:
        yield workers
    finally:
        workers.close()


def _main() -> None:
    from tests.store.scenarios import SCENARIOS

    def say(message: object) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    async def go() -> None:
        say("ready")
        sys.stdin.readline()  # everything waits here, on purpose

    for line in sys.stdin:
        order = json.loads(line)
        try:
            result = asyncio.run(SCENARIOS[order["scenario"]](go, **order["arguments"]))
        except Exception:  # noqa: BLE001 - the test tells of it
            say({"failure": traceback.format_exc()})
        else:
            say({"result": result})


if __name__ == "__main__":
    _main()
