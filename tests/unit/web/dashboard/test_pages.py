"""What the pages show, and what their forms do."""

import re
from html import unescape

import pytest
from sqlalchemy import text, update
from sqlmodel import col

from connector.errors import TemporarilyUnavailable
from connector.notice import Cause, Kind, Notice
from connector.runtime import Runtime
from connector.store.tables import AccountRow
from connector.web.dashboard.accounts import PAGE_SIZE
from connector.web.dashboard.open_notices import MOST_SHOWN
from tests.unit.audited import audited, detail
from tests.unit.workbench import ACCOUNT, NOW, Workbench

from .visitor import ADDRESS, USER, Visitor

DAY = 86_400.0
DASH = "\N{EN DASH}"
ATTACK = '"><img src=x onerror="document.title=1"><script>document.title=2</script>'


async def change(runtime: Runtime, name: str, **values: object) -> None:
    """Change a row as time and providers would."""
    async with runtime.database.write() as connection:
        statement = update(AccountRow).where(col(AccountRow.name) == name).values(**values)
        assert (await connection.execute(statement)).rowcount == 1


def rows_of(html: str) -> list[str]:
    """Give the text of each row of the table, its parts joined by " | "."""
    body = html.partition("<tbody")[2]
    rows = re.findall(r"<tr.*?</tr>", body, re.DOTALL)
    cells = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in rows]
    return [" | ".join(text_of(cell) for cell in row) for row in cells]


