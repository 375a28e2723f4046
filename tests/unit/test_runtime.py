"""Opening and closing of what a configuration names."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import errors
from connector.runtime import RuntimeCredentials, open_runtime
from connector.secret import SecretReference
from connector.settings import VaultSettings, load_settings
from connector.store.database_file import database_url
from tests.unit.workbench import ACCOUNT, Workbench, someone, workbench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        yield made


class TestOpen:
    async def test_no_vault_yet(self, bench: Workbench) -> None:
        (bench.folder / "vault.db").unlink()
        with pytest.raises(errors.VaultSealed, match="connector init"):
            await open_runtime(load_settings(bench.config), has_background=False)
        assert not (bench.folder / "vault.db").exists()

    async def test_makes_one_where_it_is_asked_to(self, bench: Workbench) -> None:
        (bench.folder / "vault.db").unlink()
        (bench.folder / "root.key").unlink()
        settings = load_settings(bench.config)
        made = await open_runtime(settings, has_background=False, create=True)
        await bench.connect(made)
        await made.aclose()
        async with bench.runtime() as opened:
            assert (await opened.accounts.require(ACCOUNT)).state_name == "active"
        for name in ("vault.db", "root.key"):
            assert (bench.folder / name).stat().st_mode & 0o777 == 0o600

    def test_a_vault_that_could_not_be_made_leaves_no_file(self, bench: Workbench) -> None:
        (bench.folder / "vault.db").unlink()
        text = bench.config.read_text()
        bench.config.write_text(text.replace("file:root.key", "credential:missing"))
        settings = load_settings(bench.config)
        with pytest.raises(errors.VaultSealed):
            asyncio.run(open_runtime(settings, has_background=False, create=True))
        assert list(bench.folder.glob("vault.db*")) == []

    async def test_a_wrong_key_changes_nothing(self, bench: Workbench) -> None:
        before = (bench.folder / "vault.db").read_bytes()
        (bench.folder / "root.key").write_text("00" * 32)
        for create in (False, True):
            with pytest.raises(errors.VaultSealed):
                await open_runtime(load_settings(bench.config), has_background=False, create=create)
        assert (bench.folder / "vault.db").read_bytes() == before


class TestDatabaseUrl:
    def reference(self, name: str) -> SecretReference:
        return SecretReference(
            kind="env", name=name, source="config.toml", key="vault.url", folder=Path()
        )

    def test_as_it_stands(self) -> None:
        vault = VaultSettings(
            url="sqlite:////a/b.db", password=None, seal_kind="file", seal_name="k", journal=Path()
        )
        assert database_url(vault).database == "/a/b.db"

    def test_a_password_is_read_from_where_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PASSWORD", "p@ss:/word")
        vault = VaultSettings(
            url="postgresql://u@h/d",
            password=self.reference("PASSWORD"),
            seal_kind="file",
            seal_name="k",
            journal=Path(),
        )
        assert database_url(vault).password == "p@ss:/word"

    def test_the_whole_is_a_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("URL", "postgresql://u:p@h/d")
        vault = VaultSettings(
            url=self.reference("URL"),
            password=None,
            seal_kind="file",
            seal_name="k",
            journal=Path(),
        )
        assert database_url(vault).username == "u"
        monkeypatch.delenv("URL")
        with pytest.raises(errors.ConfigurationError):
            database_url(vault)


class TestClose:
    async def test_waits_for_refreshes_and_consents(self, bench: Workbench) -> None:
        with someone() as ada:
            async with bench.runtime() as first:
                await bench.connect(first, "acme/other")
                redirect = await bench.begin(first, ada)
            bench.fault("hold", when="after", times=2)
            async with bench.runtime() as closing:
                asking = asyncio.create_task(closing.tokens.refresh("acme/other"))
                taking = asyncio.create_task(bench.complete(closing, redirect))
                await bench.held(count=2)
                end = asyncio.create_task(closing.aclose())
                await asyncio.sleep(0)
                bench.release()
                await asyncio.gather(end, asking, taking)
        async with bench.runtime() as runtime:
            assert (await runtime.accounts.require("acme/other")).generation == 2
            assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"


async def test_a_credential_is_of_one_piece(bench: Workbench) -> None:
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        source = RuntimeCredentials(runtime)
        first = await source.credential(ACCOUNT, None)
        second = await source.credential(ACCOUNT, first.token)
        assert second.token.value != first.token.value
        assert await source.credential(ACCOUNT, first.token) == second
        assert first.token.value not in repr(first)
        with pytest.raises(RuntimeError):
            source.credential_now(ACCOUNT, None)
