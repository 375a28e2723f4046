"""Guards of what an answer does: commit before use, what ends a grant, who is left alone."""

from typing import Final

from tests.mutations.mutation import Table, of

_RACES: Final = "tests/unit/token_source/test_races.py"
_FAILURES: Final = "tests/unit/token_source/test_failures.py"
_AWAY: Final = "tests/unit/token_source/test_store_away.py"
_GATE: Final = "tests/unit/token_source/test_gate.py"
_TERMS: Final = "tests/unit/token_source/test_terms.py"
_LATE_TESTS: Final = "tests/unit/token_source/test_late_tokens.py"
_KILLS: Final = "tests/acceptance/test_kill_points.py"

_SETTLEMENT: Final = of(
    "connector/token_source/settlement.py",
    (
        "a token is durable before anybody gets it",
        "            renewed = await self._apply(write)\n",
        (
            "            self.later = asyncio.create_task(self._apply(write))\n"
            "            renewed = write.applied_to(account)\n"
        ),
        (_AWAY, _KILLS),
    ),
    (
        "a database that hangs is as good as away",
        "            async with asyncio.timeout(COMMIT_PATIENCE):\n",
        "            async with asyncio.timeout(None):\n",
        f"{_AWAY}::test_a_database_that_hangs_is_as_good_as_away",
    ),
    (
        "what cannot be written to the store is written to the journal",
        "            return await self.kept.keep(account, write, error)\n",
        "            del error\n            return write.applied_to(account)\n",
        _AWAY,
    ),
    (
        "what a damaged store does not take is kept as well",
        "        except (errors.TemporarilyUnavailable, errors.VaultSealed) as error:\n",
        "        except errors.TemporarilyUnavailable as error:\n",
        _AWAY,
    ),
    (
        "tokens of another person are not used",
        "            check_refreshed(client, answer.tokens, account.grant.subject)\n",
        "            pass\n",
        _TERMS,
    ),
    (
        "a refusal after a lost answer is told as a lost rotation",
        "            if is_again:\n",
        "            if False:\n",
        (_FAILURES, _RACES),
    ),
    (
        "many refused alike are doubted",
        "            if not await self.gate.is_suspect(account.provider, account.name):\n",
        "            if True:\n",
        _GATE,
    ),
    (
        "those that were ended before the doubt are brought back",
        "            account_id = await self._grants.undo_end(name, GRANT_ENDED)\n",
        "            account_id = None\n",
        _GATE,
    ),
    (
        "an unknown outcome is recorded",
        "        unanswered = account.attempt if is_unknown else before\n",
        "        unanswered = None if is_unknown else before\n",
        _FAILURES,
    ),
    (
        "a failure in between does not make an unknown outcome known",
        "        unanswered = account.attempt if is_unknown else before\n",
        "        unanswered = account.attempt if is_unknown else None\n",
        "tests/unit/token_source/test_failures.py::TestInvalidGrant",
    ),
    (
        "after a lost answer the profile says when to send again",
        "            retry_at = self.next_send(account, client)\n",
        "            pass\n",
        _FAILURES,
    ),
    (
        "a token that its API rejects is not spared",
        "terms = account.grant.terms if account.grant and not is_rejected else None",
        "terms = account.grant.terms if account.grant else None",
        "tests/unit/token_source/test_failures.py::TestInvalidGrant",
    ),
    (
        "an end that others were faster than is none",
        "        if ended is None:\n            return await self.late.current(account.name)\n",
        "        if ended is None:\n            raise consent_required(account)\n",
        _RACES,
    ),
    (
        "an answer that nobody can write down is no reason to fail",
        '            logger.warning(str(error), extra={"action": "halt.not_written"})\n',
        "            raise error\n",
        "tests/unit/token_source/test_gate.py::TestBreaker",
    ),
    (
        "refusals for a day are told once",
        "        if before.retry_at - before.since < UNEXPLAINED_LIMIT <= self._now() - before.since:\n",
        "        if UNEXPLAINED_LIMIT <= self._now() - before.since:\n",
        _GATE,
    ),
)

_KEPT: Final = of(
    "connector/token_source/kept_answers.py",
    (
        "a journal slot is cleared only after the commit",
        (
            "        renewed = await self._grants.apply(write)\n        if renewed is None:\n"
            "            await self._keep_late(write)\n        if record in self._unwritten:\n"
            "            self._unwritten.remove(record)\n        else:\n"
            "            await self._thread.run(lambda: self.journal.settle(record))\n"
        ),
        (
            "        if record in self._unwritten:\n"
            "            self._unwritten.remove(record)\n        else:\n"
            "            await self._thread.run(lambda: self.journal.settle(record))\n"
            "        renewed = await self._grants.apply(write)\n        if renewed is None:\n"
            "            await self._keep_late(write)\n"
        ),
        (_AWAY, _KILLS),
    ),
    (
        "what was written is settled in the journal",
        "            await self._thread.run(lambda: self.journal.settle(record))\n",
        "            pass\n",
        _AWAY,
    ),
    (
        "answers are kept one after the other",
        "            await self._thread.run(lambda: self.journal.keep(record))\n",
        (
            "            import asyncio\n\n"
            "            await asyncio.to_thread(self.journal.keep, record)\n"
        ),
        _AWAY,
    ),
    (
        "what not even the journal has room for is remembered",
        "            self._unwritten.append(record)\n",
        "",
        _AWAY,
    ),
    (
        "what cannot be read stops nobody",
        "        except ValueError:\n",
        "        except ZeroDivisionError:\n",
        _AWAY,
    ),
)

