"""A paginated JSON API that is far faster than any client: what its callers cost is what is seen.

``/LATENCY/PAGES/records?after=N`` gives page N of so many, a hundred records of some 320 bytes,
``LATENCY`` milliseconds after it was asked for. The cursor of the next page stands in the body; it
is null on the last. A Bearer token that was made known is required. Pages are made ahead, up to a
number of them; beyond it each is made when it is asked for, so that the length has no bound.

    python -m tests.benchmarks.pull_server      prints its port; ends with its standard input
"""

import asyncio
import functools
import json
import sys
import time
from typing import Final
from urllib.parse import unquote

#: Records of a page.
PAGE: Final = 100
#: Pages that are kept; each is 31 kB.
KEPT: Final = 1000

_RECORD: Final = (
    b'{"id":"%d","date":"2026-%02d-%02d","campaign_id":"%d","campaign_name":"Autumn sale, %d",'
    b'"adset_id":"%d","adset_name":"Prospecting, 25 to 44, %d","impressions":%d,"clicks":%d,'
    b'"spend":%d.%02d,"ctr":0.%04d,"is_active":true,"note":null,'
    b'"updated_at":"2026-11-%02dT12:34:56+00:00"}'
)
#: Identifiers have as many digits as those of large APIs.
_FIRST_ID: Final = 120_210_000_000_000_000


def record(number: int) -> bytes:
    """Write the record of a number: identifiers, texts, integers, decimals, a truth and a null."""
    campaign, adset = number // 1000, number // 50
    return _RECORD % (
        *(_FIRST_ID + number, number % 12 + 1, number % 28 + 1),
        *(_FIRST_ID + campaign, campaign, _FIRST_ID + adset, adset),
        *(number * 7919 % 100_000, number * 31 % 1000),
        *(number % 500, number % 100, number % 10_000, number % 28 + 1),
    )


def page(number: int, pages: int) -> bytes:
    """Write a page as it is answered, head and all."""
    start = number * PAGE
    records = b",".join([record(start + i) for i in range(PAGE)])
    after = b'"%d"' % (number + 1) if number + 1 < pages else b"null"
    return _answer(200, b'{"data":[' + records + b'],"after":' + after + b"}")


class Requests:
    """What has been asked for, and who may ask.

    Attributes:
        tokens: that are good.
        count: of pages that were asked for.
        first, last: when, on the monotonic clock, which all processes of a machine share (seconds).
    """

    def __init__(self) -> None:
        self.tokens: set[bytes] = set()
        self.begin()

    def begin(self) -> None:
        """Count anew."""
        self.count, self.first, self.last = 0, 0.0, 0.0

    def note(self) -> None:
        """Count a page."""
        self.last = time.monotonic()
        self.first = self.first or self.last
        self.count += 1


class Connection(asyncio.Protocol):
    """Answers one client; one request after another.

    Args:
        requests: of all connections.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if not self._data.endswith(b"\r\n\r\n"):
            return
        head, self._data = self._data, b""
        assert self._transport is not None
        path = head.split(b" ", 2)[1]
        if path.startswith(b"/_"):
            self._transport.write(_answer(200, self._control(path)))
        elif not self._is_permitted(head):
            self._transport.write(_answer(401, b'{"error":"unauthorized"}'))
        else:
            self._give(path, self._transport)

    def _is_permitted(self, head: bytes) -> bool:
        start = head.lower().find(b"\r\nauthorization: bearer ")
        token = head[start + 24 : head.find(b"\r\n", start + 2)]
        return start >= 0 and token in self._requests.tokens

    def _give(self, path: bytes, transport: asyncio.Transport) -> None:
        self._requests.note()
        place, _, query = path.partition(b"?")
        _, latency, pages, _ = place.split(b"/")
        number = int(query.partition(b"after=")[2].partition(b"&")[0] or 0)
        make = _made_ahead if number < KEPT and int(pages) <= KEPT else page
        answer = make(number, int(pages))
        if latency == b"0":
            transport.write(answer)
        else:
            asyncio.get_running_loop().call_later(int(latency) / 1000, transport.write, answer)

    def _control(self, path: bytes) -> bytes:
        """Begin anew, permit a token, or tell what was asked for."""
        requests = self._requests
        if path == b"/_begin":
            requests.begin()
        elif path.startswith(b"/_permit/"):
            requests.tokens.add(unquote(path[9:].decode()).encode())
        told = {"count": requests.count, "first": requests.first, "last": requests.last}
        return json.dumps(told).encode()


_made_ahead = functools.lru_cache(maxsize=KEPT * 2)(page)


def _answer(status: int, body: bytes) -> bytes:
    return (
        b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (status, len(body))
    ) + body


async def main() -> None:
    """Serve until standard input ends."""
    for number in range(KEPT):
        _made_ahead(number, KEPT)
    requests = Requests()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(requests), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
