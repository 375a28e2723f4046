"""The audit trail and an account's history on pages."""

import pytest
from sqlalchemy import text

from connector import errors
from connector.runtime import Runtime
from connector.store.audit_entry import Entry
from connector.store.refresh_history import PastRefresh
from tests.unit.workbench import ACCOUNT, NOW, Workbench

from .test_pages import ATTACK, rows_of, text_of
from .visitor import USER, Visitor

DAY = 86_400.0


class TestAudit:
    async def test_who_did_what(self, person: Visitor, runtime: Runtime) -> None:
        await person.send(f"/accounts/{ACCOUNT}/revoke")
        await runtime.trail.flush()
        page = (await person.get("/audit?event=account.revoked")).text
        (row,) = rows_of(page)
        assert row.startswith(
            "account.revoked an account's tokens were destroyed here | 15 Jan 2027, 08:00 row "
        )
        assert f"| {ACCOUNT} | uid:{USER} dashboard |" in row
        assert "The rows on this page fit the chain." in text_of(page)

    async def test_chosen_by_account_event_and_day(self, person: Visitor, runtime: Runtime) -> None:
        for number in range(4):
            account = f"acme/{number % 2}"
            at = NOW + number * DAY
            runtime.trail.note(Entry(event="consent.given", account=account, at=at))
        await runtime.trail.flush()
        for query, found in (
            ("event=consent.given", 4),
            ("account=acme/1", 2),
            ("account=acme/1&event=key.created", 0),
            ("event=consent.given&since=2027-01-16&until=2027-01-17", 2),
            ("event=consent.given&since=2027-02-30", 4),
            ("event=consent.given&until=9999-12-31", 4),
            ("account=acme/1&before=nonsense", 2),
            (f"account={ATTACK}", 0),
        ):
            page = (await person.get(f"/audit?{query}")).text
            assert len(rows_of(page)) == found, query
            assert "<img" not in page

    async def test_pages_lead_forth_and_back(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("connector.web.dashboard.audit.PAGE_SIZE", 2)
        for number in range(5):
            runtime.trail.note(Entry(event="key.created", detail={"name": f"k{number}"}))
        await runtime.trail.flush()
        path, page, seen = "/audit?event=key.created", "", []
        while path:
            page = (await person.get(path)).text
            seen += [row.rpartition("name: ")[2] for row in rows_of(page)]
            path = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        assert seen == ["k4", "k3", "k2", "k1", "k0"]
        newer = page.partition('rel="prev" href="')[2].partition('"')[0].replace("&amp;", "&")
        back = rows_of((await person.get(newer)).text)
        assert [row.rpartition("name: ")[2] for row in back] == ["k2", "k1"]

    async def test_a_row_that_was_altered_is_told(self, person: Visitor, runtime: Runtime) -> None:
        runtime.trail.note(Entry(event="key.created", detail={"name": "x"}))
        await runtime.trail.flush()
        async with runtime.database.write() as connection:
            statement = text(
                "UPDATE audit SET at = 'never', account = :words, detail = x'ff', actor = x'00ff'"
                " WHERE event = 'key.created'"
            )
            await connection.execute(statement, {"words": ATTACK})
        page = (await person.get("/audit?event=key.created")).text
        assert "A row does not fit" in text_of(page)
        assert "This row does not fit the one before it." in page
        assert "not readable" in page
        assert "<img" not in page

    async def test_a_number_that_is_none_is_told(self, person: Visitor, runtime: Runtime) -> None:
        await runtime.trail.flush()
        async with runtime.database.write() as connection:
            newest = "(SELECT max(number) FROM audit)"
            await connection.execute(text(f"UPDATE audit SET number = 'x' WHERE number = {newest}"))  # noqa: S608
        answer = await person.get("/audit")
        assert answer.status_code == 200
        assert "A row does not fit: x." in text_of(answer.text)


class TestAccount:
    async def test_its_refreshes_and_how_often_they_failed(
        self, person: Visitor, bench: Workbench, runtime: Runtime
    ) -> None:
        page = (await person.get(f"/accounts/{ACCOUNT}")).text
        assert "It has not been refreshed yet." in page
        bench.clock.advance(3600)
        await runtime.tokens.get(ACCOUNT)
        bench.clock.advance(60)
        bench.fault("status", status=503)
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.tokens.refresh(ACCOUNT)
        await runtime.refresh_history.flush()
        await person.sign_in()
        page = (await person.get(f"/accounts/{ACCOUNT}")).text
        assert "1 of 2 refreshes of the last 7 days failed (50 %)." in page
        rows = rows_of(page.partition('id="refreshes"')[2].partition("</table>")[0])
        assert rows == [
            "just now | Not available http_503 | 0 ms",
            "1 min ago | New token | 0 ms",
        ]
        assert page.count('class="mark good"') == 1
        assert page.count('class="mark warning"') == 1
        assert "style=" not in page

    async def test_when_all_went_well_or_long_ago(self, person: Visitor, runtime: Runtime) -> None:
        account = await runtime.accounts.require(ACCOUNT)

        def note(at: float) -> None:
            runtime.refresh_history.note(
                PastRefresh(account_id=account.id, at=at, seconds=0.2, outcome="granted")
            )

        note(NOW - 8 * DAY)
        await runtime.refresh_history.flush()
        page = (await person.get(f"/accounts/{ACCOUNT}")).text
        assert "No refresh in the last 7 days." in page
        note(NOW)
        await runtime.refresh_history.flush()
        page = (await person.get(f"/accounts/{ACCOUNT}")).text
        assert "All 1 refreshes of the last 7 days brought a token." in page

    async def test_an_outcome_that_a_newer_program_wrote(
        self, person: Visitor, runtime: Runtime
    ) -> None:
        account = await runtime.accounts.require(ACCOUNT)
        runtime.refresh_history.note(
            PastRefresh(account_id=account.id, at=NOW, seconds=1.0, outcome=ATTACK, error=ATTACK)
        )
        await runtime.refresh_history.flush()
        page = (await person.get(f"/accounts/{ACCOUNT}")).text
        assert "<img" not in page
        assert page.count("<script") == 1
