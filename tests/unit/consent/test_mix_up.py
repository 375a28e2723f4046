"""Two authorization servers, one hostile: it never sees a code of the other (RFC 9700 §4.4).

A person wants to consent at the hostile one; it sends their browser on to the honest one instead,
with our client there and the state of the consent that was begun.
"""

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from connector import errors
from connector.runtime import Runtime
from connector.simulator.person import Person
from connector.simulator.settings import Settings
from connector.simulator.simulator import Simulator
from tests.unit.workbench import ACCOUNT, Workbench, in_thread

NEW = "acme/hostile"
HOSTILE = """
[providers.hostile]
issuer = "{issuer}"
client_id = "connector-demo"
client_secret = "file:acme.secret"
scopes = ["ads_read"]
redirect_uri = "http://127.0.0.1:49152/callback/hostile"
api = {{ base_url = "{url}/api/" }}
"""


@pytest.fixture
async def hostile(bench: Workbench) -> AsyncIterator[Simulator]:
    with Simulator(Settings(), clock=bench.clock) as running:
        bench.configure(more=HOSTILE.format(issuer=running.issuer, url=running.url))
        yield running


@pytest.mark.parametrize("callback", ["acme", "hostile"])
@pytest.mark.parametrize("iss", ["correct", "absent"])
async def test_a_code_of_one_is_not_sent_to_the_other(
    bench: Workbench, hostile: Simulator, ada: Person, callback: str, iss: str
) -> None:
    bench.simulator.change({"iss_parameter": iss})
    hostile.change({"iss_parameter": iss})
    async with bench.runtime() as runtime:
        started = await runtime.consents.begin("hostile", NEW)
        begun = urlsplit(await runtime.consents.url(started.id))
        honest = urlsplit(await _url(runtime))
        asked = dict(parse_qsl(begun.query))
        asked["redirect_uri"] = asked["redirect_uri"].replace("/hostile", f"/{callback}")
        forwarded = honest._replace(query=urlencode(asked)).geturl()
        redirect = await in_thread(ada.consent, forwarded)
        assert f"/callback/{callback}?" in redirect, "the honest server has given a code"
        seen = hostile.ledger.count("token"), bench.simulator.ledger.count("token")
        with pytest.raises(errors.ConsentNotGiven):
            await bench.complete(runtime, redirect)
        assert (hostile.ledger.count("token"), bench.simulator.ledger.count("token")) == seen
        accounts = await runtime.accounts.all()
        assert {one.name: one.state_name for one in accounts}.get(NEW) in {None, "pending"}


async def _url(runtime: Runtime) -> str:
    """Give a URL of the honest server's, as the hostile one knows it."""
    return await runtime.consents.url((await runtime.consents.begin("acme", ACCOUNT)).id)
