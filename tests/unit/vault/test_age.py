"""The age format: what another implementation reads and writes, and what does not open."""

import base64
import io
import tracemalloc
from collections.abc import Callable, Iterable
from typing import cast

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.secret import Secret
from connector.vault import age_header
from connector.vault.age import CHUNK_BYTES, NONCE_BYTES, TAG_BYTES, AgeWriter, plaintext, unlock
from connector.vault.age_header import AgeError, Stanza, encode_base64, write_header
from connector.vault.age_keys import (
    LARGEST_WORK_FACTOR,
    Identity,
    Passphrase,
    Recipient,
    X25519Identity,
    X25519Recipient,
    _wrap,
)

#: age-encryption.org/v1, "The X25519 recipient type".
IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
OTHER = "AGE-SECRET-KEY-1QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSWPC8QURSKMP32K"
#: Made with the bytes 0, 1, 2 … for whatever is drawn at random.
GOLDEN = (
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSA4VC92UHZxVm1LS2lQOGRXdjJpUDZMdlg5cytWS0x1dTg3"
    "UkVKb2p3cXpFCkkxLzcvQUQvY3QyNGVsSzdOY01SL3JyaFZQVGNPblpDWENJUzBDK0gvV2sKLS0tIEI4M1JKaWRv"
    "cmNwZTQ2dHVBSFp0NU5RNlg2R0ZkSlNZR2JtdzFuazQxd0UKEBESExQVFhcYGRobHB0eH+LWU7pXsJ/q5fECnwCV"
    "9YSqziMybEI="
)
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES - 7]
_FILE_KEY = bytes(range(16))


def me(secret: str = IDENTITY) -> X25519Identity:
    return X25519Identity(Secret(secret))


def cheap(passphrase: str = "correct horse") -> Passphrase:
    return Passphrase(Secret(passphrase), work_factor=4)


def encrypted(data: bytes, *recipients: Recipient, step: int = 50_000) -> bytes:
    sink = io.BytesIO()
    writer = AgeWriter(sink, recipients or [X25519Recipient(RECIPIENT)])
    for start in range(0, len(data), step):
        writer.write(data[start : start + step])
    writer.finish()
    return sink.getvalue()


def decrypted(file: bytes, *identities: Identity) -> bytes:
    source = io.BytesIO(file)
    unlocked = unlock(source, identities or [me()])
    return b"".join(plaintext(source, unlocked))


