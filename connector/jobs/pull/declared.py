"""Makes the run of an order, in the child process: its client, its limits, its declaration."""

import logging
from collections.abc import Mapping
from typing import cast

import httpx2

from connector.jobs.channel import ChildChannel, Message
from connector.jobs.held_credentials import HeldCredentials
from connector.jobs.leaving import Leaving
from connector.jobs.pull.asking import Asker
from connector.jobs.pull.desk import ChannelDesk
from connector.jobs.pull.limits import RunLimits
from connector.jobs.pull.place import fingerprint
from connector.jobs.pull.pull import PullRun, Work
from connector.jobs.pull.sending import Sender
from connector.jobs.pull.span import Asked
from connector.jobs.pull.waiting import Clock, Waiting
from connector.jobs.writing import Writer
from connector.pulls.reading import load_pull


async def run_declared(
    order: Message, writer: Writer, channel: ChildChannel, logger: logging.Logger
) -> None:
    """Pull what an order declares.

    Raises:
        As `PullRun.run`.
    """
    table = cast("Mapping[str, object]", order["request"])
    defaults = cast("Mapping[str, object]", order["defaults"])
    job = cast("str", order["job"])
    pull = load_pull(table, defaults, source="the configuration", job=job)
    seconds, longest = cast("float", order["deadline"]), pull.limits.longest_wait
    waiting = Waiting(writer, seconds=seconds, longest=longest, clock=Clock())
    account = cast("str", order["account"])
    work = Work(
        pull=pull,
        declaration=fingerprint({"request": table, "defaults": defaults}),
        account=account,
        asked=Asked(
            since=cast("str | None", order["since"]), until=cast("str | None", order["until"])
        ),
        is_lane=bool(order["lane"]),
        attempt=cast("int", order["attempt"]),
    )
    base_url = cast("str", order["base_url"] or "")
    leaving = Leaving(
        proxy=cast("str | None", order["proxy"]), ca_file=cast("str | None", order["ca_file"])
    )
    with httpx2.Client(base_url=base_url, **leaving.options()) as client:
        asker = Asker(
            Sender(client, account, HeldCredentials(channel), writer.on_send),
            pull,
            RunLimits(pull.limits, ChannelDesk(channel), waiting),
            waiting,
            counts=writer.counts,
            account=account,
            provider=cast("str", order["provider"]),
        )
        await PullRun(work, writer, asker, waiting, logger).run()
