"""Guards of what is served from memory, and of what is renewed ahead."""

from typing import Final

from tests.mutations.mutation import Table, of

_MEMORY: Final = "tests/unit/token_source/test_memory.py"
_GET: Final = "tests/unit/token_source/test_get.py"
_FAILURES: Final = "tests/unit/token_source/test_failures.py"
_AWAY: Final = "tests/unit/token_source/test_store_away.py"
_TERMS: Final = "tests/unit/token_source/test_terms.py"
_REFRESHER: Final = "tests/unit/test_refresher.py"

_TOKENS: Final = of(
    "connector/token_source/memory.py",
    (
        "no hit is given beyond the confirmation of memory",
        "            and self._from <= now < self._confirmed_until\n",
        "            and self._from <= now\n",
        _MEMORY,
    ),
    (
        "nothing else is served from memory beyond its confirmation",
        "if entry is None or not self._confirmed_from <= now < self._confirmed_until:",
        "if entry is None:",
        _MEMORY,
    ),
    (
        "a clock that was set back ends a confirmation",
        "if entry is None or not self._confirmed_from <= now < self._confirmed_until:",
        "if entry is None or not now < self._confirmed_until:",
        _MEMORY,
    ),
    (
        "no hit is given where the clock was set back",
        "        self._from = max(self._confirmed_from, self._fresh_from)\n        self._entries",
        "        self._from = self._confirmed_from\n        self._entries",
        "tests/unit/token_source/test_memory.py::TestTokenMemory",
    ),
    (
        "a hit tells that its token is used",
        "                self._note(entry)\n                served = entry.served\n",
        "                served = entry.served\n",
        "tests/unit/token_source/test_memory.py::TestTokenMemory",
    ),
    (
        "a confirmation counts from before the store was asked",
        "self._confirmed_from, self._confirmed_until = asked_at, asked_at + STALENESS_BOUND",
        "self._confirmed_from, self._confirmed_until = asked_at, self._now() + STALENESS_BOUND",
        _MEMORY,
    ),
    (
        "what is newer stays in memory",
        "            and present.remembered.generation > remembered.generation\n",
        "            and False\n",
        "tests/unit/token_source/test_memory.py::TestTokenMemory",
    ),
    (
        "another account of the same name replaces what is remembered",
        "            and present.remembered.account_id == remembered.account_id\n",
        "",
        "tests/unit/token_source/test_memory.py::TestTokenMemory",
    ),
    (
        "what is new in memory is compared with the store once more",
        "        self._unverified.add(name)\n",
        "",
        _MEMORY,
    ),
    (
        "a clock that was set back is noticed",
        "is_fresh = remembered.fresh_from <= now < remembered.fresh_until",
        "is_fresh = now < remembered.fresh_until",
        "tests/unit/token_source/test_memory.py::TestTokenMemory",
    ),
    (
        "min_ttl holds for what is in memory",
        "is_fresh = remembered.freshness(now, min_ttl) is Freshness.FRESH",
        "is_fresh = True",
        "tests/unit/token_source/test_memory.py::TestTokenMemory",
    ),
    (
        "a use is written down once for each mint",
        "        if not entry.is_used:\n            entry.is_used = True\n",
        "        if True:\n",
        _REFRESHER,
    ),
)

_REMEMBERED: Final = of(
    "connector/token_source/remembered.py",
    (
        "a token that was minted just now is not refreshed because it is rejected",
        "return self.generation > 1 and 0 <= now - self.minted_at < spacing",
        "return False",
        _GET,
    ),
    (
        "a short token may be rejected sooner",
        "            spacing = min(spacing, self.lifetime / 2)\n",
        "            pass\n",
        "tests/unit/token_source/test_get.py::TestWithheldByNobody",
    ),
    (
        "quiet does not outlast the default min_ttl",
        "fresh_until=max(self.fresh_until, min(until, last))",
        "fresh_until=max(self.fresh_until, until)",
        _MEMORY,
    ),
    (
        "a cap on the margin does not hide the default min_ttl",
        "return max(least, margin - random.uniform(0, max(0.0, margin - least) / 2))",
        "return margin - random.uniform(0, max(0.0, margin - least) / 2)",
        _GET,
    ),
    (
        "tokens that were minted together are renewed apart",
        "return max(least, margin - random.uniform(0, max(0.0, margin - least) / 2))",
        "return max(least, margin)",
        "tests/unit/test_refresher.py",
    ),
    (
        "a token of a type that is not known is not used",
        '    if terms.token_type.lower() not in {"bearer", scheme.lower()}:\n',
        "    if False:\n",
        _GET,
    ),
    (
        "what is exchanged is renewed at half its life",
        "        else lifetime * EXCHANGE_MARGIN_SHARE\n",
        "        else refresh_margin(lifetime, provider.longest_margin)\n",
        _FAILURES,
    ),
)