def patterned(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def header_length(file: bytes) -> int:
    return file.index(b"\n", file.index(b"\n--- ") + 1) + 1


class TestAnotherImplementation:
    """pyrage: rage, in Rust, by the format's co-author."""

    @pytest.mark.parametrize("size", SIZES)
    def test_it_reads_what_we_write(self, size: int) -> None:
        data = patterned(size)
        theirs = pyrage.x25519.Identity.from_str(IDENTITY)
        assert pyrage.decrypt(encrypted(data), [theirs]) == data

    @pytest.mark.parametrize("size", SIZES)
    def test_we_read_what_it_writes(self, size: int) -> None:
        data = patterned(size)
        theirs = pyrage.x25519.Recipient.from_str(RECIPIENT)
        assert decrypted(pyrage.encrypt(data, [theirs])) == data

    def test_several_recipients(self) -> None:
        """Also of a kind that we do not know (ours reads past them)."""
        theirs = [pyrage.x25519.Identity.generate() for _ in range(3)]
        texts = [str(identity.to_public()) for identity in theirs]
        ours = encrypted(b"to all", *map(X25519Recipient, [*texts, RECIPIENT]))
        assert {pyrage.decrypt(ours, [identity]) for identity in theirs} == {b"to all"}
        assert decrypted(ours) == b"to all"
        recipients = [pyrage.x25519.Recipient.from_str(text) for text in [*texts, RECIPIENT]]
        assert decrypted(pyrage.encrypt(b"to all", recipients)) == b"to all"

    def test_passphrases(self) -> None:
        """Theirs takes about a second of work, ours is told how much."""
        theirs = pyrage.passphrase.encrypt(b"secret", "größe 🔑")
        assert decrypted(theirs, Passphrase(Secret("größe 🔑"))) == b"secret"
        assert pyrage.passphrase.decrypt(encrypted(b"secret", cheap("größe")), "größe") == b"secret"

    def test_keys(self) -> None:
        """A public key belongs to its secret key, in both."""
        theirs = pyrage.x25519.Identity.generate()
        assert me(str(theirs)).recipient == str(theirs.to_public())
        assert me().recipient == RECIPIENT


def test_its_bytes_are_what_they_always_were() -> None:
    """A file of ours must open for ever."""
    counter = iter(range(1000))

    def numbered(length: int) -> bytes:
        return bytes(next(counter) for _ in range(length))

    recipient = X25519Recipient(
        RECIPIENT, new_key=lambda: X25519PrivateKey.from_private_bytes(b"\x17" * 32)
    )
    sink = io.BytesIO()
    writer = AgeWriter(sink, [recipient], token_bytes=numbered)
    writer.write(b"golden")
    writer.finish()
    assert base64.b64encode(sink.getvalue()).decode() == GOLDEN
    assert decrypted(base64.b64decode(GOLDEN)) == b"golden"


@given(st.binary(max_size=300), st.integers(1, 80), st.integers(0, 2))
def test_what_is_written_is_read(data: bytes, step: int, chunks: int) -> None:
    whole = bytes(chunks * CHUNK_BYTES) + data
    assert decrypted(encrypted(whole, step=step if not chunks else 70_000)) == whole


class TestChanged:
    """Nothing of a file can be changed unnoticed."""

    def test_each_bit_of_the_header_counts(self) -> None:
        file = encrypted(b"data", X25519Recipient(RECIPIENT), X25519Recipient(me(OTHER).recipient))
        length = header_length(file)
        for place in range(length + NONCE_BYTES):
            for bit in range(8):
                changed = bytearray(file)
                changed[place] ^= 1 << bit
                with pytest.raises(AgeError):
                    decrypted(bytes(changed))

    def test_each_bit_of_a_passphrases_header_counts(self) -> None:
        file = encrypted(b"data", cheap())
        for place in range(header_length(file)):
            changed = bytearray(file)
            changed[place] ^= 1
            with pytest.raises(AgeError):
                decrypted(bytes(changed), cheap())

    def test_each_byte_of_a_small_payload_counts(self) -> None:
        file = encrypted(b"data")
        for place in range(header_length(file), len(file)):
            for mask in (1, 0x80):
                changed = bytearray(file)
                changed[place] ^= mask
                with pytest.raises(AgeError, match="changed, or is cut"):
                    decrypted(bytes(changed))

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_a_byte_of_any_chunk_counts(self, drawn: st.DataObject) -> None:
        file = LARGE
        place = drawn.draw(st.integers(header_length(file), len(file) - 1))
        changed = bytearray(file)
        changed[place] ^= drawn.draw(st.integers(1, 255))
        with pytest.raises(AgeError, match="changed, or is cut"):
            decrypted(bytes(changed))

    def test_cut_anywhere_near_a_chunks_edge(self) -> None:
        sealed = CHUNK_BYTES + TAG_BYTES
        start = header_length(LARGE) + NONCE_BYTES
        for number in range(4):
            for near in (-1, 0, 1, TAG_BYTES - 1, TAG_BYTES, TAG_BYTES + 1):
                end = start + number * sealed + near
                if end < len(LARGE):
                    with pytest.raises(AgeError):
                        decrypted(LARGE[:end])

    def test_cut_anywhere_in_a_small_file(self) -> None:
        file = encrypted(b"some data")
        for end in range(len(file)):
            with pytest.raises(AgeError):
                decrypted(file[:end])

    def test_chunks_in_another_order_repeated_or_left_out(self) -> None:
        sealed = CHUNK_BYTES + TAG_BYTES
        start = header_length(LARGE) + NONCE_BYTES
        first, second, last = (
            LARGE[start + n * sealed : start + (n + 1) * sealed] for n in range(3)
        )
        head = LARGE[:start]
        for parts in ((second, first, last), (first, last), (first, first, second, last), (last,)):
            with pytest.raises(AgeError):
                decrypted(head + b"".join(parts))

    def test_something_behind_the_end(self) -> None:
        for size in (4, CHUNK_BYTES):
            for more in (b"\0", bytes(CHUNK_BYTES + TAG_BYTES)):
                with pytest.raises(AgeError):
                    decrypted(encrypted(bytes(size)) + more)

    def test_an_empty_chunk_at_the_end(self) -> None:
        """Made with the right key: the specification forbids it all the same."""
        from connector.vault.age import _Chunks

        chunks = _Chunks(_FILE_KEY, bytes(NONCE_BYTES))
        header = write_header([X25519Recipient(RECIPIENT).wrap(_FILE_KEY)], _FILE_KEY)
        full = chunks.seal(bytes(CHUNK_BYTES), is_last=False)
        file = header + bytes(NONCE_BYTES) + full + chunks.seal(b"", is_last=True)
        with pytest.raises(AgeError, match="empty chunk"):
            decrypted(file)

    def test_what_comes_before_the_change_is_given(self) -> None:
        """So that nothing may be done on its word: whoever reads learns of it at the end."""
        changed = bytearray(LARGE)
        changed[-1] ^= 1
        source = io.BytesIO(changed)
        chunks = plaintext(source, unlock(source, [me()]))
        assert len(next(chunks)) == CHUNK_BYTES
        with pytest.raises(AgeError):
            list(chunks)


LARGE = encrypted(patterned(2 * CHUNK_BYTES + 1000))


class TestKeys:
    @pytest.mark.parametrize(
        ("file", "identity"),
        [
            (encrypted(b"data"), me(OTHER)),
            (encrypted(b"data"), cheap()),
            (encrypted(b"data", cheap()), me()),
            (encrypted(b"data", cheap()), cheap("correct horsf")),
        ],
    )
    def test_a_file_for_others_does_not_open(self, file: bytes, identity: Identity) -> None:
        with pytest.raises(AgeError, match="another key or passphrase"):
            decrypted(file, identity)

    def test_each_of_several_identities_is_tried(self) -> None:
        assert decrypted(encrypted(b"data"), me(OTHER), me()) == b"data"

    @pytest.mark.parametrize(
        "text", ["", "age1", IDENTITY, RECIPIENT[:-1], "ssh-ed25519 AAAA", RECIPIENT + " "]
    )
    def test_what_is_no_recipient_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
            X25519Recipient(text)

    def test_what_is_no_identity_is_refused_and_not_shown(self) -> None:
        for text in (RECIPIENT, IDENTITY[:-1], ""):
            with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is asked
                me(text)
            assert not text or text not in str(caught.value)

    def test_a_passphrase_stands_alone(self) -> None:
        wrapped = [cheap().wrap(_FILE_KEY), X25519Recipient(RECIPIENT).wrap(_FILE_KEY)]
        for stanzas in (wrapped, wrapped[::-1], [wrapped[0], wrapped[0]]):
            with pytest.raises(AgeError, match="forbids"):
                decrypted(write_header(stanzas, _FILE_KEY) + bytes(40), cheap())

    def test_a_work_factor_that_would_take_all_memory_is_refused_at_once(self) -> None:
        for factor in (64, 999_999_999, LARGEST_WORK_FACTOR + 1):
            with pytest.raises(AgeError, match="work factor"):
                decrypted(scrypt_header(str(factor)), cheap())

    @pytest.mark.parametrize("factor", ["0", "04", "-1", "+4", "4.0", "", "4 4", "٤", "1" * 11])
    def test_a_work_factor_is_written_in_one_way(self, factor: str) -> None:
        with pytest.raises((AgeError, UnicodeEncodeError)):
            decrypted(scrypt_header(factor), cheap())

    def test_a_work_factor_is_that_of_the_age_tool(self) -> None:
        assert encrypted(b"", Passphrase(Secret("x"))).split(b"\n")[1].endswith(b" 18")

    def test_every_file_and_stanza_has_randomness_of_its_own(self) -> None:
        one, two = encrypted(b"same"), encrypted(b"same")
        assert one.split(b"\n")[1] != two.split(b"\n")[1]
        assert one[-20:] != two[-20:]
        stanzas = [cheap().wrap(_FILE_KEY) for _ in range(2)]
        assert stanzas[0].arguments[1] != stanzas[1].arguments[1]


def scrypt_header(factor: str) -> bytes:
    stanza = Stanza(
        arguments=("scrypt", encode_base64(bytes(16)), factor), body=_wrap(_FILE_KEY, bytes(32))
    )
    return write_header([stanza], _FILE_KEY) + bytes(40)


class TestHeader:
    """One header has one form, and a limited size."""

    def test_stanzas_of_other_kinds_are_passed_over(self) -> None:
        others = [
            Stanza(arguments=("example.com/enigma", "a", "b"), body=bytes(size))
            for size in (0, 1, 47, 48, 49, 96, 500)
        ]
        stanzas = [*others, X25519Recipient(RECIPIENT).wrap(_FILE_KEY)]
        sink = io.BytesIO(write_header(stanzas, _FILE_KEY))
        assert age_header.read_header(sink).stanzas == tuple(stanzas)
        assert unlock(sink, [me()]).file_key == _FILE_KEY

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda text: text.replace(b"\n", b"\r\n"),
            lambda text: text.replace(b"/v1", b"/v2"),
            lambda text: b"\n" + text,
            lambda text: b"\xef\xbb\xbf" + text,
            lambda text: text.replace(b"-> X25519 ", b"-> X25519  "),
            lambda text: text.replace(b"-> X25519", b"->X25519"),
            lambda text: text.replace(b"-> X25519", b"-> x25519"),
            lambda text: text.replace(b"\n--- ", b"\n---"),
            lambda text: text.replace(b"\n--- ", b"=\n--- "),
            lambda text: text.replace(b"\n--- ", b"\n\n--- "),
            lambda text: text.replace(b"-> X25519", b"-> X25519 more"),
        ],
    )
    def test_another_form_is_refused(self, wrong: Callable[[bytes], bytes]) -> None:
        file = encrypted(b"data")
        length = header_length(file)
        with pytest.raises(AgeError):
            decrypted(wrong(file[:length]) + file[length:])

    def test_base64_has_one_form(self) -> None:
        """The last character of 16 bytes says two bits; others would decode alike."""
        for text in ("AAAAAAAAAAAAAAAAAAAAAB", "AA=", "A", "AA\n", "A A", "AA==", "_-AA"):
            with pytest.raises(AgeError):
                age_header.decode_base64(text)
        assert age_header.decode_base64("AA") == b"\0"

    def test_one_without_recipients_is_none(self) -> None:
        with pytest.raises(AgeError):
            decrypted(write_header([], _FILE_KEY) + bytes(40))

    @pytest.mark.parametrize(
        "endless",
        [
            b"age-encryption.org/v1\n-> X25519 " + b"A" * 200_000,
            b"age-encryption.org/v1\n-> x\n" + (b"A" * 64 + b"\n") * 5_000,
            b"age-encryption.org/v1\n" + b"-> x\n\n" * 20_000,
            b"A" * 200_000,
        ],
    )
    def test_one_without_an_end_is_given_up(self, endless: bytes) -> None:
        source = io.BytesIO(endless)
        with pytest.raises(AgeError, match=r"large|long|no age file"):
            unlock(source, [me()])
        assert source.tell() < 80_000

    def test_a_share_that_gives_the_same_secret_to_everybody_is_refused(self) -> None:
        stanza = Stanza(arguments=("X25519", encode_base64(bytes(32))), body=bytes(32))
        with pytest.raises(AgeError):
            decrypted(write_header([stanza], _FILE_KEY) + bytes(40))

    @pytest.mark.parametrize("size", [0, 31, 33, 48])
    def test_a_wrapped_key_has_its_length(self, size: int) -> None:
        """Longer ones would let a sender try several keys at once (partitioning oracles)."""
        real = X25519Recipient(RECIPIENT).wrap(_FILE_KEY)
        stanza = Stanza(arguments=real.arguments, body=bytes(size))
        with pytest.raises(AgeError, match="malformed"):
            decrypted(write_header([stanza], _FILE_KEY) + bytes(40))

    def test_the_mac_is_of_the_whole_header(self) -> None:
        """A recipient who is added by somebody without the key shows."""
        one, two = encrypted(b"data"), encrypted(b"data", X25519Recipient(me(OTHER).recipient))
        stanza = two.split(b"\n--- ")[0].removeprefix(age_header.VERSION_LINE)
        added = one.replace(b"\n--- ", b"\n" + stanza + b"\n--- ", 1)
        with pytest.raises(AgeError, match="header was changed"):
            decrypted(added)


def test_memory_does_not_grow_with_the_file() -> None:
    """Eight MiB through a sink that keeps nothing, and back from a source of its own."""

    class Sink(io.RawIOBase):
        def write(self, data: object) -> int:
            return len(cast("bytes", data))

    tracemalloc.start()
    try:
        writer = AgeWriter(cast("io.BytesIO", Sink()), [X25519Recipient(RECIPIENT)])
        for _ in range(128):
            writer.write(bytes(CHUNK_BYTES))
        writer.finish()
        assert tracemalloc.get_traced_memory()[1] < 8 * CHUNK_BYTES
    finally:
        tracemalloc.stop()


def test_reading_takes_a_chunk_at_a_time() -> None:
    source = _Slow(LARGE)
    unlocked = unlock(source, [me()])
    assert b"".join(_counted(plaintext(source, unlocked))) == patterned(2 * CHUNK_BYTES + 1000)


class _Slow(io.BytesIO):
    """Gives what a pipe may give: less than was asked for."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1000) if size and size > 0 else size)


def _counted(chunks: Iterable[bytes]) -> Iterable[bytes]:
    for chunk in chunks:
        assert len(chunk) <= CHUNK_BYTES
        yield chunk
