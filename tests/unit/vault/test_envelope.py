"""The envelope: its bytes for good, and what does not open."""

import dataclasses
import itertools

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import assume, given
from hypothesis import strategies as st

from connector.vault.envelope import (
    NotOpened,
    Place,
    _associated_data,
    is_outdated,
    key_id_of,
    seal,
    unseal,
)

KEY_BYTES = bytes(range(32))
KEY = AESGCM(KEY_BYTES)
KEYS = {7: KEY}
GOLDEN = "02000000076465666768696a6b6c6d6e6f3a7eb8141c9a3eb30f3df6d79e0b1223f566bb95f1f11b3aea"
OLDER = "01000000076465666768696a6b6c6d6e6f3a7eb8141c9a3eb30fca430724c4f15b1d62c09e589538ba81"
PLACE = Place(table="account", row="0a1b", field="refresh_token", generation=3, bound_to="acme f1")


def _seal(
    plaintext: bytes, place: Place = PLACE, *, store_id: str = "store", key_id: int = 7
) -> bytes:
    return seal(
        plaintext,
        key=KEY,
        key_id=key_id,
        store_id=store_id,
        place=place,
        token_bytes=lambda length: bytes(range(100, 100 + length)),
    )


def _unseal(sealed: bytes, place: Place = PLACE, *, store_id: str = "store") -> bytes:
    return unseal(sealed, keys=KEYS, store_id=store_id, place=place)


def test_its_bytes_are_what_they_always_were() -> None:
    """Golden: version, key id, nonce, ciphertext and tag. What is stored must open for ever."""
    assert _seal(b"refresh-1").hex() == GOLDEN
    assert _unseal(bytes.fromhex(GOLDEN)) == b"refresh-1"


def test_its_bytes_can_be_made_without_our_code() -> None:
    """The format as docstrings tell it, and nothing of ours but that."""
    header = b"\x02" + b"\x00\x00\x00\x07"
    nonce = bytes(range(100, 112))
    parts = [b"store", b"account", b"refresh_token", b"acme f1"]
    names = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    data = header + names + b"\x00\x00\x00\x00\x00\x00\x00\x03" + b"0a1b"
    ciphertext = AESGCM(KEY_BYTES).encrypt(nonce, b"refresh-1", data)
    assert _seal(b"refresh-1") == header + nonce + ciphertext


class TestVersion1:
    """What earlier versions of this program have stored: not written any more, and opened."""

    def test_it_opens_whatever_it_is_bound_to(self) -> None:
        assert is_outdated(bytes.fromhex(OLDER))
        assert _unseal(bytes.fromhex(OLDER)) == b"refresh-1"
        unbound = dataclasses.replace(PLACE, bound_to="")
        assert _unseal(bytes.fromhex(OLDER), unbound) == b"refresh-1"

    def test_its_bytes_are_those_of_the_format(self) -> None:
        header = b"\x01" + b"\x00\x00\x00\x07"
        nonce = bytes(range(100, 112))
        parts = [b"store", b"account", b"0a1b", b"refresh_token", b"3"]
        data = header + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        ciphertext = AESGCM(KEY_BYTES).encrypt(nonce, b"refresh-1", data)
        assert bytes.fromhex(OLDER) == header + nonce + ciphertext

    @pytest.mark.parametrize(
        ("field", "value"),
        [("table", "b"), ("row", "0a1c"), ("field", "access_token"), ("generation", 2)],
    )
    def test_moved_to_any_other_place_it_does_not_open(self, field: str, value: object) -> None:
        moved = dataclasses.replace(PLACE, **{field: value})  # type: ignore[arg-type]
        with pytest.raises(NotOpened):
            _unseal(bytes.fromhex(OLDER), moved)

    def test_none_passes_for_the_other_version(self) -> None:
        older, newer = bytearray.fromhex(OLDER), bytearray(_seal(b"refresh-1"))
        older[0], newer[0] = 2, 1
        for changed in (older, newer):
            with pytest.raises(NotOpened):
                _unseal(bytes(changed))

    def test_every_byte_counts(self) -> None:
        for position in range(len(bytes.fromhex(OLDER))):
            changed = bytearray.fromhex(OLDER)
            changed[position] ^= 1
            with pytest.raises(NotOpened):
                _unseal(bytes(changed))


@pytest.mark.parametrize("generation", [2**63, -(2**63) - 1, "three", 3.0])
def test_a_generation_that_is_none_does_not_open(generation: object) -> None:
    """SQLite keeps a text in a column of integers."""
    moved = dataclasses.replace(PLACE, generation=generation)  # type: ignore[arg-type]
    with pytest.raises(NotOpened):
        _unseal(_seal(b"refresh-1"), moved)


def test_it_tells_its_key() -> None:
    assert key_id_of(_seal(b"", key_id=7)) == 7
    assert key_id_of(_seal(b"", key_id=2**32 - 1)) == 2**32 - 1


def test_every_byte_counts() -> None:
    sealed = _seal(b"refresh-1")
    for position, bit in itertools.product(range(len(sealed)), range(8)):
        changed = bytearray(sealed)
        changed[position] ^= 1 << bit
        with pytest.raises(NotOpened):
            _unseal(bytes(changed))


