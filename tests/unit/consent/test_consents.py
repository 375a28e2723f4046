"""The consent at an authorization server by the RFCs."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest

from connector import errors
from connector.consent import UnknownConsent
from connector.oauth.authorization_request import ResponseRejected, hash_state
from connector.runtime import Runtime
from connector.simulator.faults import Fault
from connector.simulator.person import Person
from connector.store.consents import ConsentStore
from connector.store.database import Database
from connector.store.grants import GrantStore
from tests.unit.workbench import ACCOUNT, NOW, Workbench, in_thread


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def exchanges(bench: Workbench) -> int:
    return bench.simulator.ledger.count("token", grant_type="authorization_code")


async def outcome(runtime: Runtime, redirect: str) -> str | None:
    """Give what a consent's record says, as another process reads it."""
    record = await runtime.consents.records.find(hash_state(query_of(redirect)["state"]))
    assert record is not None
    return record.outcome


class TestBegin:
    async def test_asks_with_state_and_a_challenge(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        assert (started.account, started.provider) == (ACCOUNT, "acme")
        assert started.expires_at == NOW + 600
        url = await runtime.consents.url(started.id)
        assert url.startswith(f"{bench.simulator.issuer}/authorize?")
        query = query_of(url)
        assert query["response_type"] == "code"
        assert query["redirect_uri"] == "http://127.0.0.1:49152/callback/acme"
        assert query["code_challenge_method"] == "S256"
        assert (len(query["state"]), len(query["code_challenge"])) == (43, 43)
        assert (await runtime.accounts.require(ACCOUNT)).state_name == "pending"

    async def test_no_two_requests_share_a_secret(self, runtime: Runtime) -> None:
        seen: set[str] = set()
        for number in range(20):
            started = await runtime.consents.begin("acme", f"acme/{number}")
            query = query_of(await runtime.consents.url(started.id))
            seen |= {query["state"], query["code_challenge"]}
        assert len(seen) == 40

    async def test_state_and_verifier_are_not_in_the_database(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        state = query_of(await runtime.consents.url(started.id))["state"]
        files = [file for file in bench.folder.rglob("*") if file.is_file()]
        assert bench.folder / "vault.db" in files
        for file in files:  # the journal's among them
            assert state.encode() not in file.read_bytes()

    @pytest.mark.parametrize("name", ["Acme", "a//b", "a b", "../a", "a/token", "-a", ""])
    async def test_names_of_accounts_have_a_grammar(self, runtime: Runtime, name: str) -> None:
        with pytest.raises(errors.Refused):
            await runtime.consents.begin("acme", name)
        assert await runtime.accounts.all() == []

    async def test_no_such_provider(self, runtime: Runtime) -> None:
        with pytest.raises(errors.ConfigurationError, match="did you mean acme"):
            await runtime.consents.begin("acmee", ACCOUNT)

    async def test_no_such_consent(self, runtime: Runtime) -> None:
        with pytest.raises(UnknownConsent):
            await runtime.consents.url("never")

    async def test_a_store_that_cannot_be_written_is_found_before_anybody_consents(
        self, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_self: object) -> None:
            raise errors.TemporarilyUnavailable("the disk is full")

        monkeypatch.setattr(Database, "write", fail)
        with pytest.raises(errors.TemporarilyUnavailable):
            await runtime.consents.begin("acme", ACCOUNT)


class TestDiscovery:
    async def test_is_down(self, bench: Workbench, runtime: Runtime) -> None:
        bench.simulator.faults.add(Fault(endpoint="*", kind="status", times=None))
        with pytest.raises(errors.TemporarilyUnavailable, match="the metadata of provider acme"):
            await runtime.consents.begin("acme", ACCOUNT)
        assert await runtime.accounts.all() == []

    @pytest.mark.parametrize("end", ["/", "/other", "?x"])
    async def test_names_another_issuer(self, bench: Workbench, runtime: Runtime, end: str) -> None:
        bench.simulator.change({"metadata_overrides": {"issuer": f"{bench.simulator.issuer}{end}"}})
        with pytest.raises(errors.ConfigurationError, match="another issuer"):
            await runtime.consents.begin("acme", ACCOUNT)
        assert bench.simulator.ledger.count("authorize") == 0

    async def test_an_endpoint_has_moved(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        await bench.consent(runtime, ada)
        moved = f"{bench.simulator.url}/elsewhere"
        bench.simulator.change({"metadata_overrides": {"token_endpoint": moved}})
        with pytest.raises(errors.ConfigurationError, match="write it down: token_endpoint"):
            await runtime.consents.begin("acme", ACCOUNT)
        bench.clock.advance(3600)
        assert (await runtime.tokens.get(ACCOUNT)).value, "tokens go where they were issued"

    async def test_no_s256_is_no_reason_to_do_without(
        self, bench: Workbench, runtime: Runtime
    ) -> None:
        for methods in (["plain"], []):
            override = {"code_challenge_methods_supported": methods}
            bench.simulator.change({"metadata_overrides": override})
            started = await runtime.consents.begin("acme", ACCOUNT)
            with pytest.raises(errors.ConfigurationError, match='set pkce = "off"'):
                await runtime.consents.url(started.id)

    async def test_nothing_said_of_pkce(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        bench.simulator.change({"metadata_overrides": {"code_challenge_methods_supported": None}})
        assert (await bench.consent(runtime, ada)).account.state_name == "active"

    async def test_pkce_is_off(self, bench: Workbench, ada: Person) -> None:
        bench.simulator.change({"require_pkce": False})
        bench.configure(acme='pkce = "off"')
        async with bench.runtime() as runtime:
            redirect = await bench.begin(runtime, ada)
            assert (await bench.complete(runtime, redirect)).account.state_name == "active"


class TestComplete:
    async def test_makes_an_active_account(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        completed = await bench.complete(runtime, redirect)
        assert completed.account.state_name == "active"
        assert (completed.missing_scopes, completed.can_refresh) == ((), True)
        assert exchanges(bench) == 1
        assert await outcome(runtime, redirect) == "connected"
        token = await runtime.tokens.get(ACCOUNT)
        assert bench.simulator.state.grants.find_access_token(token.value) is not None
        bench.clock.advance(3600)
        assert (await runtime.tokens.get(ACCOUNT)).value != token.value

    async def test_works_where_another_process_takes_the_answer(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        async with bench.runtime() as daemon:
            assert (await bench.complete(daemon, redirect)).account.name == ACCOUNT
        assert await outcome(runtime, redirect) == "connected"

    async def test_of_many_at_once_each_lands_on_its_own_account(
        self, bench: Workbench, runtime: Runtime, ada: Person, grace: Person
    ) -> None:
        bench.configure(scopes=("openid", "ads_read"))
        async with bench.runtime() as many:
            people = {f"acme/{i}": (ada, grace)[i % 2] for i in range(12)}
            redirects = [await bench.begin(many, person, name) for name, person in people.items()]
            mixed = redirects[1::2] + redirects[-2::-2]
            done = await asyncio.gather(*(bench.complete(many, one) for one in mixed))
        names = {"ada": "Ada Lovelace", "grace": "Grace Hopper"}
        ids = {"ada": "10200000000000101", "grace": "10200000000000202"}
        assert len(done) == 12
        for name, person in people.items():
            grant = (await runtime.accounts.require(name)).grant
            assert grant is not None
            assert grant.subject == ids[person.name]
            assert grant.subject_name in {names[person.name], None, f"{person.name}@people.example"}

    async def test_denied(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        await bench.connect(runtime)
        before = await runtime.accounts.require(ACCOUNT)
        started = await runtime.consents.begin("acme", ACCOUNT)
        url = await runtime.consents.url(started.id)
        redirect = await in_thread(ada.consent, url, "deny")
        with pytest.raises(errors.ConsentNotGiven, match="access_denied"):
            await bench.complete(runtime, redirect)
        assert exchanges(bench) == 0
        assert await runtime.accounts.require(ACCOUNT) == before
        assert await outcome(runtime, redirect) == "consent-not-given"
        with pytest.raises(UnknownConsent):
            await bench.complete(runtime, redirect)

    async def test_wrong_state(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        redirect = await bench.begin(runtime, ada)
        for other in ("", "x", query_of(redirect)["state"][:-1]):
            changed = redirect.replace(query_of(redirect)["state"], other)
            with pytest.raises(UnknownConsent):
                await bench.complete(runtime, changed)
        assert (await bench.complete(runtime, redirect)).account.name == ACCOUNT

    async def test_a_repeated_parameter_uses_nothing_up(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        for name in ("code", "state", "iss"):
            with pytest.raises(ResponseRejected, match="twice"):
                await bench.complete(runtime, f"{redirect}&{name}=again")
        assert (await bench.complete(runtime, redirect)).account.name == ACCOUNT

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda url: f"{url}&error=access_denied", "both a code and an error"),
            (lambda url: url.replace("code=", "cod="), "neither a code nor an error"),
            (lambda url: url.replace("/callback/acme", "/callback/other"), "another redirect URI"),
            (lambda url: url.replace("iss=http", "iss=https"), "iss names another"),
            (lambda url: url.replace("iss=", "is="), "iss is missing"),
        ],
    )
    async def test_an_answer_that_is_not_safe_reaches_no_endpoint(
        self, bench: Workbench, runtime: Runtime, ada: Person, change: object, says: str
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        assert callable(change)
        changed = change(redirect)
        assert changed != redirect
        mark = bench.simulator.ledger.last_number
        with pytest.raises(errors.ConsentNotGiven, match=says):
            await bench.complete(runtime, changed)
        with pytest.raises(UnknownConsent):
            await bench.complete(runtime, redirect)
        assert bench.simulator.ledger.last_number == mark, "nothing was sent anywhere"
        assert await runtime.accounts.all() == []

    @pytest.mark.parametrize("iss", ["absent", "wrong"])
    async def test_iss_of_the_server_itself(
        self, bench: Workbench, runtime: Runtime, ada: Person, iss: str
    ) -> None:
        bench.simulator.change({"iss_parameter": iss})
        with pytest.raises(errors.ConsentNotGiven, match="the answer is not safe: iss"):
            await bench.consent(runtime, ada)
        assert exchanges(bench) == 0

    async def test_too_late(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.clock.advance(600)
        with pytest.raises(UnknownConsent):
            await bench.complete(runtime, redirect)
        assert exchanges(bench) == 0

    async def test_two_at_once_make_one_exchange(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        async with bench.runtime() as other:
            results = await asyncio.gather(
                *(bench.complete(one, redirect) for one in (runtime, other) for _ in range(5)),
                return_exceptions=True,
            )
        assert sum(not isinstance(result, BaseException) for result in results) == 1
        assert sum(isinstance(result, UnknownConsent) for result in results) == 9
        assert exchanges(bench) == 1
        assert bench.simulator.ledger.count(outcome="reuse_detected") == 0


class TestExchange:
    @pytest.mark.parametrize("kind", ["drop", "cut", "truncate", "html"])
    async def test_its_answer_is_lost(
        self, bench: Workbench, runtime: Runtime, ada: Person, kind: str
    ) -> None:
        await bench.consent(runtime, ada)
        before = await runtime.accounts.require(ACCOUNT)
        redirect = await bench.begin(runtime, ada)
        bench.fault(kind, when="after")
        with pytest.raises(errors.TemporarilyUnavailable, match="not sent twice, so consent again"):
            await bench.complete(runtime, redirect)
        assert exchanges(bench) == 2
        assert bench.simulator.ledger.count(outcome="reuse_detected") == 0
        assert await runtime.accounts.require(ACCOUNT) == before
        with pytest.raises(UnknownConsent):
            await bench.complete(runtime, redirect)
        assert (await bench.consent(runtime, ada)).account.generation == before.generation + 1

    async def test_cannot_be_sent(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.simulator.stop()
        with pytest.raises(errors.TemporarilyUnavailable, match="cannot be reached"):
            await bench.complete(runtime, redirect)
        bench.simulator.start()
        assert exchanges(bench) == 0

    async def test_is_sent_as_soon_as_it_can_be(
        self, bench: Workbench, runtime: Runtime, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What was never sent may be sent again."""
        redirect = await bench.begin(runtime, ada)
        bench.simulator.stop()

        async def start() -> None:
            await in_thread(bench.simulator.start)

        monkeypatch.setattr("connector.consent.exchange._pause", start)
        assert (await bench.complete(runtime, redirect)).account.state_name == "active"

    async def test_server_is_busy(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        bench.fault("status")
        with pytest.raises(errors.TemporarilyUnavailable, match="consent again"):
            await bench.consent(runtime, ada)
        assert exchanges(bench) == 1

    async def test_wrong_secret(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.simulator.change({"client_secret": "another"})
        with pytest.raises(errors.RegistrationRejected, match="invalid_client"):
            await bench.complete(runtime, redirect)
        assert await outcome(runtime, redirect) == "registration-rejected"

    async def test_the_code_is_over(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.clock.advance(61)
        with pytest.raises(errors.ConsentNotGiven, match=r"invalid_grant .*consent again"):
            await bench.complete(runtime, redirect)

    async def test_a_caller_that_gives_up_does_not_stop_it(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.fault("hold", when="after")
        taking = asyncio.create_task(bench.complete(runtime, redirect))
        await bench.held()
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        closing = asyncio.create_task(runtime.consents.aclose())
        await asyncio.sleep(0)
        assert not closing.done(), "the end of the process waits for it"
        bench.release()
        await closing
        assert (await runtime.accounts.require(ACCOUNT)).state_name == "active"
        assert await outcome(runtime, redirect) == "connected"

    async def test_somebody_else_writes_meanwhile(
        self, bench: Workbench, runtime: Runtime, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await bench.consent(runtime, ada)
        redirect = await bench.begin(runtime, ada)
        activate, tries = GrantStore.activate, []

        async def late(*arguments: object) -> object:
            tries.append(1)
            if len(tries) < 3:
                await runtime.tokens.refresh(ACCOUNT)
            return await activate(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(GrantStore, "activate", late)
        completed = await bench.complete(runtime, redirect)
        assert (completed.account.generation, len(tries)) == (4, 3)

    async def test_somebody_else_writes_all_the_time(
        self, bench: Workbench, runtime: Runtime, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def never(*_: object) -> None:
            return None

        monkeypatch.setattr(GrantStore, "activate", never)
        with pytest.raises(errors.TemporarilyUnavailable, match="by others all the time"):
            await bench.consent(runtime, ada)

    async def test_an_account_is_connected_though_nobody_could_note_it(
        self, bench: Workbench, runtime: Runtime, ada: Person, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(*_: object) -> None:
            raise errors.TemporarilyUnavailable("the database is away")

        monkeypatch.setattr(ConsentStore, "finish", fail)
        assert (await bench.consent(runtime, ada)).account.state_name == "active"


class TestGranted:
    async def test_no_refresh_token(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        bench.simulator.change({"omit": ["refresh_token"]})
        completed = await bench.consent(runtime, ada)
        assert not completed.can_refresh
        assert completed.account.state_name == "active"

    async def test_fewer_scopes_than_asked_for(self, bench: Workbench, ada: Person) -> None:
        bench.configure(scopes=("ads_read", "ads_management"))
        bench.simulator.change({"withheld_scopes": ["ads_management"]})
        async with bench.runtime() as runtime:
            completed = await bench.consent(runtime, ada)
        assert completed.missing_scopes == ("ads_management",)

    async def test_no_scope_means_as_asked_for(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        bench.simulator.change({"omit": ["scope"]})
        completed = await bench.consent(runtime, ada)
        assert completed.missing_scopes == ()
        assert (await runtime.tokens.get(ACCOUNT)).scope == "ads_read"

    async def test_the_end_of_the_consent_is_known(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        bench.simulator.change(
            {"refresh_token_lifetime": 86_400, "announce_refresh_token_lifetime": True}
        )
        grant = (await bench.consent(runtime, ada)).account.grant
        assert grant is not None
        assert grant.terms.consent_ends_at == NOW + 86_400


class TestEditedMeanwhile:
    async def test_the_registration(self, bench: Workbench, runtime: Runtime, ada: Person) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.configure(replace=(bench.simulator.client.client_id, "another"))
        async with bench.runtime() as edited:
            with pytest.raises(errors.ConsentNotGiven, match="was changed meanwhile"):
                await bench.complete(edited, redirect)
        assert exchanges(bench) == 0

    async def test_the_provider_is_gone(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.configure(replace=("[providers.acme]", "[providers.other]"))
        async with bench.runtime() as edited:
            with pytest.raises(errors.ConfigurationError):
                await bench.complete(edited, redirect)
        assert await outcome(runtime, redirect) == "configuration-error"

    async def test_scopes_and_redirect_uri_stay_as_they_were(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        redirect = await bench.begin(runtime, ada)
        bench.configure(scopes=("ads_read", "ads_management"), replace=("49152", "49999"))
        async with bench.runtime() as edited:
            completed = await bench.complete(edited, redirect)
        assert completed.missing_scopes == ()


class TestPushedRequest:
    @pytest.fixture(autouse=True)
    def _required(self, bench: Workbench) -> None:
        bench.simulator.change({"require_pushed_authorization_requests": True})

    async def test_the_url_holds_a_reference_only(
        self, bench: Workbench, runtime: Runtime, ada: Person
    ) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        url = await runtime.consents.url(started.id)
        assert set(query_of(url)) == {"client_id", "request_uri"}
        redirect = await in_thread(ada.consent, url)
        assert (await bench.complete(runtime, redirect)).account.state_name == "active"

    async def test_by_the_operators_wish(self, bench: Workbench) -> None:
        bench.simulator.change({"require_pushed_authorization_requests": False})
        bench.configure(acme="par = true")
        async with bench.runtime() as runtime:
            started = await runtime.consents.begin("acme", ACCOUNT)
            assert "request_uri=" in await runtime.consents.url(started.id)

    async def test_each_url_has_a_reference_of_its_own(self, runtime: Runtime) -> None:
        started = await runtime.consents.begin("acme", ACCOUNT)
        assert await runtime.consents.url(started.id) != await runtime.consents.url(started.id)

    async def test_server_is_busy(self, bench: Workbench, runtime: Runtime) -> None:
        bench.simulator.faults.add(Fault(endpoint="par", kind="status"))
        started = await runtime.consents.begin("acme", ACCOUNT)
        with pytest.raises(errors.TemporarilyUnavailable, match="HTTP 503"):
            await runtime.consents.url(started.id)
        assert "request_uri=" in await runtime.consents.url(started.id)

    async def test_wrong_secret(self, bench: Workbench, runtime: Runtime) -> None:
        bench.simulator.change({"client_secret": "another"})
        started = await runtime.consents.begin("acme", ACCOUNT)
        with pytest.raises(errors.RegistrationRejected):
            await runtime.consents.url(started.id)

    async def test_there_is_no_endpoint(self, bench: Workbench, runtime: Runtime) -> None:
        override = {"pushed_authorization_request_endpoint": None}
        bench.simulator.change({"metadata_overrides": override})
        started = await runtime.consents.begin("acme", ACCOUNT)
        with pytest.raises(errors.ConfigurationError, match="par"):
            await runtime.consents.url(started.id)


class TestOpenid:
    @pytest.fixture(autouse=True)
    def _openid(self, bench: Workbench) -> None:
        bench.configure(scopes=("openid", "profile", "ads_read"))

    async def test_learns_who_consented(self, bench: Workbench, ada: Person) -> None:
        async with bench.runtime() as runtime:
            redirect = await bench.begin(runtime, ada)
            grant = (await bench.complete(runtime, redirect)).account.grant
        assert grant is not None
        assert grant.subject == "10200000000000101"

    @pytest.mark.parametrize(
        "change",
        [
            {"id_token_signature": "none"},
            {"id_token_signature": "hs256"},
            {"id_token_signature": "bad"},
            {"id_token_claims": {"iss": "https://elsewhere.example"}},
            {"id_token_claims": {"aud": "another"}},
            {"id_token_claims": {"aud": None}},
            {"id_token_claims": {"nonce": "another"}},
            {"id_token_claims": {"nonce": None}},
            {"id_token_claims": {"sub": None}},
            {"id_token_claims": {"iat": None}},
            {"id_token_claims": {"exp": int(NOW) - 360}},
            {"id_token_claims": {"azp": "another"}},
            {"id_token_claims": {"at_hash": "another"}},
            {"omit": ["id_token"]},
        ],
        ids=str,
    )
    async def test_what_must_not_be_believed_is_not_stored(
        self, bench: Workbench, ada: Person, change: dict[str, object]
    ) -> None:
        bench.simulator.change(change)
        async with bench.runtime() as runtime:
            with pytest.raises(errors.ConsentNotGiven, match="must not be believed"):
                await bench.consent(runtime, ada)
            assert await runtime.accounts.all() == []
        assert bench.simulator.ledger.count("userinfo") == 0

    async def test_the_keys_cannot_be_had(self, bench: Workbench, ada: Person) -> None:
        bench.simulator.faults.add(Fault(endpoint="jwks", kind="status", times=2))
        async with bench.runtime() as runtime:
            assert (await bench.consent(runtime, ada)).account.state_name == "active"
            bench.simulator.faults.add(Fault(endpoint="jwks", kind="status", times=3))
            with pytest.raises(errors.TemporarilyUnavailable, match="who consented"):
                await bench.consent(runtime, ada, "acme/other")

    async def test_again_by_the_same_person(self, bench: Workbench, ada: Person) -> None:
        async with bench.runtime() as runtime:
            first = (await bench.consent(runtime, ada)).account
            token = await runtime.tokens.get(ACCOUNT)
            bench.simulator.state.revoke("ada")
            with pytest.raises(errors.ConsentRequired):
                await runtime.tokens.refresh(ACCOUNT)
            again = (await bench.consent(runtime, ada)).account
            assert (again.id, again.generation) == (first.id, 2)
            assert (await runtime.tokens.get(ACCOUNT)).value != token.value
            bench.clock.advance(3600)
            assert (await runtime.tokens.get(ACCOUNT)).value

    async def test_again_by_another_person(
        self, bench: Workbench, ada: Person, grace: Person
    ) -> None:
        async with bench.runtime() as runtime:
            before = (await bench.consent(runtime, ada)).account
            token = await runtime.tokens.get(ACCOUNT)
            redirect = await bench.begin(runtime, grace)
            with pytest.raises(errors.ConsentNotGiven, match="another person") as caught:
                await bench.complete(runtime, redirect)
            assert f"connector forget {ACCOUNT}" in str(caught.value)
            assert await runtime.accounts.require(ACCOUNT) == before
            assert await runtime.tokens.get(ACCOUNT) == token
            bench.clock.advance(3600)
            assert (await runtime.tokens.get(ACCOUNT)).value
