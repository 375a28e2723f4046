"""The vault: keys by their number alone, and nothing without the root key."""

import dataclasses
import os
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import VaultSealed
from connector.secret import Secret
from connector.testing import MemorySeal
from connector.vault.envelope import Place, seal
from connector.vault.vault import Vault, WrappedKey, create_vault, open_vault

ROOT_KEY = bytes(range(32))
PLACE = Place(table="account", row="0a1b", field="refresh_token", generation=3)


def _vault(*key_ids: int, store_id: str = "store", root_key: bytes = ROOT_KEY) -> Vault:
    return Vault(store_id, root_key, {key_id: bytes([key_id]) * 32 for key_id in key_ids})


def test_what_is_sealed_opens() -> None:
    vault = _vault(1)
    assert vault.open(vault.seal(b"token", PLACE), PLACE) == b"token"
    assert vault.open_secret(vault.seal_secret(Secret("tökén"), PLACE), PLACE) == Secret("tökén")


def test_no_two_sealed_values_are_alike() -> None:
    vault = _vault(1)
    assert len({vault.seal(b"token", PLACE) for _ in range(1000)}) == 1000


def test_nonces_are_taken_from_the_source_that_is_given() -> None:
    vault = Vault("store", ROOT_KEY, {1: b"\1" * 32}, token_bytes=lambda length: b"n" * length)
    assert vault.seal(b"token", PLACE)[5:17] == b"n" * 12


def test_what_does_not_open_says_where_it_was_and_nothing_is_lost_besides() -> None:
    vault = _vault(1)
    sealed = vault.seal(b"canary", PLACE)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(VaultSealed) as caught:
            vault.open(bytes(changed), PLACE)
        assert "refresh_token of account 0a1b, generation 3 does not open" in caught.value.reason
        assert "connect it again" in caught.value.remedy
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"table": "revocation"}, {"row": "0a1c"}, {"field": "access_token"}, {"generation": 2}],
)
def test_a_value_that_was_moved_does_not_open(change: dict[str, object]) -> None:
    vault = _vault(1)
    elsewhere = dataclasses.replace(PLACE, **change)  # type: ignore[arg-type]
    with pytest.raises(VaultSealed, match="another place"):
        vault.open(vault.seal(b"token", PLACE), elsewhere)


def test_a_value_of_another_store_does_not_open_even_with_its_key() -> None:
    with pytest.raises(VaultSealed, match="another place"):
        _vault(1, store_id="other").open(_vault(1).seal(b"token", PLACE), PLACE)


def test_new_values_take_the_newest_key_and_old_ones_keep_theirs() -> None:
    old = _vault(1)
    sealed = old.seal(b"token", PLACE)
    both = _vault(1, 2)
    assert both.current_key_id == 2
    assert both.open(sealed, PLACE) == b"token"
    newer = both.seal(b"token", PLACE)
    assert newer[1:5] == b"\0\0\0\2"
    with pytest.raises(VaultSealed, match="sealed with key 2, which is not here"):
        old.open(newer, PLACE)


def test_a_new_data_key_is_used_once_it_is_taken_in() -> None:
    """By the vault that made it, and by another one of the same store."""
    vault, other = _vault(1), _vault(1)
    made = vault.new_data_key()
    assert (made.key_id, vault.current_key_id) == (2, 1), "it has to be stored first"
    vault.add_keys([made])
    sealed = vault.seal(b"token", PLACE)
    assert sealed[1:5] == b"\0\0\0\2"
    assert other.lacks_key(sealed)
    other.add_keys([made])
    assert not other.lacks_key(sealed)
    assert other.open(sealed, PLACE) == b"token"
    assert vault.new_data_key().key_id == 3


def test_a_data_key_that_does_not_open_is_as_good_as_none() -> None:
    vault = _vault(1)
    vault.add_keys([_vault(1, root_key=b"\xff" * 32).new_data_key()])
    vault.add_keys([WrappedKey(key_id=2, wrapped=b"junk"), WrappedKey(key_id=1, wrapped=b"junk")])
    assert vault.current_key_id == 1
    assert vault.open(vault.seal(b"token", PLACE), PLACE) == b"token"


@pytest.mark.parametrize("junk", [b"", b"\1", b"\3" + b"\0" * 60])
def test_what_is_no_envelope_lacks_no_key(junk: bytes) -> None:
    assert not _vault(1).lacks_key(junk)


def test_a_key_is_chosen_by_its_number_and_no_other_is_tried() -> None:
    """CHECKLIST 117: AES-GCM does not commit to its key."""
    sealed = _vault(1).seal(b"token", PLACE)
    claims_another = sealed[:1] + b"\0\0\0\2" + sealed[5:]
    with pytest.raises(VaultSealed, match="changed"):
        _vault(1, 2).open(claims_another, PLACE)
    forged = seal(
        b"token",
        key=AESGCM(b"\1" * 32),
        key_id=2,
        store_id="store",
        place=PLACE,
        token_bytes=os.urandom,
    )
    with pytest.raises(VaultSealed, match="changed"):
        _vault(1, 2).open(forged, PLACE)


