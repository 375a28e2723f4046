"""A configuration, the simulator, and the runtimes that a test opens, all on one clock."""

import asyncio
import atexit
import functools
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connector.account import Account
from connector.consent import CompletedConsent
from connector.oauth.authorization_request import parse_response
from connector.oauth.token_response import Granted, read_token_response
from connector.runtime import Runtime, open_runtime
from connector.settings import load_settings
from connector.simulator.clock import Clock
from connector.simulator.faults import Fault
from connector.simulator.ledger import Selection
from connector.simulator.person import Person
from connector.simulator.settings import Settings
from connector.simulator.simulator import Simulator

T = TypeVar("T")

#: 2027-01-15 08:00:00 UTC
NOW: Final = 1_800_000_000.0
ACCOUNT: Final = "acme/ads"
FACEBOOK: Final = "acme/facebook"
REFRESH: Final = Selection(endpoint="token", grant_type="refresh_token")
EXCHANGE: Final = Selection(endpoint="graph_access_token", grant_type="fb_exchange_token")

_EMPTY: Final = """
[vault]
seal = "file:root.key"
"""

_CONFIG: Final = """
[vault]
seal = "file:root.key"

[http]
ca_file = "authority.pem"

[providers.acme]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "file:acme.secret"
scopes = {scopes}
redirect_uri = "http://127.0.0.1:49152/callback/acme"
api = {{ base_url = "{url}/api/" }}
api_origins = ["{url}"]
{acme}

[providers.facebook]
client_id = "{app_id}"
client_secret = "file:facebook.secret"
redirect_uri = "http://localhost:49153/callback/facebook"
variables = {{ dialog_origin = "{dialog_url}", graph_origin = "{graph_url}" }}
{facebook}

{more}
"""


class Workbench:
    """All that a test needs; make one with `workbench`.

    Attributes:
        folder: of the configuration.
        clock: of the simulator and of the runtimes.
        simulator: running.
    """

    def __init__(self, folder: Path, simulator: Simulator, clock: Clock) -> None:
        self.folder = folder
        self.simulator = simulator
        self.clock = clock
        (folder / "acme.secret").write_text(simulator.client.client_secret)
        (folder / "facebook.secret").write_text(simulator.app.app_secret)
        for name in ("vault.db", "root.key", "authority.pem"):
            shutil.copy2(_empty_vault() / name, folder / name)
        self.configure()

    def configure(
        self,
        *,
        scopes: tuple[str, ...] = ("ads_read",),
        acme: str = "",
        facebook: str = "",
        more: str = "",
        replace: tuple[str, str] = ("", ""),
    ) -> None:
        """Write config.toml.

        Args:
            scopes: of the provider acme.
            acme: further lines of this provider's table.
            facebook: likewise.
            more: further tables.
            replace: a text of the whole, and what stands in its place.
        """
        simulator = self.simulator
        text = _CONFIG.format(
            issuer=simulator.issuer,
            url=simulator.url,
            client_id=simulator.client.client_id,
            app_id=simulator.app.app_id,
            dialog_url=simulator.dialog_url,
            graph_url=simulator.graph_url,
            scopes=json.dumps(scopes),
            acme=acme,
            facebook=facebook,
            more=more,
        )
        assert replace[0] in text
        self.config.write_text(text.replace(*replace) if replace[0] else text)

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "config.toml"

    @asynccontextmanager
    async def runtime(
        self, *, has_background: bool = False, now: Callable[[], float] | None = None
    ) -> AsyncIterator[Runtime]:
        """Open a runtime as a process of its own would."""
        runtime = await open_runtime(
            load_settings(self.config), has_background=has_background, now=now or self.clock.now
        )
        try:
            yield runtime
        finally:
            await runtime.aclose()

    async def connect(
        self,
        runtime: Runtime,
        name: str = ACCOUNT,
        *,
        person: str = "ada",
        scope: str = "ads_read",
        provider: str = "acme",
    ) -> Account:
        """Make an account of the provider acme, or of one like it, active, without pages."""
        client = await runtime.directory.get(provider)
        answer = json.dumps(self.simulator.grant(person, scope=scope)).encode()
        shape, now = client.server.token_answer, runtime.now()
        granted = read_token_response(200, {}, answer, shape=shape, sent_at=now)
        assert isinstance(granted, Granted)
        completed = await runtime.consents.activate(
            client, name, granted.tokens, tuple(scope.split()), nonce=None, kept={}
        )
        return completed.account

    def connect_apart(
        self, name: str = ACCOUNT, *, person: str = "ada", is_expired: bool = False
    ) -> str:
        """Make an account active for programs that live by the real time; give its access token.

        Args:
            name: of the account.
            person: who consents.
            is_expired: its access token has ended an hour ago.
        """

        async def connect() -> str:
            async with self.runtime(now=lambda: time.time() - 7200 * is_expired) as runtime:
                account = await self.connect(runtime, name, person=person)
                return runtime.accounts.open_access_token(account).reveal()

        return run_apart(connect)

    async def begin(
        self, runtime: Runtime, person: Person, name: str = ACCOUNT, *, provider: str = "acme"
    ) -> str:
        """Begin a consent and have a person allow it; give the redirect."""
        started = await runtime.consents.begin(provider, name)
        return await in_thread(person.consent, await runtime.consents.url(started.id))

    async def complete(self, runtime: Runtime, redirect: str) -> CompletedConsent:
        """Take a redirect as the callback does."""
        parts = urlsplit(redirect)
        response = parse_response(parts.query)
        record = await runtime.consents.find(response)
        return await runtime.consents.complete(record, response, arrived_at=parts.path)

    async def consent(
        self, runtime: Runtime, person: Person, name: str = ACCOUNT, *, provider: str = "acme"
    ) -> CompletedConsent:
        """Take a person through a consent."""
        redirect = await self.begin(runtime, person, name, provider=provider)
        return await self.complete(runtime, redirect)

    def fault(self, kind: str, **values: object) -> int:
        """Add a fault at the token endpoint."""
        return self.simulator.faults.add(
            Fault(**{"endpoint": "token", "kind": kind, **values})  # type: ignore[arg-type]
        )

    @property
    def refreshes(self) -> int:
        """How many refreshes have reached the authorization server."""
        return len(self.simulator.ledger.records(REFRESH))

    async def held(self, gate: str = "gate", count: int = 1) -> None:
        """Wait until requests are held at a gate."""
        await asyncio.to_thread(self.simulator.gates[gate].wait_until_held, count)

    def release(self, gate: str = "gate") -> None:
        """Let the requests at a gate go on."""
        self.simulator.gates[gate].release()


