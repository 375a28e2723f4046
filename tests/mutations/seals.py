"""Guards of what seals the root key, and of a change of seals."""

from typing import Final

from tests.mutations.mutation import Table, of

_PASSPHRASES: Final = "tests/unit/vault/test_passphrase_seal.py"
_TRANSIT_TESTS: Final = "tests/unit/vault/test_transit_seal.py"
_CHANGES: Final = "tests/store/test_vault_seals.py"
_WATCHES: Final = "tests/store/test_seal_watch.py"
_COMMANDS: Final = "tests/unit/cli/test_vault_seals.py"

_PASSPHRASE: Final = of(
    "connector/vault/passphrase_seal.py",
    (
        "a passphrase's stored costs are not below what is written",
        (
            "            _LEAST.memory <= memory <= _MOST.memory\n"
            "            and _LEAST.iterations <= iterations <= _MOST.iterations\n"
            "            and _LEAST.lanes <= lanes <= _MOST.lanes\n"
        ),
        (
            "            memory <= _MOST.memory\n"
            "            and iterations <= _MOST.iterations\n"
            "            and lanes <= _MOST.lanes\n"
        ),
        _PASSPHRASES,
    ),
    (
        "a passphrase's stored costs do not use up our memory",
        "            _LEAST.memory <= memory <= _MOST.memory\n",
        "            _LEAST.memory <= memory\n",
        _PASSPHRASES,
    ),
    (
        "salt and costs are bound to what they wrapped",
        "    return _PURPOSE + header + store_id.encode()\n",
        "    return _PURPOSE + store_id.encode()\n",
        _PASSPHRASES,
    ),
    (
        "what a passphrase wrapped is bound to its store",
        "    return _PURPOSE + header + store_id.encode()\n",
        "    return _PURPOSE + header\n",
        _PASSPHRASES,
    ),
    (
        "nobody is asked for what no passphrase sealed",
        "        if len(wrapped) != _HEADER.size + KEY_BYTES + TAG_BYTES or wrapped[0] != VERSION:\n",
        "        if len(wrapped) < _HEADER.size:\n",
        _PASSPHRASES,
    ),
)

_SOURCES: Final = of(
    "connector/vault/passphrase_source.py",
    (
        "a new passphrase has eight characters",
        "    if length < SHORTEST:\n",
        "    if not length:\n",
        _PASSPHRASES,
    ),
    (
        "a new passphrase is typed twice alike",
        '    if _passphrase(terminal.ask("The same once more: "), "what was typed") != first:\n',
        '    if not terminal.ask("The same once more: "):\n',
        _PASSPHRASES,
    ),
    (
        "a passphrase has one form of Unicode",
        'unicodedata.normalize("NFC", text.rstrip("\\r\\n"))',
        'text.rstrip("\\r\\n")',
        _PASSPHRASES,
    ),
)

_ENVIRONMENT: Final = of(
    "connector/vault/environment.py",
    (
        "a passphrase is taken out of the environment",
        "        value = os.environ.pop(name, None)\n",
        "        value = os.environ.get(name)\n",
        _PASSPHRASES,
    ),
    (
        "a key is taken out of a command's environment",
        "os.environ.pop(name, None) is not None\n",
        "os.environ.get(name) is not None\n",
        _COMMANDS,
    ),
)

_TRANSIT: Final = of(
    "connector/vault/transit_seal.py",
    (
        "what Transit gives back belongs to this store",
        "        if not hmac.compare_digest(bound, _digest(store_id)):\n",
        "        if not bound:\n",
        _TRANSIT_TESTS,
    ),
    (
        "Transit binds what it wraps to the store",
        '{**question, "associated_data": binding, "context": binding}',
        "{**question}",
        _TRANSIT_TESTS,
    ),
    (
        "a wrapped root key has one form only",
        "        if found is None or not _is_canonical(found[2]):\n",
        "        if found is None:\n",
        _TRANSIT_TESTS,
    ),
    (
        "what another seal wrapped is not sent to Transit",
        "        if wrapped[:1] != VERSION:\n",
        "        if not wrapped:\n",
        _TRANSIT_TESTS,
    ),
)

_TOKENS: Final = of(
    "connector/vault/transit_key.py",
    (
        "a token that is none is not sent",
        "    if _TOKEN.fullmatch(token) is None:\n",
        "    if not token:\n",
        _TRANSIT_TESTS,
    ),
    (
        "Transit is asked over TLS",
        "        check_endpoint_url(name)\n",
        "",
        _TRANSIT_TESTS,
    ),
)

_CHANGE: Final = of(
    "connector/store/vault_seals.py",
    (
        "a new wrap is proved by a trial",
        "    if new.unwrap(wrapped, keys.store_id) != root_key:\n",
        "    if not wrapped:\n",
        _CHANGES,
    ),
    (
        "a root key that opens nothing is not wrapped anew",
        "    vault = open_with_root(root_key, keys.store_id, keys.data_keys)\n",
        "    vault = Vault(keys.store_id, root_key, {1: bytes(32)})\n",
        _CHANGES,
    ),
    (
        "a change of seals meanwhile is not lost",
        "        if set(present.scalars()) != {one.id for one in keys.seals}:\n",
        "        if not set(present.scalars()):\n",
        _CHANGES,
    ),
    (
        "the same seal again takes its old wrap's place",
        "if not keep or one.description == new.description]",
        "if not keep]",
        _CHANGES,
    ),
    (
        "other seals are kept where that is wished",
        "if not keep or one.description == new.description]",
        "]",
        _CHANGES,
    ),
    (
        "an old wrap is in no file any more",
        "    await database.scrub()\n",
        "",
        _CHANGES,
    ),
)

_STORED: Final = of(
    "connector/store/stored_keys.py",
    (
        "the seal that is configured is tried first",
        "sorted(keys.seals, key=lambda one: one.description != seal.description)",
        "keys.seals",
        _CHANGES,
    ),
)

_WATCH: Final = of(
    "connector/store/seal_watch.py",
    (
        "a seal that is silent for too long ends the daemon",
        "            if left <= 0:\n",
        "            if False:\n",
        _WATCHES,
    ),
    (
        "a database that is away says nothing of the seal",
        "            if self._keys is None:\n                return None\n",
        '            return VaultSealed("away")\n',
        _WATCHES,
    ),
    (
        "a seal that hangs does not answer",
        "            async with asyncio.timeout(TIME_LIMIT):\n",
        "            async with asyncio.timeout(None):\n",
        _WATCHES,
    ),
)

SEALS: Final = Table(
    title="What seals the root key",
    mutations=(
        *_PASSPHRASE,
        *_SOURCES,
        *_ENVIRONMENT,
        *_TRANSIT,
        *_TOKENS,
        *_CHANGE,
        *_STORED,
        *_WATCH,
    ),
)
