"""Guards of the audit trail: what is noticed, what is counted, and what must not wait for it."""

from typing import Final

from tests.mutations.mutation import Table, of

_STORE: Final = "tests/store/test_audit.py"
_EVENTS: Final = "tests/unit/test_audit_events.py"
_RELEASES: Final = "tests/unit/test_releases.py"

_CHAIN: Final = of(
    "connector/store/audit_chain.py",
    (
        "a row of the audit trail is tied to the one before it",
        "    chain = vault.chain(head.chain, _encode(",
        "    chain = vault.chain(BEGINNING.chain, _encode(",
        f"{_STORE}::test_a_trail_as_it_was_written_fits",
    ),
    (
        "a gap in the audit trail is noticed",
        "    if number > head.number + 1:\n",
        "    if False:\n",
        f"{_STORE}::test_a_row_that_was_removed_is_noticed",
    ),
    (
        "a row too many in the audit trail is noticed",
        "    if number < head.number + 1:\n",
        "    if False:\n",
        f"{_STORE}::test_a_row_written_by_hand_is_noticed",
    ),
    (
        "an altered row of the audit trail is noticed",
        "bytes(chain) != expected:\n",
        "bytes(chain) == b'':\n",
        f"{_STORE}::test_any_column_of_any_row_that_is_altered_is_noticed",
    ),
    (
        "no two rows of the audit trail have one encoding",
        "    return tag + _LENGTH(len(body)) + body\n",
        "    return tag + body\n",
        f"{_STORE}::test_what_moves_from_one_column_to_the_next_is_noticed",
    ),
    (
        "nothing and an empty text are not the same in the audit trail",
        '    tag, body = b"n", b""\n',
        '    tag, body = b"s", b""\n',
        f"{_STORE}::test_nothing_and_an_empty_text_are_not_the_same",
    ),
    (
        "the beginning of the audit trail is cut off only by who has the key",
        "    return vault.chain(head.chain, _encode(_ANCHOR, vault.store_id, head.number))\n",
        "    return head.chain\n",
        f"{_STORE}::TestPruning::test_who_has_no_key_cannot_cut_off_the_beginning",
    ),
)

_ENTRY: Final = of(
    "connector/store/audit_entry.py",
    (
        "only fields on the list come into the audit trail",
        " if name in DETAILS}\n",
        "}\n",
        f"{_STORE}::TestEntries::test_a_field_that_is_not_on_the_list_is_left_out",
    ),
    (
        "only plain values come into the audit trail",
        '    return f"<{type(value).__name__}>"\n',
        "    return getattr(value, 'reveal', lambda: str(value))()\n",
        f"{_STORE}::TestEntries::test_a_field_that_is_not_on_the_list_is_left_out",
    ),
    (
        "what somebody chose breaks no line of the audit trail",
        "c if c.isprintable() else",
        "c if c else",
        f"{_STORE}::TestEntries::test_no_text_can_break_a_line_or_a_database",
    ),
)

_AUDIT: Final = of(
    "connector/store/audit.py",
    (
        "on Postgres writers of the audit trail take turns",
        '            connection.execute(text(f"SELECT pg_advisory_xact_lock({_AUDIT_LOCK})"))\n',
        "            pass\n",
        f"{_STORE}::TestWriters::test_four_processes_at_once_keep_one_chain_without_a_gap",
    ),
    (
        "rows appended after a cut do not hide it",
        "        return head if is_known else None\n",
        "        return head\n",
        f"{_STORE}::TestEnd::test_it_is_noticed_too_after_others_were_appended",
    ),
    (
        "the newest row of the audit trail stays",
        "            if after.number >= newest.number or row.at >= before:\n",
        "            if row.at >= before:\n",
        f"{_STORE}::TestPruning::test_the_newest_row_stays",
    ),
    (
        "a row that is young enough stays in the audit trail",
        "            if after.number >= newest.number or row.at >= before:\n",
        "            if after.number >= newest.number:\n",
        f"{_STORE}::TestPruning::test_older_rows_go_and_the_rest_fits",
    ),
    (
        "what does not fit is not removed from the audit trail",
        "            after = check_row(self._vault, head, row)\n",
        "            after = Head(number=row.number, chain=bytes(row.chain))\n",
        f"{_STORE}::TestPruning::test_what_does_not_fit_is_not_removed",
    ),
    (
        "a trail that is shortened while it is verified is begun anew",
        "                if not is_shortened or beginnings == _MOST_BEGINNINGS:\n",
        "                if True:\n",
        f"{_STORE}::TestPruning::test_what_is_removed_meanwhile_is_no_fault",
    ),
)

