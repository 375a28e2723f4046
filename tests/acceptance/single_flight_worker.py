"""Programs that ask for tokens, for test_single_flight and test_killed_workers.

    callers CONFIG ACCOUNT SECONDS PROCESSES   in each process 50 threads and 50 tasks ask, all from
                                               the end of standard input on, once or for so long
    rotate CONFIG ACCOUNT…                     a worker for each line of standard input; it keeps
                                               every account's token fresh until it is killed, and
                                               tells when an answer has become durable

Processes are forked before anything is opened, so that each has its imports behind it. Each line
printed is a JSON document.
"""

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connector import AccessToken, Connector
from connector.account import Account
from connector.connector import AsyncConnector
from connector.errors import ConnectorError
from connector.oauth.token_response import Granted
from connector.providers.client import ProviderClient
from connector.secret import Secret
from connector.simulator.opaque import fingerprint
from connector.token_source.settlement import Settlement

CALLERS = 50
#: Seconds between two calls of one caller: many calls in the life of a token, little load.
PAUSE = 0.25
#: Of each process: a line on a pipe stays whole up to 4 KiB.
FAILURES_SHOWN = 3


@dataclass
class Heard:
    """What the callers of one process got; appending is safe from any thread."""

    tokens: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def note(self, token: AccessToken, asked_at: datetime) -> None:
        """Note a token; one that had ended before it was asked for is a failure."""
        self.tokens.append(token.value)
        if token.expires_at is None or token.expires_at <= asked_at:
            self.failures.append(f"asked for at {asked_at}: {token!r}")

    def report(self) -> dict[str, object]:
        """Give it short enough for a line."""
        return {
            "answers": len(self.tokens),
            "tokens": sorted(set(self.tokens)),
            "failed": len(self.failures),
            "failures": self.failures[:FAILURES_SHOWN],
        }


def in_thread(
    connector: Connector, account: str, seconds: float, begun: threading.Event, heard: Heard
) -> None:
    """Ask from a thread, as soon as all may."""
    begun.wait()
    ends_at = time.monotonic() + seconds
    while True:
        asked_at = datetime.now(UTC)
        try:
            heard.note(connector.get_token(account), asked_at)
        except Exception as error:  # noqa: BLE001 - whatever a caller would see is reported
            heard.failures.append(repr(error))
        if time.monotonic() >= ends_at:
            return
        time.sleep(PAUSE)


async def in_task(connector: AsyncConnector, account: str, seconds: float, heard: Heard) -> None:
    """Ask from a task."""
    ends_at = time.monotonic() + seconds
    while True:
        asked_at = datetime.now(UTC)
        try:
            heard.note(await connector.get_token(account), asked_at)
        except Exception as error:  # noqa: BLE001 - as in a thread
            heard.failures.append(repr(error))
        if time.monotonic() >= ends_at:
            return
        await asyncio.sleep(PAUSE)


async def ask(config: str, account: str, seconds: float) -> None:
    """Let threads share one Connector and tasks another, as a program would."""
    heard, begun = Heard(), threading.Event()
    with Connector.open(config) as connector:
        threads = [
            threading.Thread(target=in_thread, args=(connector, account, seconds, begun, heard))
            for _ in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        async with Connector.open_async(config) as asynchronous:
            say("ready")
            await asyncio.to_thread(os.read, sys.stdin.fileno(), 1)
            begun.set()
            tasks = (in_task(asynchronous, account, seconds, heard) for _ in range(CALLERS))
            await asyncio.gather(*tasks)
            for thread in threads:
                await asyncio.to_thread(thread.join)
    say(heard.report())


def callers(config: str, account: str, seconds: float, processes: int) -> None:
    """Have processes ask, and see that each ends well."""
    children = []
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            asyncio.run(ask(config, account, seconds))
            os._exit(0)
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    assert statuses == [0] * processes, statuses


def rotate(config: str, accounts: list[str]) -> None:
    """Fork workers, so that each has its imports behind it; tell of each when it has begun."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel clears away who was killed
    tell_what_is_durable()
    for _line in sys.stdin:
        if os.fork() == 0:
            work(config, accounts)
            os._exit(0)


def tell_what_is_durable() -> None:
    """Tell of each answer that can be lost no more, by the refresh token that it is the answer to.

    Nothing of that is secret: the simulator's ledger names tokens so.
    """
    commit = Settlement.commit

    async def told(
        self: Settlement,
        account: Account,
        client: ProviderClient,
        answer: Granted,
        kept: Secret | None,
    ) -> Account:
        renewed = await commit(self, account, client, answer, kept)
        assert kept is not None
        say({"durable": time.time(), "sent": fingerprint(kept.reveal())})
        return renewed

    Settlement.commit = told  # type: ignore[method-assign]


def work(config: str, accounts: list[str]) -> None:
    """Keep tokens fresh until killed: a thread for each account, all with one Connector."""
    with Connector.open(config) as connector:
        threads = [threading.Thread(target=keep, args=(connector, name)) for name in accounts]
        for thread in threads:
            thread.start()
        say({"pid": os.getpid()})
        for thread in threads:
            thread.join()


def keep(connector: Connector, account: str) -> None:
    """Ask for one account's token for as long as this process lives; tell of each new error."""
    told = ""
    while True:
        try:
            connector.get_token(account)
            told = ""
        except ConnectorError as error:
            if str(error) != told:
                told = str(error)
                say({"account": account, "error": type(error).__name__, "message": told})
        time.sleep(random.uniform(0.005, 0.03))  # noqa: S311 - spreads the callers


def say(value: object) -> None:
    """Print one line, whole."""
    os.write(sys.stdout.fileno(), (json.dumps(value) + "\n").encode())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["callers", config, account, seconds, processes]:
            callers(config, account, float(seconds), int(processes))
        case ["rotate", config, *accounts]:
            rotate(config, accounts)
        case _:
            sys.exit(__doc__)
