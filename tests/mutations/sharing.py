"""Guards of what processes share: who is gone, what is due, who is left alone, who bears a name."""

from typing import Final

from tests.mutations.mutation import Table, of

_DUE: Final = "tests/store/test_due.py"
_OWNER: Final = "tests/store/test_owner.py"
_GATE: Final = "tests/unit/token_source/test_gate.py"
_RATE_LIMITS: Final = "tests/store/test_rate_limits.py"
_SHARED_LIMITS: Final = "tests/unit/jobs/test_shared_limits.py"

_OWNERS: Final = of(
    "connector/store/owner.py",
    (
        "another process with the same number is another one",
        "    return started != start_time\n",
        "    return started is None\n",
        _OWNER,
    ),
    (
        "in another PID namespace nothing is certain",
        "    if (boot, namespace) != (_boot_id(), _pid_namespace()):\n",
        "    if boot != _boot_id():\n",
        _OWNER,
    ),
    (
        "a process that is hidden from us is not gone",
        "    if started is None and _is_hidden(int(pid)):\n",
        "    if False:\n",
        _OWNER,
    ),
    (
        "a process that has ended is gone though nobody has asked after it",
        'is_over = len(after_name) < 20 or after_name[0] in {b"Z", b"X"}',
        "is_over = len(after_name) < 20",
        _OWNER,
    ),
    (
        "an owner of another boot is gone where only this host uses the database",
        "    if is_local and boot != _boot_id() != _UNKNOWN:\n",
        "    if False:\n",
        _OWNER,
    ),
    (
        "what is not known is not certain",
        "    if _UNKNOWN in (boot, namespace, start_time) or not pid.isdecimal():\n",
        "    if not pid.isdecimal():\n",
        _OWNER,
    ),
)

_FOUND: Final = (
    *of(
        "connector/store/due.py",
        (
            "of several daemons each gets others",
            "                .values(due_at=now + CLAIM_TIME)\n",
            "                .values(due_at=now)\n",
            _DUE,
        ),
        (
            "due accounts are claimed in batches",
            "        due = find_due(now, limit)",
            "        due = find_due(now, 10**6)",
            _DUE,
        ),
        (
            "who claims does not wait for who claims others",
            ".with_for_update(skip_locked=True)",
            ".with_for_update()",
            "tests/store/test_postgres.py::test_who_claims_due_accounts_does_not_wait_for_those_that_others_claim",
        ),
        (
            "the longest overdue come first",
            "        .order_by(col(AccountRow.due_at))\n",
            "",
            "tests/store/test_postgres.py::test_the_longest_overdue_are_claimed_first_whatever_way_they_are_found",
        ),
        (
            "uses are noted in the order in which rows are locked",
            "        ordered = sorted(used, key=_order)  # as a group commit locks its rows\n",
            "        ordered = list(used)\n",
            _DUE,
        ),
        (
            "use of an older token means nothing",
            '        ACCOUNT.c.generation == bindparam("of_generation"),\n',
            '        ACCOUNT.c.generation >= bindparam("of_generation") - 1000,\n',
            _DUE,
        ),
        (
            "an earlier due time stays",
            'or_(ACCOUNT.c.due_at.is_(None), ACCOUNT.c.due_at > bindparam("renew_at")),',
            'or_(ACCOUNT.c.due_at.is_(None), ACCOUNT.c.due_at > bindparam("renew_at") - 1e9),',
            _DUE,
        ),
        (
            "an ended grant is not due",
            '            col(AccountRow.state) == "active",\n',
            "",
            _DUE,
        ),
    ),
    *of(
        "connector/store/halts.py",
        (
            "a halt is written for all",
            '            await connection.execute(self._database.upsert(HaltRow, values, "provider"))\n',
            "            pass\n",
            _GATE,
        ),
        (
            "a halt ends for its provider, and for no other",
            "delete(HaltRow).where(col(HaltRow.provider) == provider)",
            "delete(HaltRow).where(col(HaltRow.provider) != provider + 'x')",
            "tests/store/test_halts.py",
        ),
    ),
    *of(
        "connector/store/rate_limits.py",
        (
            "a rate limit of a clock that was wrong is not believed",
            "                col(row.told_at) <= clock + _AHEAD,\n",
            "",
            _RATE_LIMITS,
        ),
        (
            "of two halts for a rate limit the longer stays",
            "case((and_(is_sane, there > told), there), else_=told)",
            "case((and_(is_sane, there < told), there), else_=told)",
            _RATE_LIMITS,
        ),
    ),
    *of(
        "connector/jobs/shared_limits.py",
        (
            "a run that begins knows what others were refused for",
            "                    await self._attempt(self._look_first(provider))\n",
            "                    pass\n",
            _SHARED_LIMITS,
        ),
        (
            "what a run was refused for is told before its process may end",
            "                        await asyncio.shield(self._telling)\n",
            "                        pass\n",
            _SHARED_LIMITS,
        ),
        (
            "a rate limit that stays near is not told for each page",
            "        if (not is_longer and not is_due) or",
            "        if",
            _SHARED_LIMITS,
        ),
    ),
    *of(
        "connector/store/accounts.py",
        (
            "what is gone cannot be renamed",
            "        if result.rowcount == 0:\n",
            "        if False:\n",
            "tests/store/test_accounts.py",
        ),
        (
            "memory is told which account bears a name",
            "found |= {name: (key, generation, state) for name, key, generation, state in rows}",
            "found |= {name: ('', generation, state) for name, key, generation, state in rows}",
            "tests/store/test_accounts.py",
        ),
    ),
)

SHARING: Final = Table(title="What processes share", mutations=(*_OWNERS, *_FOUND))