def test_every_length_counts() -> None:
    sealed = _seal(b"refresh-1")
    for length in range(len(sealed)):
        with pytest.raises(NotOpened):
            _unseal(sealed[:length])
    with pytest.raises(NotOpened):
        _unseal(sealed + b"\0")


@pytest.mark.parametrize("version", [0, 3, 255])
def test_an_unknown_version_is_not_tried(version: int) -> None:
    sealed = bytes([version]) + _seal(b"refresh-1")[1:]
    with pytest.raises(NotOpened, match="unknown version"):
        key_id_of(sealed)
    with pytest.raises(NotOpened, match="unknown version"):
        _unseal(sealed)


PLACES = [
    Place(table=table, row=row, field=field, generation=generation, bound_to=bound_to)
    for table in ("account", "revocation")
    for row in ("0a1b", "0a1c")
    for field in ("refresh_token", "access_token")
    for generation in (0, 3, 4)
    for bound_to in ("", "acme f1", "acme f2")
]


@pytest.mark.parametrize("store_id", ["store", "another store"])
def test_it_opens_where_it_was_sealed_and_nowhere_else(store_id: str) -> None:
    for origin, destination in itertools.product(PLACES, PLACES):
        sealed = _seal(b"refresh-1", origin, store_id=store_id)
        if (origin, store_id) == (destination, "store"):
            assert _unseal(sealed, destination) == b"refresh-1"
        else:
            with pytest.raises(NotOpened):
                _unseal(sealed, destination)


def test_the_words_of_a_place_cannot_be_shifted() -> None:
    """Parts have their length before them, so that no two places look alike."""
    left = Place(table="ab", row="c", field="d")
    right = Place(table="a", row="bc", field="d")
    with pytest.raises(NotOpened):
        _unseal(_seal(b"", left), right)


def test_a_place_says_which_it_is() -> None:
    assert str(PLACE) == "refresh_token of account 0a1b, generation 3"


words = st.text(max_size=20)
places = st.builds(
    Place,
    table=words,
    row=words,
    field=words,
    generation=st.integers(-(2**63), 2**63 - 1),
    bound_to=words,
)


@given(
    plaintext=st.binary(max_size=300),
    place=places,
    store_id=words,
    key_id=st.integers(0, 2**32 - 1),
    nonce=st.binary(min_size=12, max_size=12),
)
def test_what_is_sealed_opens(
    plaintext: bytes, place: Place, store_id: str, key_id: int, nonce: bytes
) -> None:
    sealed = seal(
        plaintext,
        key=KEY,
        key_id=key_id,
        store_id=store_id,
        place=place,
        token_bytes=lambda _length: nonce,
    )
    assert key_id_of(sealed) == key_id
    assert unseal(sealed, keys={key_id: KEY}, store_id=store_id, place=place) == plaintext
    assert len(sealed) == 1 + 4 + 12 + len(plaintext) + 16


@given(one=places, other=places, store_id=words, other_store_id=words)
def test_two_places_are_never_the_same_to_the_cipher(
    one: Place, other: Place, store_id: str, other_store_id: str
) -> None:
    is_same = (one, store_id) == (other, other_store_id)
    header = b"\2\0\0\0\1"
    data = _associated_data(header, store_id, one)
    assert (data == _associated_data(header, other_store_id, other)) is is_same


@given(plaintext=st.binary(max_size=60), place=places, mask=st.integers(1, 255), data=st.data())
def test_with_any_byte_changed_it_does_not_open(
    plaintext: bytes, place: Place, mask: int, data: st.DataObject
) -> None:
    changed = bytearray(_seal(plaintext, place))
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= mask
    with pytest.raises(NotOpened):
        _unseal(bytes(changed), place)


@given(
    one=places,
    field=st.sampled_from(("table", "row", "field", "generation", "bound_to")),
    other=places,
)
def test_moved_to_any_other_place_it_does_not_open(one: Place, field: str, other: Place) -> None:
    """By one of its words alone, and by all of them."""
    for moved in (other, dataclasses.replace(one, **{field: getattr(other, field)})):
        if moved != one:
            with pytest.raises(NotOpened):
                _unseal(_seal(b"refresh-1", one), moved)


@given(place=places, store_id=words, other=words)
def test_in_any_other_store_it_does_not_open(place: Place, store_id: str, other: str) -> None:
    assume(store_id != other)
    with pytest.raises(NotOpened):
        _unseal(_seal(b"refresh-1", place, store_id=store_id), place, store_id=other)


@given(st.binary(max_size=200))
def test_any_bytes_do_not_open_and_do_no_harm(junk: bytes) -> None:
    with pytest.raises(NotOpened):
        _unseal(junk)
    try:
        assert 0 <= key_id_of(junk) < 2**32
    except NotOpened:
        assert len(junk) < 33 or junk[0] not in {1, 2}


@given(version=st.sampled_from((b"\1", b"\2")), junk=st.binary(min_size=28, max_size=200))
def test_any_bytes_that_look_like_an_envelope_do_not_open(version: bytes, junk: bytes) -> None:
    with pytest.raises(NotOpened):
        _unseal(version + b"\0\0\0\7" + junk)
