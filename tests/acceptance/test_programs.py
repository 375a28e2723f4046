"""Programs that use Connector: the one-liner, the object, auth for HTTP clients."""

import subprocess
import sys

from connector.simulator import Person, Simulator

from .installation import Installation

PROGRAM = """
import asyncio, sys
import httpx2
from connector import AccessToken, Connector, ConsentRequired, UnknownAccount, get_access_token

token = get_access_token("acme/ads", min_ttl=5)
with Connector.open("config.toml") as connector:
    full = connector.get_token("acme/ads")
    assert isinstance(full, AccessToken)
    assert (full.value, full.token_type, full.scope) == (token, "Bearer", "ads_read")
    assert token not in repr(full)
    with httpx2.Client(auth=connector.auth("acme/ads")) as api:
        answer = api.get(sys.argv[1] + "/me")
    assert answer.status_code == 200, answer.text
    try:
        connector.get_token("acme/none")
    except UnknownAccount as error:
        assert "acme/none" in str(error)

async def main():
    async with Connector.open_async("config.toml") as connector:
        assert await connector.get_access_token("acme/ads") == token
        async with httpx2.AsyncClient(auth=connector.auth("acme/ads")) as api:
            assert (await api.get(sys.argv[1] + "/me")).status_code == 200

asyncio.run(main())
print("done")
"""


def test_from_python(installation: Installation, simulator: Simulator) -> None:
    installation.connect("ads", "acme/ads")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, simulator.api_url],
        cwd=installation.folder,
        env=installation.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_device_grant(installation: Installation, simulator: Simulator) -> None:
    simulator.change({"device_interval": 1})
    process = installation.start("connect", "ads", "--account", "acme/tv", "--device")
    assert process.stdout is not None
    where, code = process.stdout.readline(), process.stdout.readline()
    assert "On any device, open http://127.0.0.1" in where
    user_code = code.split("code ")[1].split()[0]
    with Person("ada") as ada:
        ada.approve_device(f"{where.split()[-1]}?user_code={user_code}")
    status, out, err = installation.finish(process)
    assert (status, "acme/tv is connected" in out) == (0, True), err
    assert installation.run("token", "acme/tv").returncode == 0
