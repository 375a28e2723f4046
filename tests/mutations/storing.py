"""Guards of what the store takes: compare-and-swap, leases, groups of statements."""

from typing import Final

from tests.mutations.mutation import Table, of

_GRANTS: Final = "tests/store/test_grants.py"
_LEASE: Final = "tests/store/test_lease.py"
_DUE: Final = "tests/store/test_due.py"
_RACES: Final = "tests/unit/token_source/test_races.py"
_GATE: Final = "tests/unit/token_source/test_gate.py"

_ANY_GENERATION: Final = (
    '_COLUMNS.id == bindparam("of_account"), '
    '_COLUMNS.generation >= bindparam("of_generation") - 1000'
)

_STATEMENTS: Final = of(
    "connector/store/grant_statements.py",
    (
        "a lease is taken only where nobody has written since the account was read",
        '            *_SAME_GENERATION,\n            _COLUMNS.state == "active",\n',
        f'            {_ANY_GENERATION},\n            _COLUMNS.state == "active",\n',
        (_LEASE, _GRANTS),
    ),
    (
        "an account that is not active is not leased",
        '            _COLUMNS.state == "active",\n            _COLUMNS.failures',
        "            _COLUMNS.failures",
        (_LEASE, _GRANTS),
    ),
    (
        "who has not heard of a failure takes no lease",
        '            _COLUMNS.failures == bindparam("known_failures"),\n',
        '            _COLUMNS.failures >= bindparam("known_failures") - 1000,\n',
        _LEASE,
    ),
    (
        "a lease keeps others out",
        "                _COLUMNS.lease_owner.is_(None),\n",
        "                _COLUMNS.id.is_not(None),\n",
        _LEASE,
    ),
    (
        "a lease ends",
        "                _COLUMNS.lease_until <= clock - patience,\n",
        "                _COLUMNS.lease_until <= clock - patience - 1000.0,\n",
        _LEASE,
    ),
    (
        "a lease of another boot's clock is none",
        "                _COLUMNS.lease_until > clock + LEASE_DURATION + 1,  # of another boot\n",
        "",
        (_LEASE, _RACES),
    ),
    (
        "the owner that is gone is replaced, and no other",
        '                _COLUMNS.lease_owner == bindparam("gone_owner"),\n',
        '                _COLUMNS.lease_owner != bindparam("gone_owner"),\n',
        _LEASE,
    ),
    (
        "each lease has a fence of its own",
        '                "lease_fence": _COLUMNS.lease_fence + 1,\n',
        '                "lease_fence": _COLUMNS.lease_fence + 0,\n',
        _LEASE,
    ),
    (
        "an attempt bears the fence of its lease",
        '                "attempt_fence": _COLUMNS.lease_fence + 1,\n',
        '                "attempt_fence": _COLUMNS.lease_fence + 0,\n',
        _LEASE,
    ),
    (
        "every write of tokens raises the generation",
        '    "generation": _COLUMNS.generation + 1,\n',
        '    "generation": _COLUMNS.generation + 0,\n',
        _GRANTS,
    ),
    (
        "tokens that are written settle the attempt",
        '    **NO_ATTEMPT,\n    **NO_TROUBLE,\n    "generation"',
        '    **NO_TROUBLE,\n    "generation"',
        _GRANTS,
    ),
    (
        "the tokens of a consent are written over no newer ones",
        "ACTIVATE: Final[Statement] = (\n    update(ACCOUNT)\n    .where(*_SAME_GENERATION)\n",
        f"ACTIVATE: Final[Statement] = (\n    update(ACCOUNT)\n    .where({_ANY_GENERATION})\n",
        _GRANTS,
    ),
    (
        "the tokens of a refresh are written over no newer ones",
        "RENEW: Final[Statement] = (\n    update(ACCOUNT)\n    .where(*_SAME_GENERATION)\n",
        f"RENEW: Final[Statement] = (\n    update(ACCOUNT)\n    .where({_ANY_GENERATION})\n",
        _GRANTS,
    ),
    (
        "a late winner brings back what another owner gave up",
        '            "state": "active",\n            "reason": None,\n            "state_since": case(',
        '            "reason": None,\n            "state_since": case(',
        _GRANTS,
    ),
    (
        "a stale owner gives back no lease that is another's",
        '_COLUMNS.lease_fence == bindparam("known_fence"))',
        '_COLUMNS.lease_fence >= bindparam("known_fence") - 1000)',
        _LEASE,
    ),
    (
        "what failed is due when it may be tried again",
        '            _COLUMNS.due_at < bindparam("new_retry_at", type_=Double) + CLAIM_TIME,\n',
        '            _COLUMNS.due_at < bindparam("new_retry_at", type_=Double) - CLAIM_TIME,\n',
        _DUE,
    ),
    (
        "a grant is ended only where nobody has written newer tokens",
        "END: Final[Statement] = (\n    update(ACCOUNT)\n    .where(*_SAME_GENERATION)\n",
        f"END: Final[Statement] = (\n    update(ACCOUNT)\n    .where({_ANY_GENERATION})\n",
        (_GRANTS, _RACES),
    ),
    (
        "only what ended for the doubted reason is brought back",
        '        _COLUMNS.reason == bindparam("why"),\n',
        '        _COLUMNS.reason != bindparam("why") + "x",\n',
        _GRANTS,
    ),
)

