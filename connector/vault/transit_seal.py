"""A seal whose key never leaves the Transit secrets engine of HashiCorp Vault or OpenBao.

The root key is encrypted there, bound to the store by associated data, by the context (which
derived keys need), and by a digest inside, for engines that are too old for associated data. It is
asked when a vault is made, opened or moved, and not for every token.

The API: https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector.errors import VaultSealed
from connector.oauth.strict_json import parse_json_object
from connector.oauth.wire import Wire, WireAnswer, make_transport
from connector.vault.envelope import KEY_BYTES
from connector.vault.transit_key import TransitKey, parse_transit_key, read_token

#: Seconds for one question, all in all: a start must not hang on another program.
TIME_LIMIT: Final = 10.0
#: The first byte of what this seal has wrapped; what follows is the engine's own text.
VERSION: Final = b"T"

_CIPHERTEXT: Final = re.compile(r"(vault:v[1-9][0-9]{0,9}:)([A-Za-z0-9+/=]{24,1024})", re.ASCII)


def transit_seal(name: str, folder: Path) -> "TransitSeal":
    """Make the seal that a configuration names; the entry point ``transit`` of `connector.seals`.

    Args:
        name: the address with its options; see `transit_key`.
        folder: what relative paths are relative to.

    Raises:
        NotASeal: it is no such address.
    """
    return TransitSeal(parse_transit_key(name, folder))


class TransitSeal:
    """A seal of a key of Transit.

    Args:
        key: which.
        time_limit: of each question, in seconds.
    """

    def __init__(self, key: TransitKey, *, time_limit: float = TIME_LIMIT) -> None:
        self._key = key
        self._time_limit = time_limit

    @property
    def description(self) -> str:
        """Where the key is, for people."""
        return f"the Transit key {self._key.mount}/{self._key.name} at {self._key.origin}"

    def prepare(self, store_id: str) -> None:
        """See that the key wraps and unwraps; an operator makes it. See `Seal.prepare`."""
        self.unwrap(self.wrap(bytes(KEY_BYTES), store_id), store_id)

    def wrap(self, root_key: bytes, store_id: str) -> bytes:
        """Wrap a root key; see `Seal.wrap`."""
        plaintext = base64.b64encode(_digest(store_id) + root_key).decode()
        answer = self._ask("encrypt", {"plaintext": plaintext}, store_id)
        return VERSION + self._checked(answer.get("ciphertext")).encode()

    def unwrap(self, wrapped: bytes, store_id: str) -> bytes:
        """Give the root key back; see `Seal.unwrap`."""
        if wrapped[:1] != VERSION:
            raise VaultSealed(
                "the stored root key was not sealed by Transit",
                "Name the seal that it was sealed with.",
                lacks_key=True,
            )
        ciphertext = self._checked(wrapped[1:].decode("ascii", "replace"))
        answer = self._ask("decrypt", {"ciphertext": ciphertext}, store_id)
        try:
            plaintext = base64.b64decode(str(answer.get("plaintext")), validate=True)
        except binascii.Error:
            raise self._odd("its plaintext is not base64") from None
        bound, root_key = plaintext[:-KEY_BYTES], plaintext[-KEY_BYTES:]
        if not hmac.compare_digest(bound, _digest(store_id)):
            raise VaultSealed(
                f"what {self.description} has decrypted belongs to another vault",
                "The database was changed by hand; restore it from a backup.",
                lacks_key=True,
            )
        return root_key

    def _checked(self, ciphertext: object) -> str:
        """Take the engine's text where it has its form, and no other one that means the same.

        Raises:
            VaultSealed: it has not.
        """
        found = _CIPHERTEXT.fullmatch(ciphertext) if isinstance(ciphertext, str) else None
        if found is None or not _is_canonical(found[2]):
            raise VaultSealed(
                "the wrapped root key is not what Transit gives",
                "The database was changed by hand; restore it from a backup.",
            )
        return found[0]

    def _ask(self, verb: str, question: dict[str, str], store_id: str) -> Mapping[str, object]:
        """Ask the engine, and give the data of its answer.

        Raises:
            VaultSealed: it does not answer, or refuses; says what to do.
        """
        binding = base64.b64encode(store_id.encode()).decode()
        body = json.dumps({**question, "associated_data": binding, "context": binding}).encode()
        key = self._key
        headers = {"Content-Type": "application/json", "X-Vault-Token": read_token(key)}
        headers["X-Vault-Request"] = "true"  # a listener may ask for it, against forged requests
        if key.namespace:
            headers["X-Vault-Namespace"] = key.namespace
        url = f"{key.origin}/v1/{key.mount}/{verb}/{key.name}"
        answer = asyncio.run(self._exchange(url, headers, body))
        content = self._content(answer)
        if answer.status != 200:
            raise self._refusal(verb, answer.status, _words(content))
        data = content.get("data")
        if not isinstance(data, dict):
            raise self._odd("it has no data")
        return data

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> WireAnswer:
        try:
            ca_file = str(self._key.ca_file) if self._key.ca_file else None
            wire = Wire(make_transport(ca_file=ca_file), deadline=self._time_limit)
        except OSError as error:  # ssl.SSLError is one
            raise VaultSealed(
                f"{self._key.ca_file} cannot be used: {error.strerror}",
                "Name a PEM file of certificate authorities as ca_file.",
            ) from None
        try:
            answer = await wire.send("POST", url, headers, body)
        finally:
            await wire.aclose()
        if not isinstance(answer, WireAnswer):
            raise VaultSealed(
                f"{self._key.origin} cannot be asked: {answer.cause}",
                "Check the address, the network, and ca_file; nothing was changed.",
            )
        return answer

    def _content(self, answer: WireAnswer) -> dict[str, object]:
        """Read an answer; one that is no JSON says nothing where it is an error all the same."""
        try:
            return parse_json_object(answer.body)
        except ValueError as error:
            if answer.status == 200:
                raise self._odd(str(error)) from None
            return {}

    def _refusal(self, verb: str, status: int, words: str) -> VaultSealed:
        key, where = self._key, self._key.origin
        path = f"{key.mount}/{verb}/{key.name}"
        if status in {301, 302, 307, 308}:
            remedy = "Name the address of the active node, or let the standby forward."
            return VaultSealed(f"{where} sends us elsewhere ({status})", remedy)
        if status == 403:
            remedy = (
                f"Renew the token, and let its policy update {key.mount}/encrypt/{key.name} and "
                f"{key.mount}/decrypt/{key.name}."
            )
            return VaultSealed(f"{where} does not let our token use {path}{words}", remedy)
        if status == 404:
            remedy = (
                f"Check the mount {key.mount} and the namespace; vault secrets list shows both."
            )
            return VaultSealed(f"{where} has no {path}{words}", remedy, lacks_key=True)
        if status == 400:
            remedy = (
                f"Check that there is a key {key.name} of type aes256-gcm96 (vault write -f "
                f"{key.mount}/keys/{key.name}), the same one that this vault was sealed with."
            )
            return VaultSealed(f"{where} refuses to {verb} with {key.name}{words}", remedy,
                               lacks_key=True)  # fmt: skip
        if status == 429:
            return VaultSealed(f"{where} is asked too often", "Try again later.")
        if status in {472, 473, 503}:
            remedy = "Unseal it (vault operator unseal), then try again; nothing was changed."
            return VaultSealed(f"{where} is sealed itself, or not active{words}", remedy)
        return VaultSealed(f"{where} failed ({status}){words}", "Look into its log; try again.")

    def _odd(self, what: str) -> VaultSealed:
        reason = f"{self._key.origin} gave an answer that Transit does not give: {what}"
        return VaultSealed(reason, "Check the address in vault.seal.")


def _digest(store_id: str) -> bytes:
    return hashlib.sha256(b"connector store " + store_id.encode()).digest()


def _is_canonical(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except binascii.Error:
        return False


def _words(content: Mapping[str, object]) -> str:
    """Give the server's own word for a refusal, short and printable."""
    errors = content.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else ""
    if not isinstance(first, str) or not first:
        return ""
    text = "".join(c if c.isprintable() else " " for c in first)
    return f": {' '.join(text.split())[:200]}"
