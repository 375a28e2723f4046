"""The file of a vault: made private and whole, or refused with what to type."""

import errno
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from connector.errors import VaultSealed
from connector.store.sqlite_file import check_file, prepare_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A vault's file that is as it should be."""
    file = tmp_path / "vault.db"
    assert prepare_file(file)
    return file


def test_a_new_file_is_a_database_of_ours_and_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "vault.db"
    assert prepare_file(path)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (path.parent, path.parents[1])] == [
        0o700,
        0o700,
    ], "each folder that was made"
    assert os.listdir(path.parent) == ["vault.db"]  # noqa: PTH208
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA application_id").fetchone() == (0x434E4354,)
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    prepare_file(tmp_path / "vault.db")
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_file_that_is_there_is_never_written_to(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE mine (a)")
        database.commit()
    before = path.read_bytes()
    assert not prepare_file(path)
    assert path.read_bytes() == before


def test_a_file_that_another_process_makes_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "vault.db"
    link = os.link

    def be_late(*arguments: object, **options: object) -> None:
        path.write_bytes(b"the other one")
        path.chmod(0o600)
        link(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", be_late)
    assert not prepare_file(path)
    assert path.read_bytes() == b"the other one"
    assert os.listdir(tmp_path) == ["vault.db"], "nothing half-made is left"  # noqa: PTH208


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
def test_what_others_may_open_is_refused(path: Path, mode: int, suffix: str) -> None:
    file = path.with_name(path.name + suffix)
    file.touch()
    file.chmod(mode)
    for look in (check_file, prepare_file):
        with pytest.raises(VaultSealed, match=f"{suffix} is open to others") as caught:
            look(path)
        assert caught.value.remedy == f"Type: chmod 600 {file}"
    assert stat.S_IMODE(file.stat().st_mode) == mode, "it is for the operator to mend"


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_what_the_owner_alone_may_open_is_taken(path: Path, mode: int) -> None:
    path.chmod(mode)
    check_file(path)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_link_is_refused_wherever_it_leads(path: Path, suffix: str) -> None:
    target = path.with_name("elsewhere")
    target.touch(mode=0o600)
    link = path.with_name(path.name + suffix)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    with pytest.raises(VaultSealed, match="not a regular file"):
        prepare_file(path)
    assert target.read_bytes() == b""


def test_a_link_that_leads_nowhere_makes_no_file(tmp_path: Path) -> None:
    path = tmp_path / "vault.db"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VaultSealed, match="not a regular file"):
        prepare_file(path)
    assert not (tmp_path / "elsewhere").exists()


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(VaultSealed, match="not a regular file"):
            check_file(tmp_path / name)


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(VaultSealed, match="belongs to another user"):
        check_file(path)


def test_the_superuser_may_look_after_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    if path.stat().st_uid == 0:
        os.chown(path, 12345, 12345)
    check_file(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(VaultSealed, match="No such file"):
        check_file(tmp_path / "vault.db")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(VaultSealed, match="cannot be created: Not a directory"):
        prepare_file(tmp_path / "file" / "vault.db")


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("disk I/O error")],
)
def test_a_file_that_cannot_be_made_whole_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(_path: Path) -> None:
        raise error

    monkeypatch.setattr("connector.store.sqlite_file._mark", fail)
    with pytest.raises(VaultSealed, match=r"cannot be created: (No space|disk I/O)"):
        prepare_file(tmp_path / "vault.db")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_what_lies_beside_it_and_cannot_be_looked_at_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat = Path.lstat

    def refuse(one: Path) -> os.stat_result:
        if one.name.endswith("-wal"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return lstat(one)

    monkeypatch.setattr(Path, "lstat", refuse)
    with pytest.raises(VaultSealed, match="-wal cannot be read: Permission denied"):
        check_file(path)
