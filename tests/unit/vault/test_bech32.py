"""Bech32: the vectors of BIP 173 and of age, and that no typing error goes unnoticed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.vault import bech32

#: age-encryption.org/v1, "The X25519 recipient type": an identity of 32 times 0x42.
IDENTITY = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
RECIPIENT = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"


def test_the_specifications_identity_is_read_and_written() -> None:
    assert bech32.decode(IDENTITY) == ("age-secret-key-", b"\x42" * 32)
    assert bech32.encode("age-secret-key-", b"\x42" * 32) == IDENTITY.lower()
    assert bech32.decode(RECIPIENT)[0] == "age"


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("A12UEL5L", ""),
        ("an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs", ""),  # noqa: E501
        ("11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j", "00" * 51),  # noqa: E501
    ],
)  # fmt: skip
def test_what_bip_173_calls_valid_is_read(text: str, data: str) -> None:
    assert bech32.decode(text)[1].hex() == data


@pytest.mark.parametrize(
    "text",
    [
        "\x201nwldj5",
        "\x7f1axkwrx",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\xff",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
        "",
        "age1",
        RECIPIENT[:-1] + RECIPIENT[-1].upper(),
    ],
)
def test_what_bip_173_calls_invalid_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
        bech32.decode(text)


def test_bits_that_are_left_over_are_refused() -> None:
    """Five bits more than whole bytes, and padding that is not zero: BIP 173 forbids both."""
    for values in ([1], [0, 1], [0] * 8 + [0]):
        total = bech32._polymod([*bech32._expanded("age"), *values, *[0] * 6]) ^ 1
        checksum = [total >> 5 * (5 - place) & 31 for place in range(6)]
        text = "age1" + "".join(bech32._CHARACTERS[value] for value in (*values, *checksum))
        with pytest.raises(ValueError, match="left over"):
            bech32.decode(text)


@given(st.binary(max_size=80), st.sampled_from(["age", "age-secret-key-", "a1b"]))
def test_what_is_written_is_read(data: bytes, prefix: str) -> None:
    text = bech32.encode(prefix, data)
    assert bech32.decode(text) == bech32.decode(text.upper()) == (prefix, data)


@given(st.binary(min_size=1, max_size=32), st.data())
def test_up_to_four_wrong_characters_are_found(data: bytes, drawn: st.DataObject) -> None:
    text = bech32.encode("age", data)
    for place in drawn.draw(
        st.lists(st.integers(4, len(text) - 1), min_size=1, max_size=4, unique=True)
    ):
        others = bech32._CHARACTERS.replace(text[place], "")
        text = text[:place] + drawn.draw(st.sampled_from(others)) + text[place + 1 :]
    with pytest.raises(ValueError, match="checksum"):
        bech32.decode(text)


def test_an_error_does_not_hold_the_text() -> None:
    for text in (IDENTITY[:-1] + "Q", IDENTITY.lower().title(), "AGE-SECRET-KEY-1" + "!" * 60):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is what is asked
            bech32.decode(text)
        assert "SECRET" not in str(caught.value).upper()
