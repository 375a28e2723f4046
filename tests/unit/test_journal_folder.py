"""A journal is not kept where a restart empties it."""

import os
from pathlib import Path

import pytest

from connector.errors import ConfigurationError, VaultSealed
from connector.file_systems import MOUNTS
from connector.journal import Journal
from connector.journal_folder import check_journal, check_mode, volatile_type
from connector.settings import load_settings
from tests.unit.workbench import Workbench, workbench

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to


def mounts_of(folder: Path, kind: str) -> Path:
    """Write what mountinfo would say, were a folder's file system of another kind."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = folder / f"mountinfo-{kind}"
    mounts.write_text(
        "22 27 0:99999 / /proc rw,relatime - proc proc rw\n"
        f"25 27 {number} / /some\\040where rw,nosuid shared:2 master:1 - {kind} none rw,size=4k\n"
        "26 27 0:99998 / /elsewhere rw - tmpfs tmpfs rw\n"
        "no line of the kernel's\n"
    )
    return mounts


@pytest.mark.parametrize("kind", ["tmpfs", "ramfs"])
def test_a_file_system_in_memory_is_volatile(tmp_path: Path, kind: str) -> None:
    mounts = mounts_of(tmp_path, kind)
    assert volatile_type(tmp_path, mounts) == kind
    assert volatile_type(tmp_path / "not" / "there" / "yet", mounts) == kind
    (tmp_path / "link").symlink_to(tmp_path / "not")
    assert volatile_type(tmp_path / "link", mounts) == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "fuse.sshfs", "nfs4"])
def test_any_other_is_not(tmp_path: Path, kind: str) -> None:
    assert volatile_type(tmp_path, mounts_of(tmp_path, kind)) is None


def test_nothing_is_known_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    assert volatile_type(tmp_path, tmp_path / "absent") is None


@pytest.mark.skipif(
    not MOUNTS.exists() or " /dev/shm " not in MOUNTS.read_text(), reason="no /dev/shm here"
)
def test_shared_memory_is_volatile() -> None:
    assert volatile_type(SHARED_MEMORY / "vault.journals") == "tmpfs"


def test_a_volatile_journal_is_refused(tmp_path: Path) -> None:
    mounts = mounts_of(tmp_path, "tmpfs")
    with pytest.raises(ConfigurationError) as caught:
        check_journal(
            tmp_path, database=None, is_volatile_allowed=False, source="config.toml", mounts=mounts
        )
    (found,) = caught.value.problems
    assert (found.source, found.key) == ("config.toml", "vault.journal")
    assert "is on a tmpfs" in found.message
    assert "name a folder on a disk" in found.remedy
    check_journal(
        tmp_path, database=None, is_volatile_allowed=True, source="config.toml", mounts=mounts
    )


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="no second file system here")
def test_only_a_vault_that_is_volatile_itself_may_have_one(tmp_path: Path) -> None:
    if SHARED_MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("all is on one file system")

    def check(folder: Path, database: Path) -> None:
        check_journal(
            folder, database=database, is_volatile_allowed=False, source="", mounts=mounts
        )

    mounts = mounts_of(tmp_path, "tmpfs")
    check(tmp_path / "journals", tmp_path / "vault.db")
    check(SHARED_MEMORY, tmp_path / "vault.db")
    with pytest.raises(ConfigurationError):
        check(tmp_path / "journals", SHARED_MEMORY / "vault.db")


async def test_nothing_opens_with_a_journal_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "connector.file_systems._device_of", lambda path: 21 if path.name == "elsewhere" else 1
    )
    monkeypatch.setattr("connector.file_systems._mounted", lambda _: [(21, "tmpfs")])
    with workbench(tmp_path) as bench:
        await _opens(bench)
        bench.configure(replace=("[vault]", '[vault]\njournal = "elsewhere"'))
        with pytest.raises(ConfigurationError, match=r"vault\.journal: .*elsewhere is on a tmpfs"):
            await _opens(bench)
        lines = '[vault]\njournal = "elsewhere"\nallow_volatile_journal = true'
        bench.configure(replace=("[vault]", lines))
        await _opens(bench)


async def _opens(bench: Workbench) -> None:
    async with bench.runtime() as runtime:
        assert await runtime.accounts.all() == []


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o701, 0o770])
def test_a_journal_that_others_may_enter_is_refused(tmp_path: Path, mode: int) -> None:
    """CHECKLIST 137: and left as it is; it may be another program's folder."""
    folder = tmp_path / "journal"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(VaultSealed, match="is open to others") as caught:
        check_mode(folder)
    assert caught.value.remedy == f"Type: chmod 700 {folder}"
    assert folder.stat().st_mode & 0o777 == mode
    folder.chmod(0o700)
    check_mode(folder)


def test_a_journal_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(VaultSealed, match="belongs to another user"):
        check_mode(tmp_path)


def test_a_journal_that_is_not_there_yet_is_made_private(tmp_path: Path) -> None:
    check_mode(tmp_path / "none")
    with workbench(tmp_path) as bench:
        folder = load_settings(bench.config).vault.journal
        check_mode(folder)
        Journal(folder).prepare()
        check_mode(folder)
