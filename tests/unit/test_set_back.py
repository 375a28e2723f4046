"""A row, or the end of the write-ahead log, that is set back is noticed; a spent token is not sent.

CHECKLIST B3, V7 and V13. The provider ends a grant whose refresh token comes twice.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector import errors
from tests.unit.workbench import ACCOUNT, Workbench, workbench

SEALED = "access_token_sealed, refresh_token_sealed"
WHOLE = f"{SEALED}, generation, expires_at, minted_at"
SAVE = "CREATE TABLE old AS SELECT {} FROM account"
SET_BACK = "UPDATE account SET ({}) = (SELECT {} FROM old)"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path, rotation="strict_family") as made:
        made.configure(acme='refresh_token = { rotation = "strict_family" }')
        yield made


async def test_older_ciphertext_under_the_present_generation_does_not_open(
    bench: Workbench,
) -> None:
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        async with runtime.database.write() as connection:
            await connection.exec_driver_sql(SAVE.format(SEALED))
        await runtime.tokens.refresh(ACCOUNT)
        async with runtime.database.write() as connection:
            await connection.exec_driver_sql(SET_BACK.format(SEALED, SEALED))
    async with bench.runtime() as runtime:
        for call in (runtime.tokens.get, runtime.tokens.refresh):
            with pytest.raises(errors.VaultSealed, match="generation 2 does not open"):
                await call(ACCOUNT)
    assert bench.refreshes == 1


async def test_a_whole_row_that_is_set_back_is_held(bench: Workbench) -> None:
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        async with runtime.database.write() as connection:
            await connection.exec_driver_sql(SAVE.format(WHOLE))
        await runtime.tokens.refresh(ACCOUNT)
        async with runtime.database.write() as connection:
            await connection.exec_driver_sql(SET_BACK.format(WHOLE, WHOLE))
    await expect_held(bench)


async def test_a_write_ahead_log_that_is_damaged_loses_its_end_and_that_is_noticed(
    bench: Workbench,
) -> None:
    """SQLite believes a log up to the first page whose checksum fails, and says nothing of it."""
    vault, saved = bench.folder / "vault.db", bench.folder / "saved"
    saved.mkdir()
    async with bench.runtime() as runtime:
        await bench.connect(runtime)
        before = (bench.folder / "vault.db-wal").stat().st_size
        await runtime.tokens.refresh(ACCOUNT)
        for suffix in ("", "-wal"):
            shutil.copy2(f"{vault}{suffix}", saved)
    log = bytearray((saved / "vault.db-wal").read_bytes())
    assert len(log) > before
    log[before + 100] ^= 0xFF  # in the frames of the refresh
    (saved / "vault.db-wal").write_bytes(log)
    (bench.folder / "vault.db-shm").unlink(missing_ok=True)
    for name in ("vault.db", "vault.db-wal"):
        shutil.copy2(saved / name, bench.folder)
    await expect_held(bench)


async def expect_held(bench: Workbench) -> None:
    """See that its spent refresh token is not sent, and that a person is told."""
    async with bench.runtime() as runtime:
        assert (await runtime.accounts.require(ACCOUNT)).generation == 1
        bench.clock.advance(3600)
        with pytest.raises(errors.TemporarilyUnavailable, match="gone back"):
            await runtime.tokens.get(ACCOUNT)
    assert bench.refreshes == 1
