"""SQLite's locks do not reach other hosts: its file is not kept where they write as well."""

from pathlib import Path

import pytest

from connector.errors import VaultSealed
from connector.file_systems import network_type
from connector.store.sqlite_file import check_file, prepare_file
from tests.unit.test_journal_folder import mounts_of


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph"])
def test_a_file_system_that_hosts_share_is_known(tmp_path: Path, kind: str) -> None:
    mounts = mounts_of(tmp_path, kind)
    assert network_type(tmp_path / "new" / "vault.db", mounts) == kind


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "overlay", "tmpfs", "zfs", "9p"])
def test_a_disk_is_none(tmp_path: Path, kind: str) -> None:
    assert network_type(tmp_path, mounts_of(tmp_path, kind)) is None


def test_where_the_kernel_does_not_say_nothing_is_known(tmp_path: Path) -> None:
    assert network_type(tmp_path, tmp_path / "none") is None


def test_a_vault_there_is_neither_made_nor_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CHECKLIST 141: not even an empty file is left behind."""
    path, old = tmp_path / "vault.db", tmp_path / "old.db"
    prepare_file(old)
    monkeypatch.setattr("connector.store.sqlite_file.network_type", lambda _: "nfs4")
    for use, place in ((prepare_file, path), (prepare_file, old), (check_file, old)):
        with pytest.raises(VaultSealed, match=r"on a network file system \(nfs4\)") as caught:
            use(place)
        assert "or use Postgres" in caught.value.remedy
    assert not path.exists()
