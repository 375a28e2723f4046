"""The seals of our own: each keeps the contract, and none falls back on another."""

import base64
import errno
import os
import stat
from pathlib import Path

import pytest

from connector.errors import VaultSealed
from connector.testing import MemorySeal, SealConformance
from connector.vault.key_file import read_key_file, write_key_file
from connector.vault.seal import LocalSeal, Seal, open_seal

KEY = bytes(range(32))
ROOT_KEY = b"r" * 32


class TestFileSeal(SealConformance):
    def open_seal(self, place: Path) -> Seal:
        return open_seal("file", "root.key", place)


class TestEnvironmentSeal(SealConformance):
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.environment = monkeypatch

    def open_seal(self, place: Path) -> Seal:
        return open_seal("env", f"ROOT_KEY_{place.name}", place)

    def supply_key(self, place: Path) -> None:
        self.environment.setenv(f"ROOT_KEY_{place.name}", _new_key())


class TestCredentialSeal(SealConformance):
    @pytest.fixture(autouse=True)
    def _credentials(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "credentials").mkdir()
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))

    def open_seal(self, place: Path) -> Seal:
        return open_seal("credential", f"root-key-{place.name}", place)

    def supply_key(self, place: Path) -> None:
        credential = place.parent / "credentials" / f"root-key-{place.name}"
        credential.write_text(_new_key())


class TestMemorySeal(SealConformance):
    @pytest.fixture(autouse=True)
    def _places(self) -> None:
        self.places: dict[Path, MemorySeal] = {}

    def open_seal(self, place: Path) -> Seal:
        return self.places.setdefault(place, MemorySeal())


def _new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def _opens(text: str, place: Path) -> bool:
    """Whether a text in a key file stands for `KEY`."""
    file = place / "other.key"
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)
    wrapped = MemorySeal(KEY.hex()).wrap(ROOT_KEY, "store")
    return open_seal("file", "other.key", place).unwrap(wrapped, "store") == ROOT_KEY


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "  \n"])
@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        base64.urlsafe_b64encode(KEY).decode().rstrip("="),
    ],
)
def test_a_key_may_be_written_in_several_ways(text: str, end: str, tmp_path: Path) -> None:
    assert _opens(text + end, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "passw0rd",
        KEY.hex()[:-2],
        KEY.hex() + "00",
        KEY.hex()[:32] + " " * 31 + "0",
        " ".join([KEY.hex()[:32], KEY.hex()[:31]]),
        "zz" * 32,
        base64.b64encode(KEY[:-1]).decode(),
        base64.b64encode(KEY + b"0").decode(),
        base64.b64encode(KEY).decode() + "!",
        "é" * 43,
        "=" * 44,
        "A" * 4096,
    ],
)
def test_what_is_no_key_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(VaultSealed, match="does not hold a key") as caught:
        _opens(text, tmp_path)
    assert "32 random bytes" in caught.value.remedy
    assert text.strip() == "" or text.strip() not in str(caught.value)


def test_a_file_that_begins_with_a_key_is_none(tmp_path: Path) -> None:
    with pytest.raises(VaultSealed, match="has more than 4096 bytes"):
        _opens(KEY.hex() + "\n" * 5000, tmp_path)


def test_a_key_of_half_the_length_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    """Hexadecimal digits may have blanks between them: 16 bytes would make it AES-128."""
    text = " ".join(f"{byte:02x}" for byte in range(22))[:64]
    assert len(text) == 64
    with pytest.raises(VaultSealed, match="does not hold a key"):
        _opens(text + "0", tmp_path)
    with pytest.raises(VaultSealed, match="does not hold a key"):
        _opens(text, tmp_path)


def test_a_new_key_file_is_private_and_holds_a_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_seal("file", "a/b/root.key", tmp_path).prepare("store")
    finally:
        os.umask(before)
    path = tmp_path / "a" / "b" / "root.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parents[1].stat().st_mode) == 0o700
    assert len(base64.urlsafe_b64decode(path.read_text())) == 32
    assert os.listdir(path.parent) == ["root.key"]  # noqa: PTH208


