"""How each kind of fault is done to a connection.

An effect gets the answer that the server would have sent, or None where it has not acted; what
it makes up instead looks enough like a token answer to tempt a careless client.
"""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from functools import cache

from starlette.responses import Response

from connector.simulator.connection import Connection
from connector.simulator.faults import Fault, Kind

# Looks usable up to its last byte; a client that keeps any of it is wrong.
MADE_UP_BODY = b'{"access_token":"made-up-by-a-fault","token_type":"Bearer","expires_in":3600}'

HTML_BODY = "<!doctype html><title>Sign in</title><p>Please sign in to the network."

CANNED_BODIES: dict[str, tuple[str, str]] = {
    "html": (HTML_BODY, "text/html; charset=utf-8"),
    "array": ('[{"access_token":"made-up-by-a-fault"}]', "application/json"),
    "null": ("null", "application/json"),
}

ENDLESS_CHUNK = b"a" * 65536

# 256 MiB out of 256 KiB: far over any sane cap on an answer, and made in a moment.
BOMB_MEBIBYTES = 256
MEBIBYTE = 1024 * 1024

Pause = Callable[[float], Awaitable[None]]


async def apply(
    fault: Fault, answer: Response | None, connection: Connection, pause: Pause
) -> None:
    """Do what the fault says; `pause` waits for seconds, or raises when the simulator stops."""
    await _EFFECTS[fault.kind](fault, answer, connection, pause)


async def _drop(_f: Fault, _a: Response | None, connection: Connection, _p: Pause) -> None:
    await connection.close()


async def _reset(_f: Fault, _a: Response | None, connection: Connection, _p: Pause) -> None:
    await connection.reset()


async def _cut(fault: Fault, answer: Response | None, connection: Connection, _p: Pause) -> None:
    whole = answer or Response(MADE_UP_BODY, media_type="application/json")
    await connection.start(whole.status_code, whole.raw_headers)
    await connection.write(_part(bytes(whole.body), fault.keep))
    await connection.close()


async def _tear(fault: Fault, answer: Response | None, connection: Connection, _p: Pause) -> None:
    whole = answer or Response(MADE_UP_BODY, media_type="application/json")
    await connection.start(whole.status_code, whole.raw_headers)
    await connection.write(_part(bytes(whole.body), fault.keep))
    await connection.reset()


async def _replace(fault: Fault, _a: Response | None, connection: Connection, _p: Pause) -> None:
    body, content_type = CANNED_BODIES.get(fault.kind, (fault.body or "", fault.content_type))
    default = 503 if fault.kind == "status" else 200
    await connection.send(_answer(fault, body.encode(), content_type, default))


async def _truncate(
    fault: Fault, answer: Response | None, connection: Connection, _p: Pause
) -> None:
    whole = MADE_UP_BODY if answer is None else bytes(answer.body)
    await connection.send(_answer(fault, _part(whole, fault.keep), fault.content_type, 200))


async def _redirect(fault: Fault, _a: Response | None, connection: Connection, _p: Pause) -> None:
    answer = _answer(fault, b"", "text/plain", 302)
    answer.headers["location"] = fault.location or ""
    await connection.send(answer)


async def _endless(fault: Fault, _a: Response | None, connection: Connection, _p: Pause) -> None:
    await connection.start(fault.status or 200, [(b"content-type", b"application/json")])
    is_listening = await connection.write(b'{"access_token":"')
    while is_listening:
        is_listening = await connection.write(ENDLESS_CHUNK)
        # writing to a peer that reads fast never suspends, and others want their turn
        await asyncio.sleep(0)
    await connection.close()


async def _drip(
    fault: Fault, answer: Response | None, connection: Connection, pause: Pause
) -> None:
    whole = answer or Response(MADE_UP_BODY, media_type="application/json")
    await connection.start(whole.status_code, whole.raw_headers)
    for byte in bytes(whole.body):
        await pause(fault.interval)
        if not await connection.write(bytes([byte])):
            await connection.close()
            return
    await connection.finish()


async def _gzip_bomb(fault: Fault, _a: Response | None, connection: Connection, _p: Pause) -> None:
    answer = _answer(fault, gzip_bomb(BOMB_MEBIBYTES), fault.content_type, 200)
    answer.headers["content-encoding"] = "gzip"
    await connection.send(answer)


@cache
def gzip_bomb(mebibytes: int) -> bytes:
    """A gzip body that unpacks to `mebibytes` MiB of spaces (RFC 1952).

    One block is compressed and repeated: a full flush makes it independent of what went before.
    """
    block = b" " * MEBIBYTE
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    end = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush(zlib.Z_FINISH)
    checksum = 0
    for _ in range(mebibytes):
        checksum = zlib.crc32(block, checksum)
    size = mebibytes * MEBIBYTE % 2**32
    header = gzip.compress(b"", mtime=0)[:10]
    trailer = checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    return header + packed * mebibytes + end + trailer


def _answer(fault: Fault, body: bytes, content_type: str, default_status: int) -> Response:
    headers = dict(fault.headers)
    if fault.retry_after is not None:
        headers["Retry-After"] = fault.retry_after
    status = default_status if fault.status is None else fault.status
    return Response(body, status_code=status, headers=headers, media_type=content_type)


def _part(body: bytes, keep: int | None) -> bytes:
    return body[: len(body) // 2 if keep is None else keep]


_Effect = Callable[[Fault, Response | None, Connection, Pause], Awaitable[None]]

_EFFECTS: dict[Kind, _Effect] = {
    "drop": _drop,
    "reset": _reset,
    "cut": _cut,
    "tear": _tear,
    "status": _replace,
    "falsify": _replace,
    "truncate": _truncate,
    "html": _replace,
    "array": _replace,
    "null": _replace,
    "redirect": _redirect,
    "endless": _endless,
    "drip": _drip,
    "gzip_bomb": _gzip_bomb,
}