def test_a_fingerprint_is_keyed_short_and_the_same_every_time() -> None:
    secret = Secret("token")
    print_ = _vault(1).fingerprint(secret)
    assert print_ == _vault(1, 2).fingerprint(secret), "new data keys do not change it"
    assert print_ != _vault(1, root_key=b"\xff" * 32).fingerprint(secret), "it is keyed"
    assert print_ != _vault(1).fingerprint(Secret("token2"))
    assert print_ == "7cf206bea228416b", "golden: it stands in databases"


def test_what_has_a_lone_surrogate_is_kept_as_well() -> None:
    """JSON can hold one; it must not cost us a refresh token."""
    vault, secret = _vault(1), Secret("a\ud800b\0")
    opened = vault.open_secret(vault.seal_secret(secret, PLACE), PLACE)
    assert opened.reveal() == secret.reveal()
    assert vault.fingerprint(secret)


def test_a_vault_shows_no_key() -> None:
    vault = _vault(1)
    assert repr(ROOT_KEY) not in repr(vault)
    for value in vars(vault).values():
        assert value != ROOT_KEY
        assert bytes([1]) * 32 != value


@given(st.binary(max_size=120))
def test_any_bytes_do_not_open_and_do_no_harm(junk: bytes) -> None:
    vault = _vault(1)
    for bytes_ in (junk, b"\1\0\0\0\1" + junk):
        with pytest.raises(VaultSealed):
            vault.open(bytes_, PLACE)


@given(st.text(st.characters(), max_size=100))
def test_any_text_is_kept(text: str) -> None:
    vault = _vault(1)
    sealed = vault.seal_secret(Secret(text), PLACE)
    assert vault.open_secret(sealed, PLACE).reveal() == text


def test_a_new_vault_opens_again_with_what_was_stored_of_it() -> None:
    seal_ = MemorySeal()
    made, wrapped_root, data_key = create_vault(seal_, "store")
    opened = open_vault(seal_, "store", wrapped_root, [data_key])
    assert opened.open(made.seal(b"token", PLACE), PLACE) == b"token"
    assert opened.fingerprint(Secret("token")) == made.fingerprint(Secret("token"))
    assert (data_key.key_id, opened.current_key_id) == (1, 1)


def test_keys_are_new_every_time() -> None:
    made = [create_vault(MemorySeal(), "store") for _ in range(5)]
    assert len({vault.fingerprint(Secret("token")) for vault, _, _ in made}) == 5
    assert len({wrapped_root for _, wrapped_root, _ in made}) == 5


def test_another_root_key_opens_no_data_key() -> None:
    seal_ = MemorySeal()
    _, _, data_key = create_vault(seal_, "store")
    _, other_root, _ = create_vault(seal_, "store")
    with pytest.raises(VaultSealed, match="data key 1 does not open with the root key"):
        open_vault(seal_, "store", other_root, [data_key])


@pytest.mark.parametrize(
    "change",
    [
        lambda _wrapped: b"",
        lambda wrapped: wrapped[:10],
        lambda wrapped: wrapped[:-1] + bytes([wrapped[-1] ^ 1]),
        lambda wrapped: b"\1" + wrapped[1:],
    ],
)
def test_a_data_key_that_was_changed_is_refused(change: Callable[[bytes], bytes]) -> None:
    seal_ = MemorySeal()
    _, wrapped_root, data_key = create_vault(seal_, "store")
    changed = WrappedKey(key_id=1, wrapped=change(data_key.wrapped))
    with pytest.raises(VaultSealed, match="data key 1 does not open"):
        open_vault(seal_, "store", wrapped_root, [changed])


def test_a_data_key_under_another_number_is_refused() -> None:
    seal_ = MemorySeal()
    _, wrapped_root, data_key = create_vault(seal_, "store")
    moved = WrappedKey(key_id=2, wrapped=data_key.wrapped)
    with pytest.raises(VaultSealed, match="data key 2 does not open"):
        open_vault(seal_, "store", wrapped_root, [moved])


def test_without_data_keys_there_is_no_vault() -> None:
    seal_ = MemorySeal()
    _, wrapped_root, _ = create_vault(seal_, "store")
    with pytest.raises(VaultSealed, match="no data key"):
        open_vault(seal_, "store", wrapped_root, [])


def test_a_seal_that_does_not_give_back_the_root_key_is_found_out_at_once() -> None:
    class Forgetful(MemorySeal):
        def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
            return super().unwrap(wrapped, store_id)[:-1] + b"?"

    with pytest.raises(VaultSealed, match="does not give back"):
        create_vault(Forgetful(), "store")