def test_a_key_file_is_never_seen_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets its name when it is whole, on the disk, and private."""
    path, link = tmp_path / "root.key", os.link
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))

    def look_and_link(new: Path, *arguments: object, **options: object) -> None:
        assert not path.exists()
        assert new.read_text() == "text\n"
        assert stat.S_IMODE(new.stat().st_mode) == 0o600
        assert synced == [new.stat().st_ino]
        link(new, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", look_and_link)
    write_key_file(path, "text")
    assert path.read_text() == "text\n"
    assert synced[1:] == [tmp_path.stat().st_ino], "the name as well"


def test_a_key_file_that_is_there_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    write_key_file(path, "first")
    write_key_file(path, "second")
    assert read_key_file(path) == "first"
    assert os.listdir(tmp_path) == ["root.key"]  # noqa: PTH208


def test_of_two_that_make_a_key_at_once_both_use_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (open_seal("file", "root.key", tmp_path) for _ in range(2))
    link = os.link

    def be_late(*arguments: object, **options: object) -> None:
        monkeypatch.setattr(os, "link", link)
        first.prepare("store")
        link(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", be_late)
    second.prepare("store")
    assert second.unwrap(first.wrap(ROOT_KEY, "store"), "store") == ROOT_KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o601, 0o660])
def test_a_key_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "root.key"
    write_key_file(path, KEY.hex())
    path.chmod(mode)
    with pytest.raises(VaultSealed, match="is open to others") as caught:
        read_key_file(path)
    assert caught.value.remedy == f"Type: chmod 600 {path}"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_file_open_to_us_alone_is_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "root.key"
    write_key_file(path, KEY.hex())
    path.chmod(mode)
    assert read_key_file(path) == KEY.hex()


def test_a_key_file_that_everybody_could_replace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    write_key_file(path, KEY.hex())
    tmp_path.chmod(0o777)
    with pytest.raises(VaultSealed, match="everybody may write to") as caught:
        read_key_file(path)
    assert caught.value.remedy == f"Type: chmod o-w {tmp_path}"
    tmp_path.chmod(0o1777)  # as /tmp: others cannot replace it
    assert read_key_file(path) == KEY.hex()
    tmp_path.chmod(0o700)


def test_a_key_file_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "root.key"
    write_key_file(path, KEY.hex())
    owner = path.stat().st_uid
    if owner == 0:
        os.chown(path, 12345, 12345)
        owner = 12345
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(VaultSealed, match="not a regular file of yours"):
        read_key_file(path)


def test_a_key_file_of_root_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "root.key"
    write_key_file(path, KEY.hex())
    if path.stat().st_uid == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert read_key_file(path) == KEY.hex()


@pytest.mark.parametrize("target", ["there.key", "nowhere.key"])
def test_a_link_is_refused_wherever_it_leads(tmp_path: Path, target: str) -> None:
    write_key_file(tmp_path / "there.key", KEY.hex())
    (tmp_path / "root.key").symlink_to(tmp_path / target)
    with pytest.raises(VaultSealed, match=r"root\.key is a link"):
        read_key_file(tmp_path / "root.key")
    with pytest.raises(VaultSealed, match=r"root\.key is a link"):
        open_seal("file", "root.key", tmp_path).prepare("store")
    assert not (tmp_path / "nowhere.key").exists()


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("folder", "pipe"):
        with pytest.raises(VaultSealed, match="not a regular file"):
            read_key_file(tmp_path / name)


def test_a_key_file_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(VaultSealed, match="cannot be read: Permission denied"):
        read_key_file(tmp_path / "root.key")
    with pytest.raises(VaultSealed, match="cannot be written: Permission denied"):
        write_key_file(tmp_path / "root.key", "text")


def test_a_full_disk_leaves_no_half_written_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(VaultSealed, match="No space left"):
        open_seal("file", "root.key", tmp_path).prepare("store")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_a_key_file_is_found_from_the_configurations_folder_or_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, path in (
        ("root.key", tmp_path / "root.key"),
        ("~/root.key", tmp_path / "home" / "root.key"),
        (str(tmp_path / "c" / "root.key"), tmp_path / "c" / "root.key"),
    ):
        seal = open_seal("file", name, tmp_path)
        assert str(path) in seal.description
        seal.prepare("store")
        assert path.is_file()


def test_an_environment_variable_that_is_missing_or_empty_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seal = open_seal("env", "ROOT_KEY", Path())
    monkeypatch.delenv("ROOT_KEY", raising=False)
    for _ in range(2):
        with pytest.raises(VaultSealed, match="export ROOT_KEY="):
            seal.prepare("store")
        with pytest.raises(VaultSealed, match="export ROOT_KEY="):
            seal.wrap(ROOT_KEY, "store")
        monkeypatch.setenv("ROOT_KEY", "")


@pytest.mark.parametrize("name", ["../root-key", "a/b", ".", ".."])
def test_a_credential_is_looked_for_among_the_credentials_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "credentials" / "a").mkdir(parents=True)
    for path in (tmp_path / "root-key", tmp_path / "credentials" / "a" / "b"):
        path.write_text(KEY.hex())
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    with pytest.raises(VaultSealed, match="LoadCredentialEncrypted"):
        open_seal("credential", name, tmp_path).prepare("store")


def test_without_systemd_there_is_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(VaultSealed, match="LoadCredentialEncrypted=root-key"):
        open_seal("credential", "root-key", Path()).prepare("store")


def test_a_credential_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root-key").mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(VaultSealed, match="the systemd credential root-key cannot be read"):
        open_seal("credential", "root-key", tmp_path).prepare("store")


@pytest.mark.parametrize("kind", ["Passphrase", "Keyring", ""])
def test_a_seal_that_is_none_is_not_taken_for_another(kind: str) -> None:
    with pytest.raises(VaultSealed, match="there is no seal"):
        open_seal(kind, "", Path())


def test_a_seal_that_does_not_keep_its_key_is_found_out() -> None:
    class Dropping(MemorySeal):
        def _keep(self, _store_id: str, text: str) -> None:
            """Keep nothing, as the null keyring does."""

    with pytest.raises(VaultSealed, match="did not keep the key"):
        Dropping().prepare("store")
    assert issubclass(MemorySeal, LocalSeal)
