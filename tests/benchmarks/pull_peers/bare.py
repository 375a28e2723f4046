"""The least that a pull can be: ask for a page, write its records as JSON Lines, ask for the next.

No cursor is kept and nothing is synced: what is written is lost where it is interrupted.

    bare.py FLAVOUR FILE URL …     orjson, json, or orjson with an event loop: async

Several URLs are pulled at once, a task for each.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO

import httpx2
import orjson

HEADERS = {"Authorization": f"Bearer {os.environ['PULL_TOKEN']}"}


def main(flavour: str, path: str, url: str, *more: str) -> None:
    """Pull."""
    with Path(path).open("wb") as file:
        if flavour == "async":
            asyncio.run(_pull_together([url, *more], file))
        elif flavour == "json":
            _pull_plainly(url, file)
        else:
            _pull(url, file)


def _pull(url: str, file: BinaryIO) -> None:
    after: str | None = "0"
    with httpx2.Client(headers=HEADERS) as client:
        while after is not None:
            page = orjson.loads(client.get(url, params={"after": after}).content)
            file.write(b"".join([orjson.dumps(one) + b"\n" for one in page["data"]]))
            after = page["after"]


def _pull_plainly(url: str, file: BinaryIO) -> None:
    after: str | None = "0"
    with httpx2.Client(headers=HEADERS) as client:
        while after is not None:
            page = client.get(url, params={"after": after}).json()
            file.write("".join([json.dumps(one) + "\n" for one in page["data"]]).encode())
            after = page["after"]


async def _pull_together(urls: list[str], file: BinaryIO) -> None:
    await asyncio.gather(*(_pull_async(url, file) for url in urls))


async def _pull_async(url: str, file: BinaryIO) -> None:
    after: str | None = "0"
    async with httpx2.AsyncClient(headers=HEADERS) as client:
        while after is not None:
            page = orjson.loads((await client.get(url, params={"after": after})).content)
            file.write(b"".join([orjson.dumps(one) + b"\n" for one in page["data"]]))
            after = page["after"]


if __name__ == "__main__":
    main(*sys.argv[1:])