_VERDICT: Final = of(
    "connector/token_source/verdict.py",
    (
        "Retry-After is heeded",
        "            wait = max(after or 0.0, wait)\n",
        "            pass\n",
        _FAILURES,
    ),
    (
        "unauthorized_client is the registration's fault",
        'frozenset({"invalid_client", "unauthorized_client"})',
        'frozenset({"invalid_client"})',
        "tests/unit/token_source/test_failures.py::TestRegistration",
    ),
)

_BACKOFF: Final = of(
    "connector/token_source/backoff.py",
    (
        "a failure is never retried at once",
        "return max(bound * _LEAST_SHARE, uniform(0.0, bound))",
        "return uniform(0.0, bound)",
        _TERMS,
    ),
    (
        "waits grow with the failures",
        "min(LONGEST_BOUND, FIRST_BOUND * 2.0 ** min(failures - 1, 16))",
        "min(LONGEST_BOUND, FIRST_BOUND)",
        _FAILURES,
    ),
)

_PROVIDERS: Final = of(
    "connector/token_source/gate.py",
    (
        "the breaker opens",
        "                if self._is_broken(provider, endpoint):\n",
        "                if False:\n",
        _GATE,
    ),
    (
        "one account that fails stops no other",
        "is_wide = endpoint.sent_failures == 0 or len(endpoint.failed_accounts) >= BREAKER_ACCOUNTS",
        "is_wide = True",
        "tests/unit/token_source/test_gate.py::TestBreaker",
    ),
    (
        "after a halt one goes first",
        "            until = self._endpoint(provider).probe_until\n",
        "            until = 0.0\n",
        "tests/unit/token_source/test_gate.py::TestBreaker",
    ),
    (
        "a probe is told of",
        "            self._endpoint(provider).probe_until = self._now() + PROBE_TIME\n",
        "            pass\n",
        "tests/unit/token_source/test_gate.py::TestBreaker",
    ),
    (
        "Retry-After holds for the provider",
        "            case Unavailable(retry_after=seconds) if seconds:\n",
        "            case Unavailable(retry_after=seconds) if False:\n",
        _GATE,
    ),
    (
        "a rejected registration halts the provider",
        "            case Refused() if verdict.rejected is not None:\n",
        "            case Refused() if False:\n",
        _GATE,
    ),
    (
        "an explained refusal shows that the endpoint works",
        "        endpoint.failures = endpoint.sent_failures = 0\n",
        "        pass\n",
        "tests/unit/token_source/test_gate.py::TestBreaker",
    ),
    (
        "a success ends a halt for all",
        "            await self._halts.end(provider)\n",
        "            pass\n",
        "tests/unit/token_source/test_gate.py::TestRetryAfter",
    ),
    (
        "what another process found out holds here",
        "                self._known = await self._halts.all()\n",
        "                pass\n",
        _GATE,
    ),
    (
        "after a day of doubt a provider is taken at its word",
        "        if halt and halt.rejected == SUSPECTED and self._now() - halt.since > SUSPICION_LIMIT:\n",
        "        if False:\n",
        _GATE,
    ),
    (
        "refusals far apart are no reason for doubt",
        "        for name in [name for name, at in refused.items() if at < now - SUSPICION_WINDOW]:\n",
        "        for name in ():\n",
        _GATE,
    ),
    (
        "bare refusals of many are doubted as well",
        "            case RefusedUnexplained() if self._adds_up(provider, account):\n",
        "            case RefusedUnexplained() if False:\n",
        _GATE,
    ),
    (
        "pauses grow while a provider is down",
        "return min(longest, max(first, self._now() - halt.since if halt else 0.0))",
        "return first",
        _GATE,
    ),
)

_LATE: Final = of(
    "connector/token_source/late_tokens.py",
    (
        "tokens that come after their account was revoked are revoked as well",
        "        if client.server.revocation is None:\n            return\n        late = {",
        "        if True:\n            return\n        late = {",
        _FAILURES,
    ),
    (
        "a late token is kept beside the winner's",
        "        elif await self._store.keep(write):\n",
        "        elif False:\n",
        _LATE_TESTS,
    ),
    (
        "a late token takes the place of a winner that was refused",
        "        elif self._is_refused_winner(current, write):\n",
        "        elif False:\n",
        _LATE_TESTS,
    ),
    (
        "it takes the place of the very winner that it lost against",
        "            and current.generation == write.generation + 1\n",
        "",
        _LATE_TESTS,
    ),
    (
        "after a lost answer the late token that was sent is sent again",
        "        return late if late is not None and self._was_sent(account, late) else own\n",
        "        return own\n",
        _LATE_TESTS,
    ),
)

ANSWERS: Final = Table(
    title="What an answer does",
    mutations=(*_SETTLEMENT, *_LATE, *_KEPT, *_VERDICT, *_BACKOFF, *_PROVIDERS),
)
