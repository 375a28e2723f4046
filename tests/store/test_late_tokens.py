"""Refresh tokens that came too late: kept beside the winner's, and gone with them."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text

from connector.account import Account
from connector.errors import VaultSealed
from connector.secret import Secret
from connector.store.account_rows import binding_of, place
from connector.store.grants import Consent, NewTokens
from connector.store.pending_write import PendingWrite
from connector.testing import SOME_TIME, Stores, connected, some_attempt, some_tokens
from connector.vault.envelope import _unbound_data

LATE = Secret("refresh-late")


async def lose(stores: Stores, *, sent_at: float = SOME_TIME, late: str = "late") -> Account:
    """Have a refresh come second; give the account as the winner left it."""
    before = await connected(stores, "acme/one")
    winner = await stores.grants.renew(before, some_tokens("winner"))
    assert winner is not None
    assert await stores.late_tokens.keep(
        stores.grants.renewal(before, some_tokens(late, at=sent_at))
    )
    return winner


async def rows(stores: Stores) -> int:
    async with stores.database.read() as connection:
        return (await connection.execute(text("SELECT count(*) FROM late_token"))).scalar() or 0


def loser(stores: Stores, winner: Account, new: NewTokens) -> PendingWrite:
    """Give the write of a refresh that was sent with the token before the winner's."""
    return stores.grants.renewal(replace(winner, generation=winner.generation - 1), new)


async def test_a_late_token_is_kept_and_found(stores: Stores) -> None:
    winner = await lose(stores)
    assert await stores.late_tokens.find(winner) == LATE
    assert await stores.accounts.require("acme/one") == winner, "the account is as it was"
    assert await stores.accounts.rename(winner, "acme/two")
    renamed = await stores.accounts.require("acme/two")
    assert await stores.late_tokens.find(renamed) == LATE


async def test_it_opens_in_its_place_only(stores: Stores) -> None:
    winner = await lose(stores)
    async with stores.database.read() as connection:
        sealed = bytes(
            (
                await connection.execute(text("SELECT refresh_token_sealed FROM late_token"))
            ).scalar_one()
        )
    assert LATE.reveal().encode() not in sealed
    winners_own = place(winner.id, "refresh_token", winner.generation, binding_of(winner))
    with pytest.raises(VaultSealed):
        stores.vault.open_secret(sealed, winners_own)
    assert winner.grant is not None
    async with stores.database.write() as connection:
        await connection.execute(
            text("UPDATE late_token SET refresh_token_sealed = :other"),
            {"other": winner.grant.sealed.refresh_token},
        )
    assert await stores.late_tokens.find(winner) is None, "what does not open is as good as none"


def written_by_an_earlier_version(stores: Stores, write: PendingWrite) -> PendingWrite:
    """Give a write as version 1 had it in the journal: bound to its place alone."""
    token = stores.vault.open_secret(
        write.sealed.refresh_token or b"",
        place(write.account_id, "refresh_token", write.generation + 1, write.bound_to),
    )
    unbound = place(write.account_id, "refresh_token", write.generation + 1, "")
    header, nonce = b"\x01" + (1).to_bytes(4, "big"), bytes(12)
    key: AESGCM = stores.vault._keys[1]
    data = _unbound_data(header, stores.vault.store_id, unbound)
    older = header + nonce + key.encrypt(nonce, token.reveal().encode(), data)
    return replace(write, bound_to="", sealed=replace(write.sealed, refresh_token=older))


