"""Programs that get tokens all the time while the vault's key is rotated; see test_vault_rotation.

    python -m tests.acceptance.rotation_readers daemon|own CONFIG SOCKET ACCOUNTS READERS SEED

``daemon``: threads ask the running daemon over its socket; ``own``: tasks ask a Connector of this
process. Each reader takes one account after the other at random, and now and then forces a refresh.
They go on until standard input ends; then one JSON document is printed.
"""

import asyncio
import json
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Final

from connector import Connector
from connector.client import Client

#: Seconds between two calls of one reader.
PAUSE: Final = 0.2
#: Of all calls, so many force a refresh.
FORCED: Final = 0.05
#: Every third account's token has ended when the readers begin.
ENDED: Final = 3
FAILURES_SHOWN: Final = 5


def account_name(number: int) -> str:
    """Name one of the accounts."""
    return f"acme/account-{number}"


@dataclass
class Heard:
    """What the readers of a process got; appending is safe from any thread.

    Attributes:
        reads: seconds that each call took for a token that had not ended.
        refreshes: how many calls forced a refresh or met a token that had ended.
        failures: what a caller would have seen.
    """

    reads: list[float] = field(default_factory=list)
    refreshes: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def report(self) -> dict[str, object]:
        """Give it short."""
        return {
            "calls": len(self.reads) + len(self.refreshes) + len(self.failures),
            "reads": len(self.reads),
            "refreshes": len(self.refreshes),
            "failed": len(self.failures),
            "failures": self.failures[:FAILURES_SHOWN],
            "read_ms": _percentiles(self.reads),
            "refresh_ms": _percentiles(self.refreshes),
        }


def _percentiles(seconds: list[float]) -> dict[str, float]:
    """Give median, 99th of a hundred and maximum, in milliseconds."""
    if len(seconds) < 2:
        return {}
    hundredths = quantiles(seconds, n=100, method="inclusive")
    named = {"p50": hundredths[49], "p99": hundredths[98], "max": max(seconds)}
    return {name: round(1000 * value, 1) for name, value in named.items()}


class Wishes:
    """What one reader asks for next."""

    def __init__(self, accounts: int, seed: int) -> None:
        self._accounts = accounts
        self._chance = random.Random(seed)  # noqa: S311 - whom to ask for

    def next(self) -> tuple[str, bool, bool]:
        """Give an account, whether a refresh is forced, and whether its token had ended."""
        number = self._chance.randrange(self._accounts)
        is_forced = self._chance.random() < FORCED
        return account_name(number), is_forced, number % ENDED == 0

    def pause(self) -> float:
        return PAUSE * self._chance.uniform(0.5, 1.5)


def ask_daemon(socket: str, wishes: Wishes, is_over: threading.Event, heard: Heard) -> None:
    """Ask the daemon from a thread until it is over."""
    with Client(socket) as client:
        while not is_over.wait(wishes.pause()):
            account, is_forced, had_ended = wishes.next()
            began = time.perf_counter()
            try:
                token = client.refresh(account) if is_forced else client.get_token(account)
                assert token.value
            except Exception as error:  # noqa: BLE001 - whatever a caller would see is reported
                heard.failures.append(f"{account}: {error!r}")
            else:
                took = time.perf_counter() - began
                (heard.refreshes if is_forced or had_ended else heard.reads).append(took)


async def ask_own(config: str, everybody: list[Wishes], heard: Heard) -> None:
    """Ask a Connector of this process, from tasks, until standard input ends."""
    is_over = asyncio.Event()
    async with Connector.open_async(config) as connector:

        async def one(wishes: Wishes) -> None:
            while not is_over.is_set():
                await asyncio.sleep(wishes.pause())
                account, is_forced, had_ended = wishes.next()
                began = time.perf_counter()
                try:
                    if is_forced:
                        await connector._opened().tokens.refresh(account)
                    else:
                        await connector.get_token(account)
                except Exception as error:  # noqa: BLE001 - as in a thread
                    heard.failures.append(f"{account}: {error!r}")
                else:
                    took = time.perf_counter() - began
                    (heard.refreshes if is_forced or had_ended else heard.reads).append(took)

        say("ready")
        tasks = [asyncio.create_task(one(wishes)) for wishes in everybody]
        await asyncio.to_thread(sys.stdin.read)
        is_over.set()
        await asyncio.gather(*tasks)


def say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main(kind: str, config: str, socket: str, accounts: int, readers: int, seed: int) -> None:
    """Run the readers of one process."""
    heard = Heard()
    everybody = [Wishes(accounts, seed + number) for number in range(readers)]
    if kind == "own":
        asyncio.run(ask_own(config, everybody, heard))
    else:
        is_over = threading.Event()
        threads = [
            threading.Thread(target=ask_daemon, args=(socket, wishes, is_over, heard))
            for wishes in everybody
        ]
        for thread in threads:
            thread.start()
        say("ready")
        sys.stdin.read()
        is_over.set()
        for thread in threads:
            thread.join()
    say(heard.report())


if __name__ == "__main__":
    _kind, _config, _socket, *_numbers = sys.argv[1:]
    main(_kind, _config, _socket, *map(int, _numbers))
