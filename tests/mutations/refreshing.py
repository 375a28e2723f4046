"""Guards of one refresh: who may send, when, and what is recorded before."""

from typing import Final

from tests.mutations.mutation import Table, of

_RACES: Final = "tests/unit/token_source/test_races.py"
_FAILURES: Final = "tests/unit/token_source/test_failures.py"
_AWAY: Final = "tests/unit/token_source/test_store_away.py"
_GET: Final = "tests/unit/token_source/test_get.py"
_TOLD: Final = "tests/unit/token_source/test_told.py"
_GATE: Final = "tests/unit/token_source/test_gate.py"
_TERMS: Final = "tests/unit/token_source/test_terms.py"
_UNANSWERED: Final = "tests/unit/token_source/test_unanswered.py"
_REPLAY: Final = (
    "tests/acceptance/test_kill_points.py::"
    "test_a_replay_that_may_kill_a_token_that_works_waits_until_that_is_nearly_over"
)

_REFRESH: Final = of(
    "connector/token_source/refresh.py",
    (
        "newer tokens that somebody else wrote end a refresh",
        (
            "            if account.generation > generation:  # a smaller one: ours is in the journal still\n"
            "                return account\n"
        ),
        "",
        _RACES,
    ),
    (
        "an account is read again at each try, after the lease was not had",
        "            known = None\n",
        "",
        (_TOLD, _RACES),
    ),
    (
        "an older row than ours is not taken for newer tokens: ours are in the journal",
        "if account.generation > generation:",
        "if account.generation != generation:",
        _AWAY,
    ),
    (
        "a journal of this host is asked before a token is sent again",
        "                if await self._unanswered(account) is not None:\n                    continue\n",
        "",
        _AWAY,
    ),
    (
        "a provider that is to be left alone is not asked",
        "await (gate.look if ignore_backoff else gate.check)(account.provider)",
        "await gate.look(account.provider)",
        _GATE,
    ),
    (
        "a failure is backed off from",
        "        if self._now() < not_before:\n",
        "        if False:\n",
        _FAILURES,
    ),
    (
        "after its sender's death the profile says when a token is sent again",
        "            not_before = self.settlement.next_send(account, client, is_rejected=is_rejected)\n",
        "            not_before = 0.0\n",
        (_REPLAY, _RACES),
    ),
    (
        "nothing is sent before there is room to keep the answer",
        "            await self.settlement.kept.prepare()\n",
        "",
        _AWAY,
    ),
    (
        "nothing is sent where the intent cannot be written",
        "            leased = await self._take_lease(account, client, credential)\n",
        (
            "            try:\n"
            "                leased = await self._take_lease(account, client, credential)\n"
            "            except errors.TemporarilyUnavailable:\n"
            "                leased = account\n"
        ),
        _FAILURES,
    ),
    (
        "a strict token is not sent while another host may still hold the answer",
        "            self._check_replay_period(account, client)\n",
        "",
        _RACES,
    ),
    (
        "what changes between reading and waiting is not slept through",
        "count = UNCOUNTED if known else self._changes.count",
        "count = None",
        (_TOLD, _RACES),
    ),
    (
        "the lease of an owner that is gone is taken over at once",
        "gone = account.lease.owner if account.lease and is_free else None",
        "gone = None",
        _RACES,
    ),
    (
        "a lease that ran out is left alone for the replay period",
        "            patience=replay_period(client.provider.refresh_token),\n",
        "            patience=0.0,\n",
        _RACES,
    ),
    (
        "a grace is counted from the first time that a token was sent",
        "first_sent_at=before.first_sent_at if before and is_again else now",
        "first_sent_at=now",
        "tests/unit/token_source/test_failures.py::test_a_grace_is_used_from_the_first_time_that_a_token_was_sent",
    ),
    (
        "it is counted how often a token was sent",
        "count=before.count + 1 if before and is_again else 1",
        "count=1",
        _RACES,
    ),
    (
        "a new token begins a count of its own",
        "before is not None and before.token_fingerprint == fingerprint",
        "before is not None",
        "tests/unit/token_source/test_races.py::TestLease::test_killed_after_it_had_sent_another_token",
    ),
    (
        "a clock or one rejection ends no account that has no refresh token",
        "        if is_sure:\n",
        "        if True:\n",
        _GET,
    ),
    (
        "tokens go to no other server than they came from",
        "        check_registration(account, client.fingerprint)\n",
        "",
        "tests/unit/test_refresher.py::test_what_was_issued_to_another_registration_is_not_sent",
    ),
    (
        "a refusal after a lost answer is known as a lost rotation",
        "return await self.settlement.fail(account, client, answer, sending.before)",
        "return await self.settlement.fail(account, client, answer, None)",
        (_RACES, _FAILURES),
    ),
    (
        "an answer without a refresh token keeps the old one",
        "kept = sending.credential if exchange is None else None",
        "kept = None",
        _TERMS,
    ),
    (
        "a person who asks does not wait",
        "        if ignore_backoff:\n            return\n",
        "",
        _FAILURES,
    ),
)

