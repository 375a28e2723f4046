"""One request with each client that our auth works with, and its answer in one form."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any

import aiohttp
import httpx
import httpx2
import requests

from connector.resource import AccountAuth

Ask = Callable[..., Any]

#: Loads no certificate authorities, which takes 30 ms.
NO_TLS = SSLContext(PROTOCOL_TLS_CLIENT)


def with_httpx2(auth: AccountAuth, method: str, url: str, **options: Any) -> Any:
    with httpx2.Client(auth=auth, verify=NO_TLS, trust_env=False) as client:
        return client.request(method, url, **options)


def with_httpx(auth: AccountAuth, method: str, url: str, **options: Any) -> Any:
    with httpx.Client(auth=auth, verify=NO_TLS, trust_env=False) as client:
        return client.request(method, url, **options)


def with_async_httpx2(auth: AccountAuth, method: str, url: str, **options: Any) -> Any:
    async def ask() -> Any:
        async with httpx2.AsyncClient(auth=auth, verify=NO_TLS, trust_env=False) as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


def with_async_httpx(auth: AccountAuth, method: str, url: str, **options: Any) -> Any:
    async def ask() -> Any:
        async with httpx.AsyncClient(
            auth=auth,
            verify=NO_TLS,
            trust_env=False,
        ) as client:
            return await client.request(method, url, **options)

    return asyncio.run(ask())


def with_requests(
    auth: AccountAuth,
    method: str,
    url: str,
    *,
    follow_redirects: bool = False,
    content: Any = None,
    headers: dict[str, str] | None = None,
) -> Any:
    with requests.Session() as session:
        session.trust_env = False
        session.auth = auth
        return session.request(
            method,
            url,
            data=content,
            headers=headers,
            allow_redirects=follow_redirects,
            timeout=30,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AiohttpAnswer:
    """An answer of aiohttp, whose session is closed by now."""

    status_code: int
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


def with_async_aiohttp(
    auth: AccountAuth,
    method: str,
    url: str,
    *,
    follow_redirects: bool = False,
    content: Any = None,
    headers: dict[str, str] | None = None,
) -> Any:
    async def ask() -> AiohttpAnswer:
        async with (
            aiohttp.ClientSession(middlewares=(auth,)) as session,
            session.request(
                method, url, data=content, headers=headers, allow_redirects=follow_redirects
            ) as answer,
        ):
            return AiohttpAnswer(status_code=answer.status, content=await answer.read())

    return asyncio.run(ask())


EVERY_CLIENT: list[Ask] = [
    with_httpx2,
    with_httpx,
    with_async_httpx2,
    with_async_httpx,
    with_requests,
    with_async_aiohttp,
]
