"""Records of notices: shared by any number of daemons, and told once by each channel."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text

from connector.account import HELD, Trouble
from connector.notice import (
    CLAIM_TIME,
    LONGEST_DELAY,
    AccountFacts,
    Cause,
    JobFacts,
    ProviderFacts,
)
from connector.notices.causes import open_causes
from connector.notices.plan import plan
from connector.notices.wording import compose
from connector.store.halts import Halt, HaltStore
from connector.store.notice_facts import NoticeFacts
from connector.store.notices import KEPT, NoticeStore
from connector.store.runs import Ending
from connector.store.tables import ACCOUNT
from connector.testing import SOME_TIME, Stores, connected, some_attempt

from .conftest import OpenDatabase
from .worker import Worker

DAY = 86_400.0


@pytest.fixture
def notices(stores: Stores) -> NoticeStore:
    return NoticeStore(stores.database)


@pytest.fixture
def facts(stores: Stores) -> NoticeFacts:
    return NoticeFacts(stores.database, providers=("acme",), jobs=("pull",))


def cause(number: int = 1) -> Cause:
    return Cause(
        key=f"consent_required/{number}",
        kind="consent_required",
        since=SOME_TIME,
        account_id=f"{number}",
        account=f"acme/{number}",
        provider="acme",
        reason="the provider ended\0 the grant \ud800",
    )


async def look(store: NoticeStore, *causes: Cause, now: float = SOME_TIME) -> None:
    planned = plan(causes, await store.unresolved(), reminders=(DAY,), now=now)
    await store.save(planned.made, planned.changed)


async def sent(
    store: NoticeStore, channel: str = "command", *, now: float = SOME_TIME
) -> list[tuple[str, str]]:
    """Tell all that there is to tell; give event and account, or how many."""
    told: list[tuple[str, str]] = []
    while delivery := await store.claim(channel, owner="me", now=now):
        notice = delivery.notice
        told.append((notice.event, notice.cause.account or f"{notice.count} accounts"))
        await store.delivered(delivery)
    return told


class TestRecords:
    async def test_they_are_kept_as_they_are(self, notices: NoticeStore) -> None:
        await look(notices, cause())
        (notice,) = await notices.unresolved()
        kept = replace(cause(), reason="the provider ended\N{REPLACEMENT CHARACTER} the grant ?")
        assert notice.cause == kept
        assert (notice.number, notice.event, notice.remind_at) == (1, "opened", SOME_TIME + DAY)
        assert await notices.open() == await notices.all(limit=9) == [notice]

    async def test_two_daemons_make_one(
        self, notices: NoticeStore, open_database: OpenDatabase
    ) -> None:
        stores = [notices, *(NoticeStore(open_database()) for _ in range(3))]
        for now in (SOME_TIME, SOME_TIME + DAY, SOME_TIME + 2 * DAY):
            await asyncio.gather(*(look(store, cause(), now=now) for store in stores))
        (notice,) = await notices.unresolved()
        assert (notice.number, notice.reminders) == (3, 2)

    async def test_two_daemons_make_one_sum(
        self, notices: NoticeStore, open_database: OpenDatabase
    ) -> None:
        stores = [notices, *(NoticeStore(open_database()) for _ in range(3))]
        storm = [cause(number) for number in range(100)]
        await asyncio.gather(*(look(store, *storm) for store in stores))
        await look(notices, *storm)
        (notice,) = await notices.open()
        assert (notice.count, notice.number) == (100, 1)
        assert len(await notices.unresolved()) == 101
        assert await notices.accounts(notice) == tuple(sorted(f"acme/{n}" for n in range(100))[:10])

    async def test_parts_of_a_sum_that_another_daemon_has_made_wait_for_the_next_look(
        self, notices: NoticeStore
    ) -> None:
        """Else they would be parts of a sum that is not there, and nobody would hear of them."""
        late = plan([cause(n) for n in range(50, 100)], [], reminders=(), now=SOME_TIME)
        await look(notices, *(cause(number) for number in range(50)))
        await notices.save(late.made, late.changed)
        assert len(await notices.unresolved()) == 51
        await look(notices, *(cause(number) for number in range(100)))
        (notice,) = await notices.open()
        assert (notice.count, len(await notices.unresolved())) == (100, 101)

    async def test_what_was_changed_since_it_was_read_is_not_changed(
        self, notices: NoticeStore
    ) -> None:
        await look(notices, cause())
        (before,) = await notices.unresolved()
        await notices.save([], [replace(before, number=2, event="reminder")])
        await notices.save([], [replace(before, number=2, event="changed")])
        (after,) = await notices.unresolved()
        assert (after.event, after.version) == ("reminder", before.version + 1)


class TestDeliveries:
    async def test_each_channel_tells_once(self, notices: NoticeStore) -> None:
        await look(notices, cause())
        for channel in ("command", "webhook 1"):
            assert await sent(notices, channel) == [("opened", "acme/1")]
            assert await sent(notices, channel, now=SOME_TIME + DAY - 1) == []
        await look(notices, now=SOME_TIME + 1)
        for channel in ("command", "webhook 1"):
            assert await sent(notices, channel, now=SOME_TIME + 1) == [("resolved", "acme/1")]
            assert await sent(notices, channel, now=SOME_TIME + 99 * DAY) == []

    async def test_the_end_of_what_was_never_told_is_not_told(self, notices: NoticeStore) -> None:
        await look(notices, cause())
        await look(notices, now=SOME_TIME + 1)
        assert await sent(notices, now=SOME_TIME + 1) == []
        await notices.close(now=SOME_TIME + 1)
        assert await notices.unresolved() == []

    async def test_one_of_many_senders_has_it(
        self, notices: NoticeStore, open_database: OpenDatabase
    ) -> None:
        await look(notices, cause())
        stores = [notices, *(NoticeStore(open_database()) for _ in range(3))]
        claims = (
            store.claim("command", owner=f"{number}", now=SOME_TIME)
            for number, store in enumerate(stores)
        )
        assert sum(one is not None for one in await asyncio.gather(*claims)) == 1

    async def test_what_a_dead_sender_had_is_sent_again_with_the_same_number(
        self, notices: NoticeStore, worker: Worker, address: str
    ) -> None:
        """Killed between the claim and the sending, or between that and writing it down."""
        await look(notices, cause())
        worker.order("claim_notice", url=address, channel="command")
        worker.wait_until_ready()
        worker.go()
        claimed = worker.result()
        worker.kill()
        assert await notices.claim("command", owner="me", now=SOME_TIME + CLAIM_TIME - 1) is None
        again = await notices.claim("command", owner="me", now=SOME_TIME + CLAIM_TIME)
        assert again is not None
        assert [again.notice.id, again.notice.number] == claimed

    async def test_the_end_of_what_a_dead_sender_may_have_told_is_told(
        self, notices: NoticeStore
    ) -> None:
        await look(notices, cause())
        assert await notices.claim("command", owner="dead", now=SOME_TIME)
        await look(notices, now=SOME_TIME + 1)
        await notices.close(now=SOME_TIME + 1)
        later = SOME_TIME + CLAIM_TIME
        assert await sent(notices, now=later) == [("resolved", "acme/1")]

    async def test_a_sender_that_comes_back_late_changes_nothing(
        self, notices: NoticeStore
    ) -> None:
        await look(notices, cause())
        late = await notices.claim("command", owner="late", now=SOME_TIME)
        quick = await notices.claim("command", owner="quick", now=SOME_TIME + CLAIM_TIME)
        assert late is not None
        assert quick is not None
        await notices.failed(late, retry_at=SOME_TIME)
        third = await notices.claim("command", owner="third", now=SOME_TIME + CLAIM_TIME)
        assert third is None, "it gave up another one's claim"
        await notices.delivered(quick)
        assert await sent(notices, now=SOME_TIME + 2 * DAY) == []

    async def test_a_failure_is_tried_again_when_it_is_time(self, notices: NoticeStore) -> None:
        await look(notices, cause(1), cause(2))
        failed = await notices.claim("command", owner="me", now=SOME_TIME)
        assert failed is not None
        await notices.failed(failed, retry_at=SOME_TIME + 60)
        assert len(await sent(notices)) == 1, "it holds up the other notice"
        assert await notices.next_retry("command") == SOME_TIME + 60
        again = await notices.claim("command", owner="me", now=SOME_TIME + 60)
        assert again is not None
        assert (again.attempts, again.notice.id) == (1, failed.notice.id)

    async def test_a_channel_that_was_away_tells_the_latest_alone(
        self, notices: NoticeStore
    ) -> None:
        for days in range(4):
            await look(notices, cause(), now=SOME_TIME + days * DAY)
        assert await sent(notices, now=SOME_TIME + 4 * DAY) == [("reminder", "acme/1")]

    async def test_parts_of_a_sum_are_not_told(self, notices: NoticeStore) -> None:
        storm = [cause(number) for number in range(30)]
        await look(notices, *storm)
        delivery = await notices.claim("command", owner="me", now=SOME_TIME)
        assert delivery is not None
        assert (delivery.notice.count, len(delivery.accounts)) == (30, 10)
        await notices.delivered(delivery)
        await look(notices, now=SOME_TIME + 1)
        assert await sent(notices, now=SOME_TIME + 1) == [("resolved", "0 accounts")]


class TestClosing:
    async def test_it_waits_for_who_was_told(self, notices: NoticeStore, stores: Stores) -> None:
        await look(notices, cause())
        await sent(notices)
        await look(notices, now=SOME_TIME + 1)
        await notices.close(now=SOME_TIME + 1)
        assert await self.closed(stores) == []
        await sent(notices, now=SOME_TIME + 1)
        await notices.close(now=SOME_TIME + 2)
        assert await self.closed(stores) == [SOME_TIME + 2]

    async def test_but_not_for_ever(self, notices: NoticeStore, stores: Stores) -> None:
        await look(notices, cause())
        await sent(notices, "a channel that is configured no more")
        await look(notices, now=SOME_TIME)
        await notices.close(now=SOME_TIME + LONGEST_DELAY - 1)
        assert await self.closed(stores) == []
        await notices.close(now=SOME_TIME + LONGEST_DELAY)
        assert await self.closed(stores) == [SOME_TIME + LONGEST_DELAY]

    async def test_what_is_long_over_is_removed(self, notices: NoticeStore, stores: Stores) -> None:
        await look(notices, cause(1))
        await sent(notices)
        await look(notices, cause(2), now=SOME_TIME)
        await sent(notices)
        await notices.close(now=SOME_TIME)
        await notices.close(now=SOME_TIME + KEPT)
        assert [one.cause.account for one in await notices.all(limit=9)] == ["acme/2"]
        async with stores.database.read() as connection:
            count = text("SELECT count(*) FROM notice_delivery")
            assert (await connection.execute(count)).scalar() == 1

    async def closed(self, stores: Stores) -> list[float]:
        async with stores.database.read() as connection:
            found = await connection.execute(text("SELECT closed_at FROM notice"))
            return [at for at in found.scalars() if at is not None]


class TestFacts:
    async def test_nothing(self, stores: Stores, facts: NoticeFacts) -> None:
        await connected(stores, "acme/one")
        await stores.accounts.begin("acme/two", "acme", now=SOME_TIME)
        known = await facts.look(now=SOME_TIME)
        assert (known.accounts, known.providers, known.jobs) == ((), (), ())

    async def test_a_grant_that_ended(self, stores: Stores, facts: NoticeFacts) -> None:
        account = await connected(stores, "acme/one")
        await stores.grants.require_consent(account, "revoked", now=SOME_TIME + 9)
        (known,) = (await facts.look(now=SOME_TIME)).accounts
        assert known == AccountFacts(
            id=account.id,
            name="acme/one",
            provider="acme",
            state="consent_required",
            state_since=SOME_TIME + 9,
            reason="revoked",
            consented_at=SOME_TIME,
            consent_ends_at=None,
            failing_since=None,
            last_error=None,
            retry_at=None,
        )

    async def test_a_consent_that_ends(self, stores: Stores, facts: NoticeFacts) -> None:
        await connected(stores, "acme/one")
        async with stores.database.write() as connection:
            await connection.execute(ACCOUNT.update().values(consent_ends_at=SOME_TIME + 14 * DAY))
        assert (await facts.look(now=SOME_TIME - 1)).accounts == ()
        (known,) = (await facts.look(now=SOME_TIME)).accounts
        assert (known.name, known.consent_ends_at) == ("acme/one", SOME_TIME + 14 * DAY)

    async def test_a_refresh_that_fails_or_is_held(
        self, stores: Stores, facts: NoticeFacts
    ) -> None:
        account = await connected(stores, "acme/one")
        leased = await stores.grants.take_lease(account, "me", some_attempt())
        assert leased is not None
        trouble = Trouble(message="HTTP 400", since=SOME_TIME, failures=3, retry_at=HELD)
        await stores.grants.settle(leased, trouble, unanswered=None)
        (known,) = (await facts.look(now=SOME_TIME)).accounts
        assert (known.failing_since, known.last_error) == (SOME_TIME, "HTTP 400")
        assert known.retry_at == HELD

    async def test_a_provider_that_is_left_alone(self, stores: Stores, facts: NoticeFacts) -> None:
        halts = HaltStore(stores.database)
        for provider in ("acme", "no longer configured"):
            await halts.begin(
                Halt(provider=provider, until=2.0, since=1.0, message="503", rejected="x")
            )
        (known,) = (await facts.look(now=SOME_TIME)).providers
        assert known == ProviderFacts(
            provider="acme", since=1.0, until=2.0, message="503", rejected="x"
        )

    async def test_a_job_that_fails(self, stores: Stores, facts: NoticeFacts) -> None:
        account = await connected(stores, "acme/one")
        await connected(stores, "acme/two")

        async def run(name: str, at: float, error: str | None, job: str = "pull") -> None:
            begun = await stores.runs.claim(job, name, at, owner="me", now=at)
            assert begun is not None
            outcome = Ending(outcome="failed" if error else "succeeded", error=error)
            await stores.runs.finish(begun, outcome, now=at)

        failed_at = SOME_TIME
        for at, error in enumerate(("old", None, "first", "second", "third")):
            await run("acme/one", SOME_TIME + at, error)
            await run("acme/two", SOME_TIME + at, "a failure" if at < 4 else None)
            await run("acme/one", SOME_TIME + at, "x", job="no longer configured")
            failed_at = SOME_TIME + 2
        assert (await facts.look(now=SOME_TIME)).jobs == (
            JobFacts(
                job="pull",
                account_id=account.id,
                account="acme/one",
                provider="acme",
                failures=3,
                since=failed_at,
                error="third",
            ),
        )
        await stores.runs.pause("pull", now=SOME_TIME)
        assert (await facts.look(now=SOME_TIME)).jobs == ()

    async def test_a_look_reads_few_of_many_accounts(self, stores: Stores, kind: str) -> None:
        if kind != "sqlite":
            pytest.skip("its planner goes by how many rows there are")
        from connector.store import notice_facts

        queries = ("_NEED_CONSENT", "_CONSENT_ENDS", "_FAILING")
        for name in queries:
            query = getattr(notice_facts, name)
            compiled = str(query.compile(stores.database.engine.sync_engine))
            async with stores.database.read() as connection:
                values = (SOME_TIME,) if name == "_CONSENT_ENDS" else ()
                plan_of = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)
                assert "USING INDEX ix_account_" in str(plan_of.all()), name


DAMAGE = ["CAST(x'00ff' AS TEXT)", "x'00ff'", "9e18", "-9e18", "9e999"]


@pytest.mark.parametrize("kind", ["sqlite"])  # whose columns hold anything
@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("state", ["active", "consent_required"])
async def test_a_damaged_row_leaves_nobody_untold(
    stores: Stores, notices: NoticeStore, damage: str, state: str
) -> None:
    """What somebody, or a disk, has made of it (CHECKLIST 116)."""
    facts = NoticeFacts(stores.database, providers=("acme",), jobs=())
    await connected(stores, "acme/one")
    await connected(stores, "acme/two")
    sound = text(
        "UPDATE account SET state = :state, state_since = 1, reason = 'r', failures = 1,"
        " failing_since = 1, last_error = 'x', retry_at = 1, consented_at = 1,"
        " consent_ends_at = :now"
    )
    for column in (
        "state_since", "reason", "failing_since", "last_error", "retry_at", "consented_at",
        "consent_ends_at",
    ):  # fmt: skip
        async with stores.database.write() as connection:
            await connection.execute(sound, {"state": state, "now": SOME_TIME})
            damaging = f"UPDATE account SET {column} = {damage} WHERE name = 'acme/one'"  # noqa: S608
            await connection.execute(text(damaging))
        found = await facts.look(now=SOME_TIME)
        causes = open_causes(found, now=SOME_TIME)
        assert "acme/two" in {cause.account for cause in causes}, column
        await look(notices, *causes)
        for told in await notices.all(limit=100):
            assert compose(told).text, column
