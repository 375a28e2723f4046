"""Planted secrets are searched for in everything that can be seen: none is found (CHECKLIST 161).

Everything runs at DEBUG. A job does its worst: it prints its token, logs it, and raises with it.
What is allowed to show a secret is left out by name: ``connector token`` prints the token, the
authorization URL holds ``state``, and the seal's file holds the key.
"""

import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from connector.runtime import open_runtime
from connector.settings import load_settings
from connector.simulator import Fault, Person, Settings, Simulator

from .installation import Installation

CLIENT_SECRET = "canary:client%secret+é"
APP_SECRET = "canary-app-secret-0123456789"

#: How the simulator's codes and tokens look, and the two client secrets in every encoding.
CANARIES = {
    "access token": rb"at_[A-Za-z0-9_-]{40}",
    "refresh token": rb"rt_[A-Za-z0-9_-]{40}",
    "authorization code": rb"code_[A-Za-z0-9_-]{40}",
    "Facebook token": rb"EAA[A-Za-z0-9_-]{16}",
    "Facebook code": rb"AQ[A-Za-z0-9_-]{30}",
    "client secret": rb"canary[:%]|canary%3A|Y2FuYXJ5",
    "app secret": re.escape(APP_SECRET.encode()),
    "Basic credentials": rb"Basic [A-Za-z0-9+/=]{16}",
}

PULLS = """
import sys

async def insights(api, context):
    answer = await api.get("insights", params={"ad_account": "act_1001", "limit": "5"})
    token = answer.request.headers["authorization"].partition(" ")[2]
    print("stdout", token)
    print("stderr", token, file=sys.stderr)
    context.logger.debug("logged %s", token)
    yield answer.json()["data"]
    raise RuntimeError(f"raised with {token}")
"""


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    settings = Settings(
        client_secret=CLIENT_SECRET, app_secret=APP_SECRET, access_token_lifetime=1.5
    )
    with Simulator(settings) as running:
        yield running


def found_in(content: bytes) -> dict[str, bytes]:
    """Give the canaries that are in some bytes, with what is around them."""
    return {
        name: content[max(0, match.start() - 60) : match.end() + 20]
        for name, pattern in CANARIES.items()
        if (match := re.search(pattern, content))
    }


class ProcessWatch:
    """Samples arguments and environment of every process below this one."""

    def __init__(self) -> None:
        self.seen: dict[str, bytes] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(0.01):
            for name in os.listdir("/proc"):  # noqa: PTH208 - in a third of glob's time
                if name.isdigit():
                    self._look(Path("/proc", name))

    def _look(self, process: Path) -> None:
        try:
            arguments = (process / "cmdline").read_bytes()
            if b"connector" not in arguments or int(process.name) == os.getpid():
                return
            environment = (process / "environ").read_bytes()
        except OSError:
            return  # it has ended, or is not ours
        self.seen[f"{process.name} cmdline"] = arguments
        if b"connector.jobs.fork_template" in arguments:
            self.seen[f"{process.name} child environ"] = environment


@pytest.mark.timeout(300)  # some thirty processes, on a machine that may be busy
def test_no_secret_is_shown_anywhere(
    installation: Installation, simulator: Simulator, tmp_path: Path
) -> None:
    text = (tmp_path / "config.toml").read_text()
    text = text.replace('"file:ads.secret"', '"env:ADS_SECRET"')
    (tmp_path / "config.toml").write_text(
        text
        + """
[jobs.insights]
provider = "ads"
account = "**"
schedule = "every 1s"
jitter = "0"
run = "pulls:insights"
destination = { to = "sqlite:///ads.db", table = "insights", key = ["date", "ad_id"] }
"""
    )
    (tmp_path / "pulls.py").write_text(PULLS)
    (tmp_path / "ads.secret").unlink()
    installation.environment["ADS_SECRET"] = CLIENT_SECRET
    installation.environment["CONNECTOR_DEBUG"] = "1"
    installation.nursery = None  # what a process is started with is looked at
    searched: list[str] = []

    with ProcessWatch() as watch:
        for provider, account in (("ads", "acme/ads"), ("facebook", "acme/facebook")):
            process, url = installation.begin_connect(provider, account)
            with Person("ada") as ada:
                page = ada.deliver(ada.consent(url))
            status, out, err = installation.finish(process)
            assert status == 0, err
            searched += [out, err, page.text, page.url]
        installation.printed.clear()

        daemon = installation.serve("--log-format=json")
        installation.run("jobs", "run", "insights")
        for fault in ("html", "truncate", "drop", "cut", "array"):
            simulator.faults.add(Fault(endpoint="token", kind=fault, when="after"))
            installation.run("refresh", "acme/ads")
        for account in ("acme/ads", "acme/facebook", "acme/none"):
            token = installation.run("token", account)
            assert token.returncode != 0 or found_in(token.stdout.encode()), "a canary is found"
            installation.printed.remove(token.stdout)
        for command in ("accounts", "jobs", "doctor", "providers"):
            installation.run(command)
        installation.run("jobs", "history", "--json")
        installation.run("accounts", "--json")
        installation.stop(daemon)
        installation.run("revoke", "acme/facebook")
        searched += installation.printed

    assert any("[access token]" in text for text in searched), "the job did print its token"
    assert any("raised with" in text for text in searched), "the job did raise"
    for text in searched:
        assert found_in(text.encode()) == {}

    children = [name for name in watch.seen if name.endswith("child environ")]
    assert children, "a job's child process was seen"
    for name, content in watch.seen.items():
        assert found_in(content) == {}, name
        assert b"ADS_SECRET" not in content or not name.endswith("child environ"), name

    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    kept = {"facebook.secret", "root.key", "pulls.py"}
    assert {"vault.db", "ads.db"} <= {file.name for file in files}
    for file in files:
        if file.name not in kept:
            assert found_in(file.read_bytes()) == {}, file.name


async def test_no_secret_is_logged_by_any_library_at_debug(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    """As in a user's program that logs everything: no logger is quietened here."""
    (installation.folder / "ads.secret").write_text(CLIENT_SECRET)
    for provider, account in (("ads", "acme/ads"), ("facebook", "acme/facebook")):
        installation.connect(provider, account)
    caplog.set_level(logging.DEBUG)
    runtime = await open_runtime(
        load_settings(installation.folder / "config.toml"), has_background=True
    )
    try:
        for account in ("acme/ads", "acme/facebook"):
            await runtime.tokens.get(account)
            await runtime.tokens.refresh(account)
    finally:
        await runtime.aclose()
    names = {record.name.partition(".")[0] for record in caplog.records}
    assert {"httpcore2", "aiosqlite", "connector"} <= names, "the libraries did log"
    logged = "\n".join(f"{record.getMessage()} {record.args}" for record in caplog.records)
    assert found_in(logged.encode()) == {}