async def test_one_from_an_earlier_versions_journal_is_kept(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    winner = await stores.grants.renew(before, some_tokens("winner"))
    assert winner is not None
    write = stores.grants.renewal(before, some_tokens("late"))
    assert await stores.late_tokens.keep(written_by_an_earlier_version(stores, write))
    assert await stores.late_tokens.find(winner) == LATE


async def test_one_of_another_registration_is_not_kept(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    consent = Consent(provider="acme", fingerprint="another")
    winner = await stores.grants.activate(before, some_tokens("winner"), consent)
    assert winner is not None
    assert winner.generation == before.generation + 1
    assert not await stores.late_tokens.keep(stores.grants.renewal(before, some_tokens("late")))
    assert await stores.late_tokens.find(winner) is None


async def renew(stores: Stores, account: Account) -> None:
    assert await stores.grants.renew(account, some_tokens("3")) is not None


async def reconnect(stores: Stores, account: Account) -> None:
    consent = Consent(provider="acme", fingerprint="registration")
    assert await stores.grants.activate(account, some_tokens("3"), consent) is not None


async def end(stores: Stores, account: Account) -> None:
    assert await stores.grants.require_consent(account, "over", now=SOME_TIME) is not None


async def forget(stores: Stores, account: Account) -> None:
    await stores.accounts.forget(account)


async def destroy(stores: Stores, account: Account) -> None:
    await stores.revocations.destroy(account, "revoked", now=SOME_TIME, is_owed=False)


@pytest.mark.parametrize("happens", [renew, reconnect, end, forget, destroy])
async def test_it_goes_with_the_tokens_that_it_lost_against(
    stores: Stores, happens: Callable[[Stores, Account], Awaitable[None]]
) -> None:
    winner = await lose(stores)
    other = await connected(stores, "acme/other")
    assert await rows(stores) == 1
    await renew(stores, other)
    assert await rows(stores) == 1, "another account's writes are nothing to it"
    await happens(stores, winner)
    assert await rows(stores) == 0


async def test_a_lease_and_a_failure_leave_it(stores: Stores) -> None:
    winner = await lose(stores)
    leased = await stores.grants.take_lease(winner, "me", some_attempt())
    assert leased is not None
    assert await stores.grants.settle(leased, None, unanswered=None) is not None
    assert await stores.late_tokens.find(winner) == LATE


async def test_a_revoked_account_owes_it_as_well(stores: Stores) -> None:
    winner = await lose(stores)
    debt = await stores.revocations.destroy(winner, "revoked", now=SOME_TIME, is_owed=True)
    assert debt is not None
    owed = [one.tokens for one in await stores.revocations.due(SOME_TIME)]
    assert sorted(tokens["refresh_token"].reveal() for tokens in owed) == [
        "refresh-late",
        "refresh-winner",
    ]


async def test_what_is_nothing_new_is_not_kept(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    old = stores.accounts.open_refresh_token(before)
    own = stores.grants.renewal(before, some_tokens("winner"))
    winner = await stores.grants.apply(own)
    assert winner is not None
    assert not await stores.late_tokens.keep(own), "a write that is applied twice is its own"
    unrotated = some_tokens("late")
    unrotated = replace(
        unrotated, tokens=replace(unrotated.tokens, refresh_token=None), refresh_token=old
    )
    assert not await stores.late_tokens.keep(loser(stores, winner, unrotated))
    assert await rows(stores) == 0


async def test_what_is_older_than_the_accounts_own_is_not_kept(stores: Stores) -> None:
    before = await connected(stores, "acme/one")
    write = stores.grants.renewal(before, some_tokens("late"))
    winner = await stores.grants.renew(before, some_tokens("2"))
    assert winner is not None
    third = await stores.grants.renew(winner, some_tokens("3"))
    assert third is not None
    assert not await stores.late_tokens.keep(write)
    await end(stores, third)
    assert not await stores.late_tokens.keep(loser(stores, third, some_tokens("late")))
    await forget(stores, third)
    assert not await stores.late_tokens.keep(loser(stores, third, some_tokens("late")))
    assert await rows(stores) == 0


async def test_of_several_that_of_the_last_request_stays(stores: Stores) -> None:
    winner = await lose(stores, sent_at=SOME_TIME + 5)
    earlier = loser(stores, winner, some_tokens("earlier", at=SOME_TIME + 4))
    assert not await stores.late_tokens.keep(earlier)
    assert await stores.late_tokens.find(winner) == LATE
    last = loser(stores, winner, some_tokens("last", at=SOME_TIME + 6))
    assert await stores.late_tokens.keep(last)
    assert await stores.late_tokens.find(winner) == Secret("refresh-last")
    assert await rows(stores) == 1


async def test_a_database_that_holds_one_gets_no_new_vault(stores: Stores) -> None:
    """See `vault_keys`: never a new key over what an old one has sealed."""
    from connector.store.vault_keys import _holds_sealed_values

    await lose(stores)
    async with stores.database.write() as connection:
        for table in ("vault_key", "vault_seal"):
            await connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - names above
        await connection.execute(text("UPDATE account SET access_token_sealed = NULL"))
        assert await _holds_sealed_values(connection)
        await connection.execute(text("DELETE FROM late_token"))
        assert not await _holds_sealed_values(connection)
