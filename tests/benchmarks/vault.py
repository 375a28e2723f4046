"""One sealed value: what the envelope and the vault cost beside bare AES-256-GCM.

The values are as long as usual refresh tokens are. Bare AES-GCM is what cannot be done without: the
same library, key, nonce and plaintext, with associated data that are ready made. What is beyond it
is ours: the header, the place in the associated data, the choice of the key, a secret's text. To
open a value is meant to cost three times bare AES-GCM at most; the table says what does.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connector.secret import Secret
from connector.vault.envelope import KEY_BYTES, NONCE_BYTES, Place, seal, unseal
from connector.vault.vault import Vault
from tests.benchmarks.table import print_table

ROUNDS: Final = 15
#: Calls in a round; the slowest take some 10 µs.
CALLS: Final = 5_000
#: Bytes; Google's and Facebook's tokens have 100 to 250.
TOKEN_BYTES: Final = 200
#: To open one value is meant to cost this many times bare AES-GCM at most.
MOST: Final = 3.0
STORE: Final = "0f3b7c52a7d14d0e9c3f6b1e"
PLACE: Final = Place(
    table="account",
    row="8d1f0c4b9a2e4f6d",
    field="refresh_token",
    generation=41,
    bound_to="acme 0f3b7c52a7d14d0e",
)

#: A row's name and one call.
Contender = tuple[str, Callable[[], object]]


def main() -> None:
    """Measure; takes about five seconds."""
    data_key = os.urandom(KEY_BYTES)
    key, nonce = AESGCM(data_key), os.urandom(NONCE_BYTES)
    vault = Vault(STORE, os.urandom(KEY_BYTES), {1: data_key})
    text = os.urandom(TOKEN_BYTES // 2).hex()
    plaintext, secret = text.encode(), Secret(text)
    keys = {1: key}
    aad = os.urandom(100)
    bare, sealed = key.encrypt(nonce, plaintext, aad), vault.seal(plaintext, PLACE)
    assert vault.open_secret(sealed, PLACE) == secret
    opening = _in_turns(
        [
            ("bare AES-GCM decrypt", lambda: key.decrypt(nonce, bare, aad)),
            ("envelope unseal", lambda: unseal(sealed, keys=keys, store_id=STORE, place=PLACE)),
            ("Vault.open", lambda: vault.open(sealed, PLACE)),
            ("Vault.open_secret", lambda: vault.open_secret(sealed, PLACE)),
        ]
    )
    medians = [statistics.median(values) for _, values in opening]
    is_met = ["yes" if median <= MOST * medians[0] else "no" for median in medians]
    title = f"Opening one value of {TOKEN_BYTES} bytes"
    print_table(title, "µs", opening, more={f"within {MOST:g} times": is_met})
    sealing = _in_turns(
        [
            ("bare AES-GCM encrypt", lambda: key.encrypt(os.urandom(12), plaintext, aad)),
            ("envelope seal", lambda: _seal(plaintext, key)),
            ("Vault.seal", lambda: vault.seal(plaintext, PLACE)),
            ("Vault.seal_secret", lambda: vault.seal_secret(secret, PLACE)),
        ]
    )
    print_table(f"Sealing one value of {TOKEN_BYTES} bytes", "µs", sealing)


def _seal(plaintext: bytes, key: AESGCM) -> bytes:
    return seal(plaintext, key=key, key_id=1, store_id=STORE, place=PLACE, token_bytes=os.urandom)


def _in_turns(contenders: list[Contender]) -> list[tuple[str, list[float]]]:
    """Run all, again and again, so that a noisy machine is noisy for all alike; give µs a call."""
    times: dict[str, list[float]] = {name: [] for name, _ in contenders}
    for turn in range(ROUNDS + 1):
        for name, call in contenders:
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            took = time.perf_counter() - began
            if turn:  # the first warms up
                times[name].append(took / CALLS * 1e6)
    return list(times.items())


if __name__ == "__main__":
    main()
