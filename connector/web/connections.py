"""How many connections a listener keeps, and for how long it waits on each (CHECKLIST 152).

One that waits for its peer (for the head of a request, idle, or for an answer to be taken) gives
way when room is needed, that of a stranger first and the oldest first: so ten thousand slow ones
hold up nobody who sends a request. One whose request is being answered never does.
"""

import asyncio
import logging
import resource
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

logger = logging.getLogger(__name__)

#: The head of a request must have come after this long (seconds) …
HEAD_TIME: Final = 10.0
#: … and the next request of a connection must have begun (seconds); uvicorn's own limit.
IDLE_TIME: Final = 30
#: What is left of a body that nobody wants is taken in for so long (seconds): a connection that is
#: closed with unread data may take the answer with it (RFC 9112 §9.6).
LINGER_TIME: Final = 2.0
#: Connections are looked at so often (seconds); uvicorn has its turn first.
_SWEEP: Final = 1.0
_GRACE: Final = 5.0
#: Descriptors that a daemon should be able to have: sockets, database, pipes of runs.
_WANTED_DESCRIPTORS: Final = 4096


class Connection(Protocol):
    """What `Connections` must be able to do with one."""

    deadline: float
    is_known: bool

    def end(self) -> None:
        """Close it: its peer has taken too long."""

    def cut(self) -> None:
        """Close it at once, whatever is on its way."""


class Connections:
    """The connections of one listener.

    Args:
        most: how many there may be.
        clock: gives seconds that never go back.

    Attributes:
        displaced: how many have given way.
        refused: how many found no room.
        timed_out: how many took too long.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.displaced = 0
        self.refused = 0
        self.timed_out = 0
        self.now = clock
        self._all: set[Connection] = set()
        # ordered: what has waited longest comes first
        self._strangers: OrderedDict[Connection, None] = OrderedDict()
        self._known: OrderedDict[Connection, None] = OrderedDict()
        self._sweeping: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._all)

    def admit(self, connection: Connection) -> bool:
        """Take one in, in the place of another if need be; tell whether there was room."""
        if len(self._all) >= self.most and not self._displace():
            self.refused += 1
            return False
        self._all.add(connection)
        self.wait(connection, HEAD_TIME)
        return True

    def wait(self, connection: Connection, seconds: float) -> None:
        """Note that one waits for its peer, who has so many seconds."""
        if connection in self._all:
            connection.deadline = self.now() + seconds
            (self._known if connection.is_known else self._strangers)[connection] = None

    def work(self, connection: Connection) -> None:
        """Note that the request of one is being answered."""
        self._strangers.pop(connection, None)
        self._known.pop(connection, None)

    def forget(self, connection: Connection) -> None:
        """Note that one has ended."""
        self._all.discard(connection)
        self.work(connection)

    def start(self) -> None:
        """Begin to look after them."""
        self._sweeping = asyncio.create_task(self._repeat(), name="connections")

    async def aclose(self) -> None:
        """Stop looking after them."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)

    def sweep(self) -> None:
        """End those whose peer has taken too long; cut off those that do not end."""
        now = self.now()
        for waiting in (self._strangers, self._known):
            for connection in [one for one in waiting if one.deadline <= now]:
                self.timed_out += 1
                connection.deadline = now + _GRACE
                connection.end()

    def _displace(self) -> bool:
        for waiting in (self._strangers, self._known):
            if waiting:
                connection, _ = waiting.popitem(last=False)
                self._all.discard(connection)
                self.displaced += 1
                connection.cut()
                return True
        return False

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            self.sweep()


def raise_descriptor_limit() -> int:
    """Let this process have as many descriptors as a daemon may need; give how many those are.

    Service managers start programs with 1,024 and allow far more (systemd: `LimitNOFILE=`).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited:
        return _WANTED_DESCRIPTORS
    wanted = _WANTED_DESCRIPTORS if hard == unlimited else min(_WANTED_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def share_of(most: int, descriptors: int) -> tuple[int, int]:
    """Give how many connections over TCP and over the Unix socket may be open.

    Over TCP no more than three eighths of the descriptors, over the Unix socket a quarter, which
    nobody else's connections can take: what is left is for the database, runs, and connections that
    are just being closed.

    Args:
        most: what the configuration allows over TCP.
        descriptors: that this process may have.
    """
    tcp = min(most, descriptors * 3 // 8)
    if tcp < most:
        logger.warning(
            "only %d connections over TCP: this process may have %d files open; raise its limit"
            " (LimitNOFILE=, ulimit -n), or set daemon.max_connections lower",
            tcp,
            descriptors,
            extra={"action": "daemon.few_descriptors"},
        )
    return tcp, min(most, descriptors // 4)
