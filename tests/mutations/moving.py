"""Guards of what leaves a vault and comes into one: age files, exports, imports."""

from typing import Final

from tests.mutations.mutation import Table, of

_AGE_TESTS: Final = "tests/unit/vault/test_age.py"
_FORMAT: Final = "tests/unit/store/test_export_format.py"
_STORE: Final = "tests/store/test_moving.py"
_COMMANDS: Final = "tests/unit/cli/test_moving.py"
_BROUGHT: Final = "tests/unit/cli/test_accounts_import.py"

_AGE: Final = of(
    "connector/vault/age_header.py",
    (
        "the header of an age file is authenticated",
        "        if not hmac.compare_digest(_mac(file_key, self.covered), self.mac):\n",
        "        if False:\n",
        f"{_AGE_TESTS}::TestHeader::test_the_mac_is_of_the_whole_header",
    ),
    (
        "base64 in the header of an age file has one form",
        "    if encode_base64(data) != text:\n",
        "    if False:\n",
        f"{_AGE_TESTS}::TestHeader::test_base64_has_one_form",
    ),
    (
        "the header of an age file has a limit",
        "        if len(self.read) > LARGEST_HEADER:\n",
        "        if False:\n",
        f"{_AGE_TESTS}::TestHeader::test_one_without_an_end_is_given_up",
    ),
)
_KEYS: Final = of(
    "connector/vault/age_keys.py",
    (
        "a work factor of an age file has a limit",
        "        if work_factor > LARGEST_WORK_FACTOR:\n",
        "        if work_factor > 2**31:\n",
        f"{_AGE_TESTS}::TestKeys::test_a_work_factor_that_would_take_all_memory_is_refused_at_once",
    ),
    (
        "a passphrase stands alone in its age file",
        "        if len(stanzas) != 1:\n",
        "        if not stanzas:\n",
        f"{_AGE_TESTS}::TestKeys::test_a_passphrase_stands_alone",
    ),
)
_STREAM: Final = of(
    "connector/vault/age.py",
    (
        "the last chunk of an age file is known as the last",
        '        nonce = self._number.to_bytes(11, "big") + bytes([is_last])\n',
        '        nonce = self._number.to_bytes(11, "big") + bytes([is_last and False])\n',
        f"{_AGE_TESTS}::TestChanged",
    ),
    (
        "an age file does not end with an empty chunk",
        "        if not chunk and not is_first:\n",
        "        if False:\n",
        f"{_AGE_TESTS}::TestChanged::test_an_empty_chunk_at_the_end",
    ),
)
_FILES: Final = of(
    "connector/cli/private_file.py",
    (
        "an export appears whole or not at all",
        "            link_new(partial, path)\n        finally:\n            partial.unlink()\n",
        "        finally:\n            link_new(partial, path)\n            partial.unlink()\n",
        f"{_COMMANDS}::TestFile::test_it_appears_whole_or_not_at_all",
    ),
)
_LINES: Final = of(
    "connector/store/export_format.py",
    (
        "the lines of an export are those that were written",
        '        if record.get("sha256") != digest or record.get("counts") != dict(counts):\n',
        '        if record.get("counts") != dict(counts):\n',
        _FORMAT,
    ),
    (
        "an export has an end",
        '        raise ExportError("it is cut off: its last line is missing")\n',
        "        return\n",
        _FORMAT,
    ),
    (
        "an export of a later version is not guessed at",
        "        if type(version) is not int or not 1 <= version <= VERSION:\n",
        "        if type(version) is not int:\n",
        _FORMAT,
    ),
)
_EXPORT: Final = of(
    "connector/store/vault_export.py",
    (
        "an answer that waits in the journal is exported",
        "                payload = waiting.get((newest.id, newest.generation))\n",
        "                payload = None\n",
        f"{_COMMANDS}::test_what_waits_in_the_journal_is_exported",
    ),
    (
        "an export says which token was sent and not answered",
        "            if token and self._vault.fingerprint(token) == account.attempt.token_fingerprint:\n",
        "            if False:\n",
        f"{_STORE}::test_a_lost_answer_is_known_there_by_its_own_digest",
    ),
)
_SNAPSHOT: Final = of(
    "connector/store/database.py",
    (
        "an export is of one moment",
        '                        isolation_level="REPEATABLE READ", postgresql_readonly=True\n',
        "                        postgresql_readonly=True\n",
        f"{_STORE}::TestSnapshot",
    ),
)
_ARRIVALS: Final = of(
    "connector/store/arrivals.py",
    (
        "an imported account has a generation that nothing knows",
        "generation=highest + 1, attempt=attempt)\n",
        "generation=account.generation, attempt=attempt)\n",
        f"{_STORE}::TestOlder",
    ),
    (
        "an export that is older than the row here is held",
        "                is_older |= (here.generation, here.minted_at) > (account.generation, minted_at)\n",
        "                pass\n",
        f"{_STORE}::TestOlder::test_it_is_held_where_the_row_here_is_newer",
    ),
    (
        "an export that is older than a mark is held",
        "        is_older = noted > account.generation\n",
        "        is_older = False\n",
        f"{_STORE}::TestOlder::test_it_is_held_where_a_mark_says_so",
    ),
    (
        "an export that is older than what a journal holds is held",
        "        noted = max(noted, self._kept.get(account.id, 0))\n",
        "",
        f"{_COMMANDS}::test_what_was_kept_for_a_vault_that_is_lost_shows_a_spent_token",
    ),
    (
        "what was sent here last stays known after an import",
        "        return replace(here, fence=0) if is_same and is_later else attempt\n",
        "        return attempt\n",
        f"{_STORE}::TestPresent::test_what_it_has_sent_last_stays_known",
    ),
)
_IMPORT: Final = of(
    "connector/store/vault_import.py",
    (
        "an import writes what was checked",
        "            if reader.digest != checked.digest:\n",
        "            if False:\n",
        f"{_STORE}::TestWhole::test_a_file_that_changes_while_it_is_read_writes_nothing",
    ),
    (
        "an import replaces those that a person has decided about",
        "            if present.names != agreed.names:\n",
        "            if False:\n",
        f"{_STORE}::TestPresent::test_one_that_came_into_being_meanwhile_stops_it",
    ),
    (
        "an account that is being refreshed is not replaced",
        "                present.check_replaceable()\n",
        "",
        f"{_STORE}::TestPresent::test_what_is_being_refreshed_is_not_replaced",
    ),
    (
        "a former vault on this host is held after an import",
        "            self._marks.note(account_id, generation)\n",
        "            pass\n",
        f"{_STORE}::TestOlder::test_it_is_held_where_a_mark_says_so",
    ),
)
_COMMAND: Final = of(
    "connector/cli/vault_import.py",
    (
        "what waits in the journal is written before its account is replaced",
        "                await self._runtime.kept.replay(account)\n",
        "                pass\n",
        f"{_COMMANDS}::test_what_waits_in_the_journal_is_newer_than_an_import",
    ),
)
_HELD: Final = of(
    "connector/token_source/gone_back.py",
    (
        "what an import holds has no time at which it is tried again",
        "        if account.trouble is not None and account.trouble.is_held:\n",
        "        if False:\n",
        f"{_COMMANDS}::TestPresent::test_what_is_older_is_held_until_a_person_confirms",
    ),
)
_ACCOUNTS: Final = of(
    "connector/cli/accounts_import.py",
    (
        "accounts are imported where all is good",
        "    if problems:\n",
        "    if False:\n",
        f"{_BROUGHT}::test_nothing_is_written_unless_all_is_good",
    ),
)
_BROUGHT_ACCOUNTS: Final = of(
    "connector/consent/account_import.py",
    (
        "an access token that never was is not served",
        "_NEVER_ALIVE: Final = 0.0\n",
        "_NEVER_ALIVE: Final = 99_999_999_999.0\n",
        f"{_BROUGHT}::test_no_token_is_given_where_none_can_be_had",
    ),
)

MOVING: Final = Table(
    title="What leaves a vault and comes into one",
    mutations=(
        *_AGE,
        *_KEYS,
        *_STREAM,
        *_FILES,
        *_LINES,
        *_EXPORT,
        *_SNAPSHOT,
        *_ARRIVALS,
        *_IMPORT,
        *_COMMAND,
        *_HELD,
        *_ACCOUNTS,
        *_BROUGHT_ACCOUNTS,
    ),
)
