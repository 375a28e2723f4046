"""Codes, sessions and pages of accounts, on SQLite and Postgres."""

import asyncio

import pytest

from connector.store.account_pages import AccountPages, Choice
from connector.store.dashboard_codes import CODE_LIFETIME, MOST_ATTEMPTS, DashboardCodes
from connector.store.dashboard_sessions import DashboardSessions
from connector.testing import SOME_TIME, Stores, connected


@pytest.fixture
def codes(stores: Stores) -> DashboardCodes:
    return DashboardCodes(stores.database)


@pytest.fixture
def sessions(stores: Stores) -> DashboardSessions:
    return DashboardSessions(stores.database, idle=600.0, lifetime=3600.0)


class TestCodes:
    async def test_one_signs_in_once_however_many_try_at_once(self, codes: DashboardCodes) -> None:
        code = (await codes.make("1000", now=SOME_TIME)).reveal()
        tried = await asyncio.gather(*(codes.take(code, now=SOME_TIME) for _ in range(4)))
        assert sorted(one.actor or "" for one in tried) == ["", "", "", "1000"]

    async def test_of_wrong_attempts_at_once_none_is_forgotten(self, codes: DashboardCodes) -> None:
        code = (await codes.make("1000", now=SOME_TIME)).reveal()
        wrong = f"{code[:4]}-0000-0000"
        attempts = (codes.take(wrong, now=SOME_TIME) for _ in range(MOST_ATTEMPTS))
        tried = await asyncio.gather(*attempts)
        assert [one.reason for one in tried] == ["wrong_code"] * MOST_ATTEMPTS
        assert (await codes.take(code, now=SOME_TIME)).reason == "void_code"

    async def test_one_that_is_over_is_void(self, codes: DashboardCodes) -> None:
        code = (await codes.make("1000", now=SOME_TIME)).reveal()
        assert (await codes.take(code, now=SOME_TIME + CODE_LIFETIME)).reason == "void_code"
        await codes.make("1000", now=SOME_TIME + CODE_LIFETIME)
        assert (await codes.take(code, now=SOME_TIME)).reason == "wrong_code", "it was removed"


class TestSessions:
    async def test_begun_found_and_ended(self, sessions: DashboardSessions) -> None:
        made = await sessions.begin("1000", now=SOME_TIME)
        found = await sessions.find(made.id.reveal(), now=SOME_TIME + 1)
        assert found is not None
        assert (found.actor, found.created_at) == ("1000", SOME_TIME)
        assert made.id.reveal() not in repr(found)
        await sessions.end(made.id.reveal())
        assert await sessions.find(made.id.reveal(), now=SOME_TIME + 1) is None

    async def test_what_is_over_is_removed_by_the_next(self, sessions: DashboardSessions) -> None:
        for offset in (0.0, 599.0, 600.0):
            await sessions.begin("1000", now=SOME_TIME + offset)
        assert await sessions.end_all("1000") == 2

    async def test_everywhere_is_of_one_user(self, sessions: DashboardSessions) -> None:
        mine = [await sessions.begin("1000", now=SOME_TIME) for _ in range(2)]
        theirs = await sessions.begin("1001", now=SOME_TIME)
        assert await sessions.end_all("1000") == 2
        for one in mine:
            assert await sessions.find(one.id.reveal(), now=SOME_TIME) is None
        assert await sessions.find(theirs.id.reveal(), now=SOME_TIME) is not None


class TestPages:
    async def test_a_page_and_how_many_there_are(self, stores: Stores) -> None:
        for number in range(5):
            await connected(stores, name=f"acme/{number}")
        await stores.accounts.begin("beta/x", "other", now=SOME_TIME)
        pages = AccountPages(stores.database)
        page = await pages.find(Choice(), first=2, limit=2)
        assert [one.name for one in page.accounts] == ["acme/2", "acme/3"]
        assert (page.total, page.providers) == (6, ["acme", "other"])
        assert page.counts == {"active": 5, "failing": 0, "consent_required": 0, "pending": 1}
        pending = await pages.find(Choice(state="pending"), first=0, limit=9)
        assert [one.name for one in pending.accounts] == ["beta/x"]
        assert (pending.total, pending.counts) == (1, page.counts)
        others = await pages.find(Choice(provider="other", text="ETA/"), first=0, limit=9)
        assert [one.name for one in others.accounts] == ["beta/x"]
        assert others.counts["active"] == 0

    @pytest.mark.parametrize("text", ["%", "_", "\\", "'", "\N{PILE OF POO}"])
    async def test_a_text_is_no_pattern(self, stores: Stores, text: str) -> None:
        await connected(stores, name="acme/0")
        found = await AccountPages(stores.database).find(Choice(text=text), first=0, limit=9)
        assert (found.accounts, found.total) == ([], 0)

    @pytest.mark.parametrize("choice", [Choice(text="a\0b"), Choice(provider="a\0b")])
    async def test_what_no_text_has_finds_nothing(self, stores: Stores, choice: Choice) -> None:
        """Whatever stands in a query, Postgres is not asked for it."""
        await connected(stores, name="acme/0")
        found = await AccountPages(stores.database).find(choice, first=0, limit=9)
        assert (found.accounts, found.total) == ([], 0)
