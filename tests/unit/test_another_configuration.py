"""Another configuration is put in force in an open runtime, while tokens are asked for."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from connector import errors
from connector.runtime import Runtime, prepare
from connector.settings import load_settings
from tests.unit.workbench import ACCOUNT, Workbench, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path, rotation="strict_family") as made:
        yield made


@pytest.fixture
async def runtime(bench: Workbench) -> AsyncIterator[Runtime]:
    async with bench.runtime() as opened:
        await bench.connect(opened)
        await opened.tokens.check_store()
        await opened.tokens.get(ACCOUNT)
        yield opened


async def use(bench: Workbench, runtime: Runtime, before: str, after: str) -> None:
    """Change the configuration and put it in force."""
    text = bench.config.read_text()
    assert before in text
    bench.config.write_text(text.replace(before, after))
    (await prepare(runtime, load_settings(bench.config))).use_in(runtime)


def client_id(bench: Workbench) -> str:
    return f'client_id = "{bench.simulator.client.client_id}"'


async def test_tokens_of_what_is_unchanged_stay_in_memory(
    bench: Workbench, runtime: Runtime
) -> None:
    before = runtime.tokens.memory.get(ACCOUNT)
    assert before is not None
    await use(bench, runtime, "[providers.facebook]", '[providers.facebook]\ntitle = "Other"')
    assert runtime.settings.providers["facebook"].title == "Other"
    assert runtime.tokens.memory.get(ACCOUNT) is before


async def test_tokens_of_what_is_changed_are_read_again_and_checked(
    bench: Workbench, runtime: Runtime
) -> None:
    await use(bench, runtime, client_id(bench), 'client_id = "another"')
    assert runtime.tokens.memory.get(ACCOUNT) is None
    with pytest.raises(errors.ConsentRequired):
        await runtime.tokens.get(ACCOUNT)
    await use(bench, runtime, 'client_id = "another"', client_id(bench))
    assert (await runtime.tokens.get(ACCOUNT)).value


async def test_what_lands_under_another_registration_is_kept_and_not_served(
    bench: Workbench, runtime: Runtime
) -> None:
    """The old client has sent it, and its answer is committed; the new one must not hand it out."""
    bench.fault("hold", when="after")
    refreshing = asyncio.create_task(runtime.tokens.refresh(ACCOUNT))
    await bench.held()
    await use(bench, runtime, client_id(bench), 'client_id = "another"')
    bench.release()
    with pytest.raises(errors.ConsentRequired, match="another client registration"):
        await refreshing
    assert runtime.tokens.memory.get(ACCOUNT) is None
    account = await runtime.accounts.require(ACCOUNT)
    assert (account.generation, account.attempt) == (2, None), "committed"
    await use(bench, runtime, 'client_id = "another"', client_id(bench))
    assert (await runtime.tokens.refresh(ACCOUNT)).value
    assert bench.simulator.ledger.count(outcome="reuse_detected") == 0


async def test_a_token_goes_to_the_api_that_it_is_for(bench: Workbench, runtime: Runtime) -> None:
    """It is asked for under one configuration, and comes under the next."""
    bench.fault("hold", when="after")
    token = await runtime.tokens.get(ACCOUNT)
    asking = asyncio.create_task(runtime.credential(ACCOUNT, token))
    await bench.held()
    origin = "https://other.example"
    await use(
        bench, runtime, f'api_origins = ["{bench.simulator.url}"]', f'api_origins = ["{origin}"]'
    )
    bench.release()
    assert (await asking).api.origins == (origin,), "that of the configuration in force"


async def test_nothing_is_in_force_before_all_of_it_is_good(
    bench: Workbench, runtime: Runtime
) -> None:
    text = bench.config.read_text()
    first = text.index("client_secret")
    line = text[first : text.index("\n", first)]
    bench.config.write_text(
        text.replace(line, 'client_secret = "file:gone.secret"').replace(
            "[vault]", '[vault]\nurl = "sqlite:///other.db"'
        )
    )
    before = runtime.directory.present, runtime.settings
    with pytest.raises(errors.ConfigurationError) as caught:
        await prepare(runtime, load_settings(bench.config))
    keys = [problem.key for problem in caught.value.problems]
    assert "vault.url" in keys
    assert any(key.endswith(".client_secret") for key in keys), "all are told"
    assert (runtime.directory.present, runtime.settings) == before
