"""Names that are none, wherever a request can put one: 400 or 404, and never shown as they came."""

import json
import logging
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx2
import pytest
from starlette.applications import Starlette

from connector.log import ConsoleFormatter, JsonFormatter
from connector.runtime import Runtime
from tests.unit.audited import audited

from .test_access import BASE, make

#: What a terminal, a log or a header would take for something else (CHECKLIST 150, 158).
ODD = {
    "carriage return": "\r",
    "line feed": "\n",
    "CR LF and a header": "\r\nSet-Cookie: a=b",
    "NUL": "\0",
    "escape": "\x1b[2J",
    "delete": "\x7f",
    "C1 control": "\x9b31m",
    "right-to-left override": "\u202e",
    "isolate": "\u2066",
    "line separator": "\u2028",
    "zero width": "\u200b",
    "another script": "\u0430cme",
    "full width": "\uff41",
    "lone surrogate": "\ud800",
    "space": " ",
    "upper case": "ACME",
    "dots": "../vault.db",
    "reserved": "token",
    "nothing": "",
    "too long": "a" * 300,
}


@pytest.fixture
async def tcp(app: Starlette) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield client


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_a_name_that_is_none_is_refused_everywhere(
    tcp: httpx2.AsyncClient, runtime: Runtime, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="connector")
    key = {"Authorization": await make(runtime, "admin")}
    name = f"acme/{odd}"
    typed = key | {"Content-Type": "application/json"}
    answers = []
    for wish in ({"provider": "acme", "account": name}, {"provider": name, "account": "acme/x"}):
        answers.append(await tcp.post("/v1/consents", headers=typed, content=json.dumps(wish)))
        assert answers[-1].status_code == 400
    run = json.dumps({"account": name})
    answers.append(await tcp.post("/v1/jobs/pull/runs", headers=typed, content=run))
    assert answers[-1].status_code == (400 if odd == "\ud800" else 404), "half a character is none"
    path = quote(name, safe="/", errors="surrogatepass")
    for method, end in (("GET", ""), ("GET", "/token"), ("POST", "/refresh"), ("POST", "/revoke")):
        answers.append(await tcp.request(method, f"/v1/accounts/{path}{end}", headers=key))
        assert answers[-1].status_code in {404, 405}, (method, end)
    answers.append(await tcp.post(f"/v1/jobs/{path}/runs", headers=key))
    assert answers[-1].status_code in {404, 405}
    for asked in ("job", "account"):
        answers.append(await tcp.get(f"/v1/runs?{asked}={path}", headers=key))
        assert answers[-1].json() == [] or answers[-1].status_code == 404
    for answer in answers:
        assert answer.text.isprintable(), "what is no plain text is escaped"
        for value in answer.headers.values():
            assert value.isprintable()
    for record in caplog.records:
        for formatter in (ConsoleFormatter(), JsonFormatter()):
            line = formatter.format(record)
            assert record.levelno < logging.ERROR, line
            assert all(character.isprintable() for character in line), line
    await runtime.trail.collect()
    for row in await audited(runtime):
        assert all(text.isprintable() for text in (row.actor, row.account or "", row.detail))