_READER: Final = of(
    "connector/token_source/reader.py",
    (
        "what was replaced elsewhere is not served in its place",
        "            self._memory.forget(name)  # replaced elsewhere: not to be served, whatever comes next\n",
        "            pass\n",
        _MEMORY,
    ),
    (
        "what has ended elsewhere is forgotten when it is read",
        "            self._memory.forget(name)\n            raise consent_required(account)\n",
        "            raise consent_required(account)\n",
        _MEMORY,
    ),
    (
        "tokens of another registration are not served",
        "        check_registration(account, fingerprint)\n",
        "",
        _GET,
    ),
    (
        "a thousand callers need one reading",
        "        if reading is None:\n",
        "        if True:\n",
        _GET,
    ),
)

_WATCH: Final = of(
    "connector/token_source/watch.py",
    (
        "a name that was given to another account is noticed",
        'if found == (remembered.account_id, remembered.generation, "active"):',
        'if found and found[1:] == (remembered.generation, "active"):',
        _MEMORY,
    ),
    (
        "what came while memory was compared is left as it is",
        " or self._memory.is_unverified(name):",
        ":",
        "tests/unit/token_source/test_store_away.py",
    ),
    (
        "after the store was away everything is compared",
        "        except ConnectorError as error:\n            self._memory.doubt()\n",
        "        except ConnectorError as error:\n",
        "tests/unit/token_source/test_memory.py::TestStoreAway",
    ),
    (
        "what is used is written down, so that it is renewed ahead",
        "        self._memory.confirm(asked_at)\n        await self._note_used()\n",
        "        self._memory.confirm(asked_at)\n",
        _REFRESHER,
    ),
    (
        "a use that could not be written down is written later",
        "            self._memory.forget_noted()\n",
        "",
        (_REFRESHER, _MEMORY),
    ),
    (
        "what processes that have ended left in their journals is adopted",
        "            await self._kept.adopt()\n",
        "            pass\n",
        _AWAY,
    ),
    (
        "what this process kept is written as soon as the store is back",
        "            self._forget_accounts(await self._kept.replay_held())\n",
        "",
        _AWAY,
    ),
    (
        "what others have replaced meanwhile is forgotten",
        "            self._forget_accounts(await self._kept.replay_held())\n",
        "            await self._kept.replay_held()\n",
        _AWAY,
    ),
)

_SOURCE: Final = of(
    "connector/token_source/source.py",
    (
        "a caller that wants more life than a token has makes no loop",
        "        if self._is_as_fresh_as_can_be(remembered, now):\n",
        "        if False:\n",
        _GET,
    ),
    (
        "--strict refuses a token that is too short",
        "        if is_strict and marked.token.is_short:\n",
        "        if False:\n",
        _GET,
    ),
    (
        "a token that has ended is given to nobody",
        "        if remembered is None or not remembered.is_alive(now):\n",
        "        if remembered is None:\n",
        _GET,
    ),
    (
        "a token that works is given though the refresh fails",
        (
            "            return self._instead(remembered, error, min_ttl, is_strict=is_strict)\n"
            "        return renewed"
        ),
        "            raise error\n        return renewed",
        _GET,
    ),
    (
        "a slow refresh does not withhold a token that works",
        "        patience = None if is_strict else remembered.patience(self._now())\n",
        "        patience = None\n",
        _GET,
    ),
    (
        "a rejection of an older token is no reason to refresh",
        "            Secret(remembered.token.value) != rejected or remembered.is_just_minted(self._now())\n",
        "            remembered.is_just_minted(self._now())\n",
        "tests/unit/token_source/test_get.py::TestWithheldByNobody",
    ),
    (
        "an orderly end writes what is kept",
        "            await self._refresh.settlement.kept.replay_held()\n",
        "            pass\n",
        _AWAY,
    ),
    (
        "a stale token starts a refresh behind it",
        "                self._flights.start(Wish(name=name, generation=remembered.generation))\n",
        "                pass\n",
        _GET,
    ),
)

_AHEAD: Final = (
    *of(
        "connector/token_source/terms_due.py",
        (
            "a grant that dies idle is kept alive",
            "return None if idle is None else terms.minted_at + idle * IDLE_SHARE",
            "return None",
            _REFRESHER,
        ),
        (
            "a token that is exchanged is due at half its life",
            "return None if terms.lifetime is None else terms.minted_at + terms.lifetime * EXCHANGE_SHARE",
            "return None",
            _REFRESHER,
        ),
    ),
    *of(
        "connector/refresher.py",
        (
            "one provider does not take all the room",
            "        async with of_provider, self._all:\n",
            "        async with self._all:\n",
            _REFRESHER,
        ),
    ),
)

SERVING: Final = Table(
    title="What is served, and renewed ahead",
    mutations=(*_TOKENS, *_REMEMBERED, *_READER, *_WATCH, *_SOURCE, *_AHEAD),
)