_SENDING: Final = of(
    "connector/token_source/sending.py",
    (
        "what stood still under its lease does not send",
        "return boot_time() - self.lease_asked_at < SENDING_TIME",
        "return True",
        _RACES,
    ),
)

_UNANSWERED_RULES: Final = of(
    "connector/token_source/unanswered.py",
    (
        "where the old token works it is sent again with small pauses",
        "    if profile.rotation in _HARMLESS:\n",
        "    if False:\n",
        _UNANSWERED,
    ),
    (
        "within a grace a lost token is sent again at once",
        "        if attempt.count == 1:\n            return attempt.sent_at\n",
        "",
        _UNANSWERED,
    ),
    (
        "a grace ends",
        "        if again <= _grace_end(attempt, profile):\n",
        "        if True:\n",
        _UNANSWERED,
    ),
    (
        "a replay that may kill the access token waits until that is nearly over",
        "    if attempt.count == 1 and profile.rotation in _REVOKING and expires_at is not None:\n",
        "    if False:\n",
        _UNANSWERED,
    ),
    (
        "a grace runs from the first send, not from the last",
        "return attempt.first_sent_at + profile.grace - reserve",
        "return attempt.sent_at + profile.grace - reserve",
        _UNANSWERED,
    ),
    (
        "the same answer again has no end of its own",
        '    if profile.rotation == "idempotent" and profile.grace == 0:\n',
        "    if False:\n",
        _UNANSWERED,
    ),
    (
        "a grace is not used to its last second",
        "    reserve = min(profile.grace * _GRACE_RESERVE_SHARE, _LONGEST_GRACE_RESERVE)\n",
        "    reserve = 0.0\n",
        _UNANSWERED,
    ),
    (
        "an owner elsewhere is given time to write what it got",
        "return 0.0 if profile.rotation in _HARMLESS | _FORGIVING else REPLAY_PERIOD",
        "return 0.0",
        _UNANSWERED,
    ),
    (
        "pauses grow",
        "return attempt.sent_at + min(longest, first * 2.0 ** min(attempt.count - free - 1, 20))",
        "return attempt.sent_at + min(longest, first)",
        _UNANSWERED,
    ),
)

_FLIGHTS: Final = of(
    "connector/token_source/flights.py",
    (
        "one refresh of an account at a time in a process",
        "        if flight is not None:\n            return flight\n",
        "",
        "tests/unit/token_source/test_races.py::TestInOneProcess",
    ),
    (
        "a caller that gives up does not cancel the refresh",
        "return await asyncio.shield(self.start(wish))",
        "return await self.start(wish)",
        _RACES,
    ),
    (
        "none is started at the end of a process",
        "        if self.is_closing:\n            raise",
        "        if False:\n            raise",
        _RACES,
    ),
    (
        "those under way at the end of a process commit",
        "            await asyncio.wait(self._flights.values(), timeout=DRAIN_TIME)\n",
        "            pass\n",
        _RACES,
    ),
    (
        "what has ended is forgotten at once",
        "        if isinstance(error, ConsentRequired):\n            self._memory.forget(wish.name)\n",
        "        if isinstance(error, ConsentRequired):\n            pass\n",
        "tests/unit/token_source/test_failures.py::TestInvalidGrant::test_what_it_ended_is_not_in_memory_any_more",
    ),
    (
        "a newer token is not kept quiet for an older one's failure",
        "if stale is not None and stale.generation == wish.generation:",
        "if stale is not None:",
        "tests/unit/token_source/test_get.py::TestStale::test_a_failure_says_nothing_of_a_token_that_is_newer",
    ),
    (
        "memory is for those who ask, not for what is renewed ahead",
        (
            "        if not wish.is_wanted and self._memory.get(wish.name) is None:\n"
            "            return remembered\n"
        ),
        "",
        "tests/unit/test_refresher.py",
    ),
)

_MARKS: Final = "tests/unit/token_source/test_generation_marks.py"
_GONE_BACK: Final = (
    *of(
        "connector/token_source/gone_back.py",
        (
            "a spent token of a database that has gone back is held",
            "        raise TemporarilyUnavailable(message)\n",
            "",
            _MARKS,
        ),
        (
            "what does not rotate is not held",
            '    return provider.exchange is None and provider.refresh_token.rotation != "none"\n',
            "    return provider.exchange is None\n",
            _MARKS,
        ),
    ),
    *of(
        "connector/store/grants.py",
        (
            "how far the tokens have come is noted outside the database",
            "            self._marks.note(written.id, written.generation)\n",
            "            pass\n",
            "tests/store/test_refresh_path.py",
        ),
    ),
)

REFRESHING: Final = Table(
    title="Who sends, and when",
    mutations=(*_REFRESH, *_SENDING, *_UNANSWERED_RULES, *_FLIGHTS, *_GONE_BACK),
)
