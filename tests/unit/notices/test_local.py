"""What concerns this host is told from a file: once, by each channel, however often one starts."""

import asyncio
from pathlib import Path

import pytest

from connector.errors import ConnectorError, TemporarilyUnavailable, UnknownAccount, VaultSealed
from connector.notice import CLAIM_TIME, LONGEST_DELAY, Notice
from connector.notices.channel import Undelivered
from connector.notices.here import look_here, tell_of_end
from connector.notices.local import PATIENCE, LocalNotices
from connector.notices.plan import SETTLING
from connector.notices.wording import Message
from connector.testing import FixedClock

NOW = 1_800_000_000.0
DAY = 86_400.0
SEALED = VaultSealed("the key is another one", "Restore it.")
AWAY = TemporarilyUnavailable("the database failed")


class Told:
    """A channel that keeps what it is told, or takes nothing."""

    def __init__(self, name: str = "command") -> None:
        self.name = name
        self.events: list[tuple[str, object]] = []
        self.is_broken = False

    async def send(self, message: Message, *, now: float) -> None:
        del now
        if self.is_broken:
            raise Undelivered("broken")
        self.events.append((message.event, message.body["kind"]))

    async def aclose(self) -> None:
        """Nothing is held."""


@pytest.fixture
def local(tmp_path: Path) -> LocalNotices:
    return LocalNotices(tmp_path / "journals", reminders=(DAY,))


async def end(
    local: LocalNotices, *channels: Told, now: float = NOW, error: ConnectorError = SEALED
) -> None:
    """End as a daemon does that cannot serve."""
    await tell_of_end(error, local, channels, owner="me", address="", now=FixedClock(now))


async def look(
    local: LocalNotices,
    failure: ConnectorError | None = None,
    *,
    waiting: int = 0,
    misfit: str | None = None,
    now: float = NOW,
) -> list[str]:
    """Look as a daemon does that serves; give what is open."""
    await look_here(local, failure, waiting=waiting, misfit=misfit, now=now)
    return [notice.cause.kind for notice in await local.open()]


async def claimed(local: LocalNotices, now: float = NOW) -> Notice | None:
    delivery = await local.claim("command", owner="me", now=now)
    if delivery is None:
        return None
    await local.delivered(delivery)
    return delivery.notice


async def test_a_sealed_vault_is_told_of_once_however_often_it_is_tried(
    local: LocalNotices, tmp_path: Path
) -> None:
    channels = Told("command"), Told("webhook 1")
    for seconds in range(20):
        await end(
            LocalNotices(tmp_path / "journals", reminders=(DAY,)), *channels, now=NOW + seconds
        )
    assert [one.events for one in channels] == [[("opened", "vault_sealed")]] * 2
    await end(local, *channels, now=NOW + DAY)
    assert channels[0].events[1:] == [("reminder", "vault_sealed")]


async def test_the_start_that_opens_it_tells_that_it_is_over(local: LocalNotices) -> None:
    await end(local, Told())
    assert await look(local, now=NOW + 60) == []
    over = await claimed(local, NOW + 60)
    assert over is not None
    assert (over.event, over.cause.reason) == ("resolved", "the key is another one")
    await look(local, now=NOW + 61)
    assert await claimed(local, NOW + 61) is None


async def test_a_channel_that_failed_is_tried_at_a_later_start(local: LocalNotices) -> None:
    channel = Told()
    channel.is_broken = True
    await end(local, channel)
    channel.is_broken = False
    await end(local, channel, now=NOW + 1)
    assert channel.events == [], "it was tried again at once"
    await end(local, channel, now=NOW + 6)
    assert channel.events == [("opened", "vault_sealed")]


async def test_a_database_that_is_away_is_told_of_when_it_lasts(local: LocalNotices) -> None:
    patience = PATIENCE["store_unavailable"]
    assert await look(local, AWAY) == []
    assert await look(local, AWAY, now=NOW + patience - 1) == []
    assert await look(local, AWAY, now=NOW + patience) == ["store_unavailable"]
    (notice,) = await local.open()
    assert (notice.cause.since, notice.cause.reason) == (NOW, "the database failed")
    assert await look(local, now=NOW + patience + 1) == ["store_unavailable"]
    assert await look(local, now=NOW + patience + 1 + SETTLING) == []