_WRITES: Final = (
    *of(
        "connector/store/grants.py",
        (
            "the intent is recorded before anything is sent",
            "account.id, account.generation, lease_owner=owner, **attempt_columns(attempt)\n",
            "account.id, account.generation, lease_owner=owner, **attempt_columns(None)\n",
            _LEASE,
        ),
        (
            "a lease of one's own that is left over is not waited out",
            "if lease is None or lease.owner == owner or is_gone(lease.owner, is_local=is_local):",
            "if lease is None or is_gone(lease.owner, is_local=is_local):",
            _RACES,
        ),
        (
            "the lease of an owner that is gone is not waited out",
            "if lease is None or lease.owner == owner or is_gone(lease.owner, is_local=is_local):",
            "if lease is None or lease.owner == owner:",
            _RACES,
        ),
        (
            "a failure puts off when an account is due",
            "return await self._update_one(SETTLE if trouble is None else SETTLE_DUE, settled)",
            "return await self._update_one(SETTLE, settled)",
            _DUE,
        ),
    ),
    *of(
        "connector/store/group_commit.py",
        (
            "a statement that fails is nobody else's failure",
            "            for asked in group:\n                await self._write_alone(asked)\n            return\n",
            "            raise\n",
            _GRANTS,
        ),
        (
            "a database that is away is waited for once",
            "            raise  # the database's failure, not a statement's: each alone would wait for it again\n",
            (
                "            for asked in group if len(group) > 1 else ():\n"
                "                await self._write_alone(asked)\n"
                "            if len(group) == 1:\n"
                "                raise\n"
                "            return\n"
            ),
            _GRANTS,
        ),
        (
            "a group's rows are locked in one order",
            "            group.sort(key=_order)  # those of one account stay as they came\n",
            "",
            _GRANTS,
        ),
        (
            "a group has an end",
            "            group = self._asked[:LARGEST_GROUP]\n            del self._asked[:LARGEST_GROUP]\n",
            "            group = list(self._asked)\n            self._asked.clear()\n",
            _GRANTS,
        ),
        (
            "who gives up is no failure of the others in a group",
            (
                "        for asked, row in zip(group, rows, strict=True):\n"
                "            if not asked.result.done():\n"
                "                asked.result.set_result(row)\n"
            ),
            (
                "        for asked, row in zip(group, rows, strict=True):\n"
                "            asked.result.set_result(row)\n"
            ),
            _GRANTS,
        ),
        (
            "the clock of a lease is read once the lock is had",
            "        asked = _Asked(statement=statement, parameters=parameters, result=result)\n",
            (
                "        asked = _Asked(statement=statement, parameters=parameters, result=result)\n"
                "        early = self._database.clock_parameters()\n"
                "        self._database.clock_parameters = lambda: early\n"
            ),
            _LEASE,
        ),
    ),
    *of(
        "connector/store/pending_write.py",
        (
            "a write of a later version is not guessed at",
            '            if found["version"] not in {_UNBOUND, _VERSION}:\n',
            "            if False:\n",
            ("tests/unit/token_source/test_store_away.py", "tests/unit/test_journal.py"),
        ),
        (
            "a write is applied to the generation that it was made for",
            "            generation=self.generation + 1,\n",
            "            generation=self.generation,\n",
            "tests/unit/token_source/test_store_away.py",
        ),
    ),
)

STORING: Final = Table(title="What the store takes", mutations=(*_STATEMENTS, *_WRITES))
