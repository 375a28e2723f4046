"""Guards of what is sealed: its form, its place, what it is bound to; and of keys and rotation."""

from typing import Final

from tests.mutations.mutation import Table, of

_ENVELOPE_TESTS: Final = "tests/unit/vault/test_envelope.py"
_VAULT_TESTS: Final = "tests/unit/vault/test_vault.py"
_SEALS: Final = "tests/unit/vault/test_seals.py"
_KEYS: Final = "tests/store/test_vault_keys.py"
_ACCOUNTS: Final = "tests/store/test_accounts.py"
_ROTATION: Final = "tests/store/test_key_rotation.py"

_ENVELOPE: Final = of(
    "connector/vault/envelope.py",
    (
        "a value is bound to store, table, field, provider and registration",
        "    return header + names + _GENERATION(place.generation) + place.row.encode()\n",
        "    return header + _GENERATION(place.generation) + place.row.encode()\n",
        _ENVELOPE_TESTS,
    ),
    (
        "a value is bound to its row",
        "    return header + names + _GENERATION(place.generation) + place.row.encode()\n",
        "    return header + names + _GENERATION(place.generation)\n",
        _ENVELOPE_TESTS,
    ),
    (
        "a value is bound to its generation",
        "    return header + names + _GENERATION(place.generation) + place.row.encode()\n",
        "    return header + names + _GENERATION(0) + place.row.encode()\n",
        _ENVELOPE_TESTS,
    ),
    (
        "a value's version and key id are bound to it",
        "    return header + names + _GENERATION(place.generation) + place.row.encode()\n",
        "    return names + _GENERATION(place.generation) + place.row.encode()\n",
        _ENVELOPE_TESTS,
    ),
    (
        "names in a place have their length before them",
        "    return _LENGTH(len(encoded)) + encoded\n",
        "    return encoded\n",
        _ENVELOPE_TESTS,
    ),
    (
        "a version that is not known is not tried",
        "    if sealed[0] != VERSION and sealed[0] != _UNBOUND:\n",
        "    if False:\n",
        _ENVELOPE_TESTS,
    ),
    (
        "what is too short is no envelope",
        "    if len(sealed) < _SHORTEST:\n",
        "    if not sealed:\n",
        _ENVELOPE_TESTS,
    ),
    (
        "a place that no generation has is a value that does not open",
        "    except (InvalidTag, struct.error):",
        "    except InvalidTag:",
        _ENVELOPE_TESTS,
    ),
)

_VAULT: Final = of(
    "connector/vault/vault.py",
    (
        "a new vault is made only if its seal gives the root key back",
        "    if seal.unwrap(wrapped_root, store_id) != root_key:",
        "    if False:",
        (_VAULT_TESTS, _SEALS),
    ),
    (
        "new values are sealed with the newest key",
        "        self.current_key_id = max(data_keys)\n",
        "        self.current_key_id = min(data_keys)\n",
        (_VAULT_TESTS, _KEYS),
    ),
    (
        "a digest of a token is keyed",
        "        digest = hmac.new(self._fingerprint_key, _encode(secret), hashlib.sha256)\n",
        '        digest = hmac.new(b"0", _encode(secret), hashlib.sha256)\n',
        _VAULT_TESTS,
    ),
)

_BINDING: Final = (
    *of(
        "connector/store/account_rows.py",
        (
            "tokens are bound to their provider",
            "    return f\"{provider} {fingerprint or ''}\"\n",
            "    return f\"{fingerprint or ''}\"\n",
            _ACCOUNTS,
        ),
        (
            "tokens are bound to their client registration",
            "    return f\"{provider} {fingerprint or ''}\"\n",
            '    return f"{provider} "\n',
            _ACCOUNTS,
        ),
    ),
    *of(
        "connector/store/revocations.py",
        (
            "a debt of revocation is bound to its provider",
            'field="tokens", bound_to=provider)',
            'field="tokens")',
            "tests/store/test_revocations.py",
        ),
    ),
    *of(
        "connector/revoke.py",
        (
            "what is to be revoked is not sent to another server",
            "    if debt.fingerprint not in {None, client.fingerprint}:\n",
            "    if False:\n",
            "tests/unit/test_revoke.py",
        ),
    ),
)

_ROTATED: Final = (
    *of(
        "connector/store/sealed_values.py",
        (
            "what is of an older version is sealed anew",
            " or is_outdated(sealed):\n",
            ":\n",
            _ROTATION,
        ),
        (
            "what is sealed anew replaces only what was read",
            '            *(kept.table.c[name] == bindparam(f"known_{name}") for name in compared),\n',
            "",
            _ROTATION,
        ),
        (
            "a rotation goes through all again while others wrote",
            "            if not resealed and not missed:\n",
            "            if True:\n",
            _ROTATION,
        ),
        (
            "what does not open is left as it is",
            "            except VaultSealed:\n                continue\n",
            '            except VaultSealed:\n                plaintext = b""\n',
            _ROTATION,
        ),
    ),
    *of(
        "connector/store/vault_keys.py",
        (
            "never a new key over old data",
            "        if keys is None and await _holds_sealed_values(connection):\n",
            "        if False:\n",
            _KEYS,
        ),
        (
            "a data key is stored before anything is sealed with it",
            "            await connection.execute(insert(VaultKeyRow).values(row))\n",
            "            pass\n",
            (_ROTATION, _KEYS),
        ),
    ),
)

_COUNTS: Final = of(
    "connector/store/seal_counts.py",
    (
        "what a key seals is counted",
        "        missing = self._vault.sealed - self._counted\n",
        "        missing = 0\n",
        "tests/store/test_seal_counts.py",
    ),
    (
        "what was not committed is counted again",
        "        self._pending += more\n",
        "        self._pending = self._counted = self._counted + more\n",
        "tests/store/test_seal_counts.py",
    ),
    (
        "a worn key is replaced",
        "        if seals >= self._most and is_idle",
        "        if False and is_idle",
        "tests/store/test_seal_counts.py",
    ),
)

_KEY_FILES: Final = of(
    "connector/vault/key_file.py",
    (
        "a key file open to others is refused",
        "    if status.st_mode & 0o077:\n",
        "    if False:\n",
        _SEALS,
    ),
    (
        "a key file of somebody else is refused",
        "    if not stat.S_ISREG(status.st_mode) or status.st_uid not in {os.geteuid(), 0}:\n",
        "    if not stat.S_ISREG(status.st_mode):\n",
        _SEALS,
    ),
    (
        "a link to a key file is not followed",
        "os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK",
        "os.O_RDONLY | os.O_NONBLOCK",
        _SEALS,
    ),
)

VAULT: Final = Table(
    title="What is sealed",
    mutations=(*_ENVELOPE, *_VAULT, *_BINDING, *_ROTATED, *_COUNTS, *_KEY_FILES),
)
