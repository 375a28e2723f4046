"""What concerns this host, or keeps the database from being written: told from beside it."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from connector.errors import ConnectorError, TemporarilyUnavailable, VaultSealed
from connector.notice import Cause, Kind
from connector.notices.channel import Channel
from connector.notices.local import LocalNotices
from connector.notices.sender import Sender

logger = logging.getLogger(__name__)


async def look_here(
    local: LocalNotices,
    failure: ConnectorError | None,
    *,
    waiting: int,
    misfit: str | None,
    now: float,
) -> None:
    """Write down what there is to tell now of what concerns this host.

    Args:
        local: where.
        failure: why the store could not be asked just now; None: it could.
        waiting: how many answers are in the journal and not in the store.
        misfit: where the audit trail does not fit; empty: it does; None: nobody has looked.
        now: seconds since the epoch.
    """
    causes = [_of_failure(failure, now)] if failure else []
    kinds: set[Kind] = {"vault_sealed", "store_unavailable", "answers_waiting"}
    if waiting:
        reason = f"{waiting} answers wait"
        causes.append(
            Cause(key="answers_waiting", kind="answers_waiting", since=now, reason=reason)
        )
    if misfit is not None:
        kinds.add("audit_does_not_fit")
    if misfit:
        kind: Kind = "audit_does_not_fit"
        causes.append(Cause(key=kind, kind=kind, since=now, reason=misfit))
    await local.look(causes, kinds, now=now)


async def tell_of_end(
    failure: ConnectorError,
    local: LocalNotices,
    channels: Sequence[Channel],
    *,
    owner: str,
    address: str,
    now: Callable[[], float],
) -> None:
    """Tell, by every channel, why the daemon does not serve: once, however often it is started.

    Args:
        failure: why.
        local: where it is written down.
        channels: by which people are told; each has its time limit.
        owner: this process, as it claims.
        address: of the daemon, for links.
        now: gives seconds since the epoch.
    """
    if not isinstance(failure, VaultSealed | TemporarilyUnavailable):
        return
    cause = _of_failure(failure, now())
    await local.look([cause], {cause.kind}, now=now())
    senders = [Sender(channel, owner=owner, address=address, now=now) for channel in channels]
    await asyncio.gather(*(sender.send_one(local) for sender in senders))


def _of_failure(failure: ConnectorError, now: float) -> Cause:
    """Give the cause that is behind an error of the store."""
    kind: Kind = "vault_sealed" if isinstance(failure, VaultSealed) else "store_unavailable"
    reason = getattr(failure, "reason", str(failure))
    return Cause(key=kind, kind=kind, since=now, reason=reason)
