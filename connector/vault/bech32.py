"""Bech32, in which age writes its keys (BIP 173, without its limit on length).

A string is lower or upper case throughout; the checksum finds up to four wrong characters.
"""

from typing import Final

_CHARACTERS: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_LENGTH: Final = 6


def encode(prefix: str, data: bytes) -> str:
    """Write bytes as Bech32, in lower case.

    Args:
        prefix: the human-readable part.
        data: the bytes.
    """
    values = _regroup(data, 8, 5, is_padded=True)
    lowered = prefix.lower()
    total = _polymod([*_expanded(lowered), *values, *[0] * _CHECKSUM_LENGTH]) ^ 1
    checksum = [total >> 5 * (5 - place) & 31 for place in range(_CHECKSUM_LENGTH)]
    return f"{lowered}1{''.join(_CHARACTERS[value] for value in (*values, *checksum))}"


def decode(text: str) -> tuple[str, bytes]:
    """Read Bech32.

    Returns:
        The human-readable part in lower case, and the bytes.

    Raises:
        ValueError: it is none, or was mistyped. The message does not hold the text.
    """
    if text not in {text.lower(), text.upper()}:
        raise ValueError("of mixed case")
    prefix, separator, rest = text.lower().rpartition("1")
    if not separator or not prefix or len(rest) < _CHECKSUM_LENGTH:
        raise ValueError("too short")
    if not all(33 <= ord(character) <= 126 for character in prefix):
        raise ValueError("with a character that is not allowed")
    values = [_CHARACTERS.find(character) for character in rest]
    if -1 in values:
        raise ValueError("with a character that is not allowed")
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("mistyped: its checksum is wrong")
    return prefix, bytes(_regroup(values[:-_CHECKSUM_LENGTH], 5, 8, is_padded=False))


def _polymod(values: list[int]) -> int:
    total = 1
    for value in values:
        top = total >> 25
        total = (total & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                total ^= generator
    return total


def _expanded(prefix: str) -> list[int]:
    codes = [ord(character) for character in prefix]
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _regroup(data: bytes | list[int], width: int, wanted: int, *, is_padded: bool) -> list[int]:
    """Write groups of so many bits as groups of another width.

    Raises:
        ValueError: what is left over is no padding.
    """
    pool = bits = 0
    groups = []
    for value in data:
        pool = pool << width | value
        bits += width
        while bits >= wanted:
            bits -= wanted
            groups.append(pool >> bits & (1 << wanted) - 1)
        pool &= (1 << bits) - 1
    if is_padded and bits:
        groups.append(pool << wanted - bits & (1 << wanted) - 1)
    elif not is_padded and (bits >= width or pool):
        raise ValueError("with bits left over")
    return groups