_WALK: Final = of(
    "connector/store/audit_walk.py",
    (
        "an end that was cut off the audit trail is noticed",
        "        if self._noted and self._noted.number > self._head.number:\n",
        "        if False:\n",
        f"{_STORE}::TestEnd::test_with_it_that_is_noticed",
    ),
    (
        "another row in the place of one that this host wrote is noticed",
        "        if self._head.chain != noted.chain:\n",
        "        if False:\n",
        f"{_STORE}::TestEnd::test_it_is_noticed_too_after_others_were_appended",
    ),
    (
        "a trail whose rows are all gone is noticed",
        "        if self._anchor.number and self._head == self._anchor:\n",
        "        if False:\n",
        f"{_STORE}::TestPruning::test_that_all_is_missing_after_it_is_noticed",
    ),
    (
        "an altered anchor of the audit trail is noticed",
        "        if hmac.compare_digest(prove_anchor(vault, head), bytes(row.proof)):\n",
        "        if True:\n",
        f"{_STORE}::TestPruning::test_an_anchor_that_was_altered_is_noticed",
    ),
)

_MARK: Final = of(
    "connector/store/audit_mark.py",
    (
        "an older head does not replace a newer one in the mark",
        "                if noted is None or noted.number < head.number:\n",
        "                if True:\n",
        f"{_STORE}::TestEnd::test_an_older_head_does_not_replace_a_newer_one",
    ),
    (
        "a torn mark of the audit trail is none",
        "    if hashlib.sha256(body).digest() != digest:",
        "    if len(body) != _HEAD.size:",
        f"{_STORE}::TestEnd::test_a_torn_mark_is_none",
    ),
)

_TRAIL: Final = of(
    "connector/store/audit_trail.py",
    (
        "what cannot be written to the audit trail is kept",
        "                self._kept.extendleft(reversed(group))\n",
        "",
        f"{_EVENTS}::TestTrail",
    ),
    (
        "an audit trail that fails by a bug fails nobody",
        "                if isinstance(error, Exception):\n                    return",
        "                if isinstance(error, ConnectorError):\n                    return",
        f"{_EVENTS}::TestTrail::test_whatever_is_wrong_with_it_fails_nobody",
    ),
    (
        "what is kept of the audit trail has a bound",
        "        while len(self._kept) > MOST_KEPT:\n",
        "        while False:\n",
        f"{_EVENTS}::TestTrail::test_when_too_many_are_kept_the_oldest_are_dropped_and_that_is_told",
    ),
    (
        "an entry says when it happened, not when it was written",
        "        at = self._now() if entry.at is None else entry.at\n",
        "        at = entry.at\n",
        f"{_EVENTS}::TestTrail::test_what_cannot_be_written_is_kept_and_told_of_once",
    ),
    (
        "counts stay where they are while the audit trail cannot be written",
        "            while not self._is_failing and (group",
        "            while (group",
        f"{_RELEASES}::TestCollecting",
    ),
)

_RELEASED: Final = of(
    "connector/token_source/memory.py",
    (
        "a hit is counted",
        "            entry.served = served + 1  #",
        "            entry.served = served  #",
        f"{_RELEASES}::TestMemory",
    ),
    (
        "what was served of a token that was replaced is told",
        "        self._retire(name, present)\n",
        "",
        f"{_RELEASES}::TestMemory::test_a_token_that_was_replaced_or_forgotten_is_told_still",
    ),
    (
        "what was served of a token that was forgotten is told",
        "        self._retire(name, self._entries.pop(name, None))\n",
        "        self._entries.pop(name, None)\n",
        f"{_RELEASES}::TestMemory::test_a_token_that_was_replaced_or_forgotten_is_told_still",
    ),
    (
        "what is used is told of again where it could not be written down",
        "        self._used.extend(entry for entry in self._entries.values() if entry.is_used)\n",
        "        return\n",
        "tests/unit/test_refresher.py",
    ),
)

_WEB: Final = of(
    "connector/web/refusals.py",
    (
        "nobody fills the disk from many addresses",
        "        if actor not in peers and len(peers) >= MOST_PEERS:\n",
        "        if False:\n",
        f"{_RELEASES}::TestDaemon::test_many_addresses_are_told_as_one",
    ),
)

_ONCE: Final = of(
    "connector/store/accounts.py",
    (
        "a value that does not open is told once for each account",
        "            self._unreadable.add(account.id)\n",
        "",
        f"{_EVENTS}::test_a_value_that_does_not_open_is_told_once_for_each_account",
    ),
)

_PAGES: Final = of(
    "connector/store/audit_pages.py",
    (
        "a row that is shown on a page is compared with the row before it",
        "                check_row(self._vault, head, values)\n",
        "                pass\n",
        "tests/store/test_audit_pages.py::test_what_was_altered_is_told",
    ),
)

AUDITING: Final = Table(
    title="The audit trail",
    mutations=(
        *_CHAIN,
        *_ENTRY,
        *_AUDIT,
        *_WALK,
        *_MARK,
        *_TRAIL,
        *_RELEASED,
        *_WEB,
        *_ONCE,
        *_PAGES,
    ),
)