async def test_one_that_comes_back_in_between_begins_anew(local: LocalNotices) -> None:
    for seconds in range(0, 3000, 200):
        assert await look(local, AWAY, now=NOW + seconds) == []
        assert await look(local, now=NOW + seconds + 100) == []


async def test_answers_that_wait_in_the_journal(local: LocalNotices) -> None:
    assert await look(local, waiting=2) == []
    assert await look(local, waiting=2, now=NOW + 300) == ["answers_waiting"]
    (notice,) = await local.open()
    assert notice.cause.reason == "2 answers wait"


async def test_an_audit_trail_that_does_not_fit(local: LocalNotices) -> None:
    assert await look(local, misfit="row 7 was altered") == ["audit_does_not_fit"]
    assert await look(local, misfit=None, now=NOW + SETTLING) == ["audit_does_not_fit"], "unknown"
    assert await look(local, misfit="", now=NOW + SETTLING) == ["audit_does_not_fit"]
    assert await look(local, misfit="", now=NOW + 2 * SETTLING) == []


async def test_what_the_start_does_not_know_stays(local: LocalNotices) -> None:
    """That the vault is sealed says nothing of the audit trail."""
    await look(local, misfit="row 7 was altered")
    await end(local, Told())
    assert {one.cause.kind for one in await local.open()} == {"audit_does_not_fit", "vault_sealed"}


async def test_other_errors_are_nobody_s_to_mend(local: LocalNotices, tmp_path: Path) -> None:
    channel = Told()
    await end(local, channel, error=UnknownAccount("acme/one"))
    assert channel.events == []
    assert not (tmp_path / "journals").exists()


async def test_where_there_is_nothing_to_tell_no_file_is_made(
    local: LocalNotices, tmp_path: Path
) -> None:
    await look(local)
    assert await claimed(local) is None
    assert await local.next_retry("command") is None
    assert not (tmp_path / "journals").exists()


async def test_a_claim_that_nobody_settles_runs_out(local: LocalNotices) -> None:
    await look(local, SEALED)
    assert await local.claim("command", owner="dead", now=NOW)
    assert await local.next_retry("command") == NOW + CLAIM_TIME
    assert await local.claim("command", owner="me", now=NOW + CLAIM_TIME - 1) is None
    assert await local.claim("command", owner="me", now=NOW + CLAIM_TIME)


async def test_one_of_many_has_it(local: LocalNotices, tmp_path: Path) -> None:
    await look(local, SEALED)
    others = [LocalNotices(tmp_path / "journals", reminders=()) for _ in range(8)]
    claims = (one.claim("command", owner=f"{i}", now=NOW) for i, one in enumerate(others))
    assert sum(one is not None for one in await asyncio.gather(*claims)) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seen": 1}', '{"notices": [{"id": 1}]}'])
async def test_a_torn_file_is_empty(local: LocalNotices, tmp_path: Path, content: str) -> None:
    await look(local, SEALED)
    (tmp_path / "journals" / "notices.json").write_text(content)
    assert await local.open() == []
    assert await look(local, SEALED) == ["vault_sealed"]


async def test_a_folder_that_cannot_be_written_fails_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journals").write_text("a file")
    local = LocalNotices(tmp_path / "journals", reminders=())
    channel = Told()
    await end(local, channel)
    await end(local, channel)
    assert channel.events == []
    assert len([one for one in caplog.records if "cannot be used" in one.getMessage()]) == 1


async def test_the_file_is_for_its_owner_alone_and_does_not_grow(
    local: LocalNotices, tmp_path: Path
) -> None:
    path = tmp_path / "journals" / "notices.json"
    for day in range(0, 20, 2):
        await look(local, SEALED, now=NOW + day * DAY)
        await claimed(local, NOW + day * DAY)
        await look(local, now=NOW + (day + 1) * DAY)
        await claimed(local, NOW + (day + 1) * DAY)
    await look(local, now=NOW + 20 * DAY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text()) < 200


async def test_a_channel_that_is_gone_keeps_nothing_open(
    local: LocalNotices, tmp_path: Path
) -> None:
    await look(local, SEALED)
    assert await local.claim("a channel that is configured no more", owner="me", now=NOW)
    await look(local, now=NOW + 1)
    await look(local, now=NOW + 1 + LONGEST_DELAY)
    assert '"notices": []' in (tmp_path / "journals" / "notices.json").read_text()