@contextmanager
def workbench(folder: Path, **settings: Any) -> Iterator[Workbench]:
    """Make a configuration in a folder and run a simulator on a clock that stands still."""
    clock = Clock(source=lambda: NOW)
    with Simulator(Settings(**settings), clock=clock) as simulator:
        yield Workbench(folder, simulator, clock)


@contextmanager
def someone(name: str = "ada") -> Iterator[Person]:
    """A person with a browser; it skips loading the certificate authorities."""
    browser = httpx2.Client(trust_env=False, timeout=30.0, verify=SSLContext(PROTOCOL_TLS_CLIENT))
    with Person(name, browser=browser) as person:
        yield person


async def in_thread(work: Callable[..., T], *arguments: object) -> T:
    """Run what blocks, such as a person, beside the event loop."""
    return await asyncio.to_thread(work, *arguments)


def dead_owner() -> str:
    """Name an owner of leases and runs on this host whose process has ended."""
    code = "from connector.store.owner import new_owner; print(new_owner())"
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


def run_apart(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine in an event loop of its own, in a thread of its own."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run(work())))
    thread.start()
    thread.join()
    return results[0]


@functools.cache
def _empty_vault() -> Path:
    """Make a vault once; migrating an empty database takes longer than most tests."""
    folder = Path(tempfile.mkdtemp(prefix="connector-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "config.toml").write_text(_EMPTY)

    async def make() -> None:
        settings = load_settings(folder / "config.toml")
        runtime = await open_runtime(settings, has_background=False, create=True, now=lambda: NOW)
        await runtime.aclose()

    run_apart(make)
    (folder / "authority.pem").write_bytes(_certificate_authority())
    return folder


def _certificate_authority() -> bytes:
    """Make a certificate authority: one is read in no time, all of the world's in 30 ms."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nobody")])
    builder = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=datetime(2026, 1, 1, tzinfo=UTC),
        not_valid_after=datetime(2126, 1, 1, tzinfo=UTC),
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