def text_of(html: str) -> str:
    """Give what a person reads; a place where a line may break is none of its words."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html.replace("<wbr>", ""))).split())


class TestAccounts:
    async def test_nothing_yet_names_the_next_step(self, person: Visitor) -> None:
        await person.send(f"/accounts/{ACCOUNT}/revoke", forget="yes")
        page = (await person.get("/accounts")).text
        assert "No accounts yet" in page
        assert "connector connect PROVIDER --account NAME" in page
        assert 'href="/connect"' in page

    async def test_one_that_is_well(self, person: Visitor) -> None:
        (row,) = rows_of((await person.get("/")).text)
        assert row == "acme/ads acme | Active | ads_read | in 1 h | no known end"

    async def test_states_in_words(
        self, person: Visitor, bench: Workbench, runtime: Runtime
    ) -> None:
        for name in ("acme/ended", "acme/failing"):
            await bench.connect(runtime, name)
        await runtime.accounts.begin("acme/new", "acme", now=NOW)
        await change(runtime, "acme/ended", state="consent_required", reason="the grant has ended")
        await change(
            runtime, "acme/failing", failures=2, last_error="it answered 503", failing_since=NOW,
            retry_at=NOW + 60,
        )  # fmt: skip
        page = (await person.get("/accounts")).text
        assert rows_of(page) == [
            "acme/ads acme | Active | ads_read | in 1 h | no known end",
            f"acme/ended acme the grant has ended | Needs consent | ads_read | {DASH} | Reconnect",
            "acme/failing acme it answered 503 | Failing | ads_read | in 1 h | no known end",
            f"acme/new acme | Pending | {DASH} | {DASH} | Connect",
        ]
        tabs = text_of(page.partition('aria-label="By state"')[2].partition("</nav>")[0])
        assert tabs == "> All 4 Active 1 Failing 1 Needs consent 1 Pending 1"
        for state, name in (
            ("active", "ads"), ("failing", "failing"), ("consent_required", "ended"),
            ("pending", "new"),
        ):  # fmt: skip
            (row,) = rows_of((await person.get(f"/accounts?state={state}")).text)
            assert row.startswith(f"acme/{name} ")

    @pytest.mark.parametrize(
        ("days", "urgency"), [(15, ""), (13.9, "warning"), (3.1, "warning"), (2.9, "danger")]
    )
    async def test_the_end_of_a_consent_has_the_colour_of_its_urgency(
        self, person: Visitor, runtime: Runtime, days: float, urgency: str
    ) -> None:
        await change(runtime, ACCOUNT, consent_ends_at=NOW + days * DAY)
        page = (await person.get("/accounts")).text
        assert f'<span class="end {urgency}">' in page

    async def test_chosen_by_text_and_provider(
        self, person: Visitor, bench: Workbench, runtime: Runtime
    ) -> None:
        await bench.connect(runtime, "beta/100_percent")
        await change(runtime, ACCOUNT, subject_name="Ada Lovelace")
        for query, names in (
            ("text=LOVE", ["acme/ads"]),
            ("text=beta", ["beta/100_percent"]),
            ("text=_", ["beta/100_percent"]),
            ("text=%25", []),
            ("provider=acme", ["acme/ads", "beta/100_percent"]),
            ("provider=facebook", []),
            ("text=%00", ["acme/ads", "beta/100_percent"]),
            ("state=nonsense", ["acme/ads", "beta/100_percent"]),
        ):
            page = (await person.get(f"/accounts?{query}")).text
            assert [row.split(" ", 1)[0] for row in rows_of(page)] == names, query
            if not names:
                assert "No account is like that" in page

    async def test_a_page_at_a_time(self, person: Visitor, runtime: Runtime) -> None:
        for number in range(PAGE_SIZE):
            await runtime.accounts.begin(f"many/{number:03}", "acme", now=NOW)
        first = (await person.get("/accounts")).text
        assert len(rows_of(first)) == PAGE_SIZE
        assert f"1{DASH}{PAGE_SIZE} of {PAGE_SIZE + 1} accounts" in first
        second = (await person.get("/accounts?page=2")).text
        assert [row.split(" ", 1)[0] for row in rows_of(second)] == [f"many/{PAGE_SIZE - 1:03}"]
        assert 'rel="prev"' in second
        assert 'rel="next"' not in second
        for page in ("0", "-1", "x", "9" * 30, "999999", ""):
            assert (await person.get(f"/accounts?page={page}")).status_code == 200
        pending = (await person.get("/accounts?state=pending&text=many&page=1")).text
        assert f"1{DASH}{PAGE_SIZE} of {PAGE_SIZE} accounts" in pending


class TestAccount:
    async def test_all_that_is_known(self, person: Visitor, runtime: Runtime) -> None:
        await change(runtime, ACCOUNT, subject_name="Ada Lovelace", subject="1204817")
        page = text_of((await person.get(f"/accounts/{ACCOUNT}")).text)
        for part in (
            "acme/ads acme · Ada Lovelace",
            "Access token ends in 1 h",
            "Consented 15 Jan 2027, 08:00 UTC",
            "Their identifier 1204817",
            "Scopes ads_read",
            "Refresh token kept, sealed",
        ):
            assert part in page, part

    async def test_that_there_is_none(self, person: Visitor) -> None:
        answer = await person.get("/accounts/acme/adz")
        assert answer.status_code == 404
        assert "acme/ads" in text_of(answer.text), "the nearest is named"

    async def test_refreshing_now(self, person: Visitor, bench: Workbench) -> None:
        answer = await person.send(f"/accounts/{ACCOUNT}/refresh")
        told = await person.told(answer)
        assert told == "Refreshed. The new access token is good for 1 h."
        assert bench.refreshes == 1
        assert "Refreshed." not in (await person.get(f"/accounts/{ACCOUNT}")).text, "told once"

    async def test_refreshing_that_fails(self, person: Visitor, bench: Workbench) -> None:
        bench.fault("status", status=503)
        told = await person.told(await person.send(f"/accounts/{ACCOUNT}/refresh"))
        assert told.startswith("Not refreshed: ")
        page = text_of((await person.get(f"/accounts/{ACCOUNT}")).text)
        assert "Refreshing has failed 1 time" in page
        assert "The present access token still works." in page

    async def test_refreshing_what_has_ended(self, person: Visitor, runtime: Runtime) -> None:
        await runtime.revoker.revoke(ACCOUNT)
        told = await person.told(await person.send(f"/accounts/{ACCOUNT}/refresh"))
        assert told.startswith("Not refreshed: ")
        page = text_of((await person.get(f"/accounts/{ACCOUNT}")).text)
        assert "Nothing can use this account until a person consents again." in page
        assert "Reconnect" in page
        assert "Refresh now" not in page

    async def test_renaming(self, person: Visitor, runtime: Runtime) -> None:
        answer = await person.send(f"/accounts/{ACCOUNT}/rename", name="acme/other")
        assert answer.headers["location"] == "/accounts/acme/other"
        assert await runtime.accounts.get(ACCOUNT) is None
        (renamed,) = await audited(runtime, "account.renamed")
        assert (renamed.actor, detail(renamed)) == (f"uid:{USER}", {"name": "acme/other"})

    @pytest.mark.parametrize("name", ["", "Acme", "acme/token", "a b", ACCOUNT, "taken", "../x"])
    async def test_renaming_to_what_is_no_name(
        self, person: Visitor, runtime: Runtime, name: str
    ) -> None:
        await runtime.accounts.begin("taken", "acme", now=NOW)
        answer = await person.send(f"/accounts/{ACCOUNT}/rename", name=name)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert await runtime.accounts.get(ACCOUNT) is not None

    async def test_revoking_asks_first(self, person: Visitor, bench: Workbench) -> None:
        runtime = person.runtime
        token = (await runtime.tokens.get(ACCOUNT)).value
        page = (await person.get(f"/accounts/{ACCOUNT}/revoke")).text
        assert "This cannot be undone." in page
        told = await person.told(await person.send(f"/accounts/{ACCOUNT}/revoke"))
        assert told == "acme/ads is revoked, here and at the provider."
        found = bench.simulator.state.grants.find_access_token(token)
        assert found is None or not found.is_valid(bench.clock.now())
        account = await runtime.accounts.require(ACCOUNT)
        assert account.state_name == "consent_required"

    async def test_revoking_while_the_provider_is_away(
        self, person: Visitor, bench: Workbench
    ) -> None:
        bench.simulator.stop()
        told = await person.told(await person.send(f"/accounts/{ACCOUNT}/revoke"))
        bench.simulator.start()
        assert told.startswith("acme/ads is revoked here; the provider has not confirmed it yet")

    async def test_removing(self, person: Visitor, runtime: Runtime) -> None:
        answer = await person.send(f"/accounts/{ACCOUNT}/revoke", forget="yes")
        assert (await person.told(answer)).endswith("The account is removed.")
        assert await runtime.accounts.get(ACCOUNT) is None


class TestConnecting:
    async def test_leads_to_a_connect_link(self, person: Visitor) -> None:
        answer = await person.send("/connect", provider="acme", account="acme/new")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith(f"{ADDRESS}/connect/")
        assert "Continue to acme" in (await person.get(answer.headers["location"])).text

    async def test_or_shows_it_to_be_sent(self, person: Visitor) -> None:
        answer = await person.send("/connect", provider="acme", account="acme/new", share="yes")
        assert answer.status_code == 200
        found = re.search(rf'value="({ADDRESS}/connect/[\w-]+)"', answer.text)
        assert found is not None
        code = re.search(r'value="(\w{4}-\w{4})"', answer.text)
        assert code is not None
        assert "ends in 1 d" in text_of(answer.text)
        person.client.cookies.clear()
        assert (await person.get(found[1])).status_code == 200, "a colleague needs no session"
        without = await person.client.post(found[1])
        assert without.status_code == 403, "but the code, which they were told another way"
        assert (await person.client.post(found[1], data={"code": code[1]})).status_code == 303

    @pytest.mark.parametrize(
        ("provider", "account"),
        [("", "acme/x"), ("none", "acme/x"), ("acme", ""), ("acme", "X"), ("facebook", ACCOUNT)],
    )
    async def test_says_what_is_wrong(self, person: Visitor, provider: str, account: str) -> None:
        answer = await person.send("/connect", provider=provider, account=account)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text


class TestKeys:
    async def test_nothing_yet_names_the_next_step(self, person: Visitor) -> None:
        page = (await person.get("/keys")).text
        assert "connector keys create NAME" in page

    async def test_one_is_shown_once(self, person: Visitor, runtime: Runtime) -> None:
        answer = await person.send(
            "/keys", name="report", accounts="acme/* beta/x", scope=["token:read"], days="30"
        )
        assert answer.status_code == 200
        found = re.search(r'value="(ck_\w{13}_[\w-]{43})"', answer.text)
        assert found is not None
        headers = {"Authorization": f"Bearer {found[1]}"}
        assert (await person.get("/v1/accounts", **headers)).status_code == 200
        page = (await person.get("/keys")).text
        assert found[1][-43:] not in page
        (row,) = rows_of(page)
        assert row == (
            "report created 15 Jan 2027 | Active ends in 30 d | acme/* beta/x | token:read"
            " | never | Revoke…"
        )
        (created,) = await audited(runtime, "key.created")
        assert (created.actor, created.through) == (f"uid:{USER}", "dashboard")

    async def test_revoking_one(self, person: Visitor, runtime: Runtime) -> None:
        await person.send("/keys", name="report", accounts="**", scope="admin", days="0")
        assert "cannot be undone" in (await person.get("/keys/report/revoke")).text
        told = await person.told(await person.send("/keys/report/revoke"))
        assert told.startswith("Key report is revoked")
        (key,) = await runtime.api_keys.all()
        assert key.revoked_at == NOW
        assert len(await audited(runtime, "key.revoked")) == 1

    @pytest.mark.parametrize(
        "wrong",
        [
            {"name": ""},
            {"name": "Üpper"},
            {"accounts": ""},
            {"accounts": "A B"},
            {"scope": []},
            {"scope": ["root"]},
            {"days": "1"},
            {"days": "x"},
            {"name": "taken"},
        ],
    )
    async def test_says_what_is_wrong(
        self, person: Visitor, runtime: Runtime, wrong: dict[str, str | list[str]]
    ) -> None:
        good: dict[str, str | list[str]] = {
            "name": "report", "accounts": "acme/*", "scope": ["token:read"], "days": "90",
        }  # fmt: skip
        await person.send("/keys", **{**good, "name": "taken"})
        answer = await person.send("/keys", **{**good, **wrong})
        assert answer.status_code == 400, answer.text
        assert 'role="alert"' in answer.text
        assert [key.name for key in await runtime.api_keys.all()] == ["taken"]


class TestSafety:
    async def test_no_page_holds_a_token(self, person: Visitor, runtime: Runtime) -> None:
        account = await runtime.accounts.require(ACCOUNT)
        refresh = runtime.accounts.open_refresh_token(account)
        assert refresh is not None
        secrets = [runtime.accounts.open_access_token(account).reveal(), refresh.reveal()]
        secrets += [str(person.cookie), runtime.settings.registrations["acme"].client_id]
        answers = [
            await person.get(path)
            for path in (
                "/", f"/accounts/{ACCOUNT}", f"/accounts/{ACCOUNT}/revoke",
                f"/accounts/{ACCOUNT}/rename", "/keys", "/keys/new", "/connect", "/accounts/none",
            )
        ]  # fmt: skip
        answers.append(await person.send(f"/accounts/{ACCOUNT}/refresh"))
        for secret in secrets:
            for answer in answers:
                assert secret not in answer.text
                assert secret not in str(answer.headers)

    async def test_words_of_a_provider_are_shown_as_text(
        self, person: Visitor, runtime: Runtime
    ) -> None:
        await change(
            runtime, ACCOUNT, subject_name=ATTACK, subject=ATTACK, scope=ATTACK, token_type=ATTACK,
            last_error=ATTACK, failures=1, failing_since=NOW, retry_at=NOW,
        )  # fmt: skip
        for path in ("/", f"/accounts/{ACCOUNT}", f"/accounts?text={ATTACK}&provider={ATTACK}"):
            page = (await person.get(path)).text
            assert "<img" not in page
            assert page.count("<script") == 1

    @pytest.mark.parametrize("damage", ["CAST(x'00ff' AS TEXT)", "x''", "9e18"])
    async def test_a_damaged_row_costs_no_page(
        self, person: Visitor, bench: Workbench, runtime: Runtime, damage: str
    ) -> None:
        """What somebody, or a disk, has made of it (CHECKLIST 116)."""
        await bench.connect(runtime, "acme/two")
        columns = (
            "state_since", "created_at", "minted_at", "expires_at", "lifetime", "consented_at",
            "consent_ends_at", "failing_since", "failures", "retry_at", "subject", "scope",
        )  # fmt: skip
        for column in columns:
            await runtime.accounts.forget(await runtime.accounts.require(ACCOUNT))
            await bench.connect(runtime)
            await change(
                runtime, ACCOUNT, failures=1, last_error="x", failing_since=NOW, retry_at=NOW
            )
            await change(runtime, ACCOUNT, **{column: text(damage)})
            page = await person.get("/accounts")
            assert page.status_code == 200, column
            assert "acme/two" in page.text
            assert (await person.get(f"/accounts/{ACCOUNT}")).status_code == 200, column

    async def test_notices_that_fail_by_a_bug_cost_no_page(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken() -> None:
            raise OverflowError

        monkeypatch.setattr(runtime.notices.store, "open", broken)
        for path in ("/accounts", "/accounts/acme/none"):
            page = await person.get(path)
            assert page.status_code in {200, 404}
            assert "This is a bug" not in page.text

    async def test_a_bug_says_nothing(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def broken() -> None:
            raise RuntimeError("secret detail")

        monkeypatch.setattr(runtime.api_keys, "all", broken)
        answer = await person.get("/keys")
        assert answer.status_code == 500
        assert "secret detail" not in answer.text
        assert "bug in Connector" in answer.text


class TestNotices:
    async def test_above_every_page_with_the_page_where_it_is_dealt_with(
        self, person: Visitor, runtime: Runtime
    ) -> None:
        await change(runtime, ACCOUNT, state="consent_required", reason=ATTACK, state_since=NOW)
        assert 'aria-label="Notices"' not in (await person.get("/keys")).text
        await runtime.notices.look()
        page = (await person.get("/keys")).text
        notices = page.partition('aria-label="Notices"')[2].partition("</section>")[0]
        assert "Account acme/ads needs consent." in text_of(notices)
        assert 'class="notice danger"' in notices
        assert f'href="/accounts/{ACCOUNT}"' in notices
        assert "<img" not in page

    async def test_the_gravest_and_how_many_more(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kinds: list[Kind] = ["consent_ends", "refresh_held", "consent_ends", "job_failing", "trial"]

        async def several() -> list[Notice]:
            causes = [
                Cause(key=f"{number}", kind=kind, since=NOW, account=ACCOUNT, job="pull", level=1)
                for number, kind in enumerate(kinds)
            ]
            return [
                Notice(id=cause.key, cause=cause, first_seen=NOW, told_at=NOW) for cause in causes
            ]

        monkeypatch.setattr(runtime.notices.store, "open", several)
        page = (await person.get("/keys")).text
        shown = re.findall(r'<div class="notice (\w+)">', page)
        assert shown == ["danger", "danger", "warning", "info"]
        assert f"{len(kinds) - MOST_SHOWN} more notices." in page

    async def test_a_page_is_shown_though_they_cannot_be_had(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away() -> None:
            raise TemporarilyUnavailable("the database cannot be had")

        monkeypatch.setattr(runtime.notices.store, "open", away)
        assert (await person.get("/keys")).status_code == 200


class TestState:
    async def test_of_the_daemon(self, person: Visitor) -> None:
        page = text_of((await person.get("/keys")).text)
        assert "Store reachable Vault open" in page

    async def test_the_store_is_away(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nobody can be known then: the page asks for no code, and tells a stranger no address."""

        def read() -> None:
            raise TemporarilyUnavailable("postgresql://db.internal/vault cannot be had")

        monkeypatch.setattr(runtime.database, "read", read)
        answer = await person.get("/keys")
        assert answer.status_code == 503
        assert "Not available at the moment" in answer.text
        assert "db.internal" not in answer.text
        assert person.cookie is not None

    async def test_a_provider_that_is_away_is_not_taken_for_the_store(
        self, person: Visitor, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def away(*_arguments: object) -> None:
            raise TemporarilyUnavailable("the provider does not answer")

        monkeypatch.setattr(runtime.revoker, "revoke", away)
        answer = await person.send(f"/accounts/{ACCOUNT}/revoke")
        assert answer.status_code == 503
        assert "Store reachable Vault open" in text_of(answer.text)
