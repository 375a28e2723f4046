"""What there is to tell: a pure function of the causes that are open and the records of notices.

Each cause is told once, then by reminders, then its end once. A cause that is missed and comes back
within `SETTLING` is the same one. Many alike (`MOST_ALONE`) become one notice that sums them up,
and is told again once as many have joined it, or after an hour. What it says of one moment it says
again of the same moment, so that several daemons, or one that was killed, agree.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connector.notice import PAST, Cause, Kind, Notice

#: Of one kind and provider so many are told of one by one within an hour; more make a sum.
MOST_ALONE: Final = 10
HOUR: Final = 3600.0
#: So long is a cause gone before people are told that it is over (seconds). What a person mends
#: does not come and go.
SETTLING: Final = 900.0
SETTLES_AT_ONCE: Final = frozenset[Kind](
    {"consent_required", "consent_ends", "refresh_held", "vault_sealed"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be written.

    Attributes:
        made: new records; a sum stands before its parts.
        changed: records as they are to be; their versions are those that were read.
    """

    made: tuple[Notice, ...] = ()
    changed: tuple[Notice, ...] = ()


def plan(
    causes: Iterable[Cause],
    notices: Iterable[Notice],
    *,
    reminders: Sequence[float],
    now: float,
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> Plan:
    """Say what there is to tell.

    Args:
        causes: that are open.
        notices: the records that are not resolved.
        reminders: seconds to the first reminder, from there to the second and so on; the last one
            repeats. None of them: nobody is reminded.
        now: seconds since the epoch.
        new_id: makes identifiers.
    """
    return _Planning(causes, notices, reminders, now, new_id).plan()


def group_of(cause: Cause) -> str | None:
    """Give what causes that are told of together share; None: it is always told of by itself."""
    if cause.account_id is None:
        return None
    return f"{cause.kind}/*{cause.provider}/{cause.job or ''}"


class _Planning:
    def __init__(
        self,
        causes: Iterable[Cause],
        notices: Iterable[Notice],
        reminders: Sequence[float],
        now: float,
        new_id: Callable[[], str],
    ) -> None:
        self._causes: Mapping[str, Cause] = {cause.key: cause for cause in causes}
        self._before = [notice for notice in notices if not notice.is_resolved]
        self._reminders = reminders
        self._now = now
        self._new_id = new_id
        self._made: list[Notice] = []

    def plan(self) -> Plan:
        sums = {one.cause.key: one for one in self._before if one.count is not None}
        told_of_by = {None, *(one.id for one in sums.values())}
        single = [one for one in self._before if one.count is None and one.part_of in told_of_by]
        known = {notice.cause.key for notice in (*single, *sums.values())}
        after = {notice.id: self._seen(notice) for notice in single}
        # a daemon added it to a sum while another one took that as over: it begins anew
        lost = (one for one in self._before if one.id not in after and one.count is None)
        after |= {one.id: replace(one, gone_at=self._now, resolved_at=self._now) for one in lost}
        new = [cause for key, cause in self._causes.items() if key not in known]
        self._open(new, single, sums)
        parts = defaultdict[str, list[Notice]](list)
        for notice in (*after.values(), *self._made):
            if notice.part_of is not None and not notice.is_resolved:
                parts[notice.part_of].append(notice)
        after |= {one.id: self._sum(one, parts[one.id]) for one in sums.values()}
        made = [self._sum(one, parts[one.id]) if one.count == 0 else one for one in self._made]
        changed = [after[one.id] for one in self._before if after[one.id] != one]
        return Plan(made=tuple(made), changed=tuple(changed))

    def _seen(self, notice: Notice) -> Notice:
        """Give the record of one cause as it is now."""
        cause = self._causes.get(notice.cause.key)
        if cause is None:
            return self._missed(notice)
        since = notice.cause.since if cause.kind == "consent_ends" else cause.since
        cause = replace(cause, since=since, level=max(cause.level, notice.cause.level))
        seen = replace(notice, cause=cause, gone_at=None)
        if notice.part_of is not None:
            return seen
        if cause.level > notice.cause.level:
            return self._told(seen, "changed")
        return self._reminded(seen)

    def _missed(self, notice: Notice) -> Notice:
        """Give the record of a cause that is not there."""
        gone_at = self._now if notice.gone_at is None else notice.gone_at
        # the parts of a sum have settled before
        is_at_once = notice.cause.kind in SETTLES_AT_ONCE or notice.count is not None
        if not is_at_once and self._now - gone_at < SETTLING:
            return replace(notice, gone_at=gone_at)
        gone = replace(notice, gone_at=gone_at, resolved_at=self._now, remind_at=None)
        # an end that has come is no good news: it is told of as the consent that is needed
        has_come = f"consent_required/{notice.cause.account_id}" in self._causes
        if notice.part_of is not None or (notice.cause.kind == "consent_ends" and has_come):
            return gone
        return replace(gone, number=notice.number + 1, event="resolved", told_at=self._now)

    def _open(
        self, causes: Iterable[Cause], single: Iterable[Notice], sums: Mapping[str, Notice]
    ) -> None:
        """Make records of new causes: by themselves, or as parts of a sum."""
        groups = defaultdict[str, list[Cause]](list)
        for cause in causes:
            group = group_of(cause)
            if group is None:
                self._made.append(self._first(cause))
            else:
                groups[group].append(cause)
        recent = defaultdict[str, int](int)
        for notice in single:
            group = group_of(notice.cause)
            if group and notice.part_of is None and notice.first_seen > self._now - HOUR:
                recent[group] += 1
        for group, alike in groups.items():
            if recent[group] + len(alike) <= MOST_ALONE:
                self._made += [self._first(cause) for cause in alike]
                continue
            sum_of_them = sums.get(group)
            if sum_of_them is None:
                shared = replace(
                    alike[0], key=group, account_id=None, account=None, reason=None, level=0
                )
                sum_of_them = replace(self._record(shared), count=0, told_count=0)
                self._made.append(sum_of_them)
            self._made += [replace(self._record(one), part_of=sum_of_them.id) for one in alike]

    def _sum(self, notice: Notice, parts: Sequence[Notice]) -> Notice:
        """Give the record of a sum as it is now."""
        if not parts:
            return self._missed(replace(notice, count=0))
        cause = replace(
            notice.cause,
            since=min(part.cause.since for part in parts),
            level=max(part.cause.level for part in parts),
            ends_at=min((one.cause.ends_at for one in parts if one.cause.ends_at), default=None),
            reason=parts[0].cause.reason,
        )
        seen = replace(notice, cause=cause, count=len(parts), gone_at=None)
        joined = sum(part.first_seen > notice.told_at for part in parts)
        if notice.number == 0:
            return self._told(seen, "opened")
        is_time = joined >= notice.told_count or self._now - notice.told_at >= HOUR
        if cause.level > notice.cause.level or (joined and is_time):
            return self._told(seen, "changed")
        return self._reminded(seen)

    def _record(self, cause: Cause) -> Notice:
        return Notice(id=self._new_id(), cause=cause, first_seen=self._now, told_at=self._now)

    def _first(self, cause: Cause) -> Notice:
        return self._told(self._record(cause), "opened")

    def _reminded(self, notice: Notice) -> Notice:
        if notice.remind_at is None or self._now < notice.remind_at:
            return notice
        return self._told(replace(notice, reminders=notice.reminders + 1), "reminder")

    def _told(self, notice: Notice, event: str) -> Notice:
        """Give a record that says that there is something to tell now."""
        pause = None
        # the next step of a consent's end is its reminder
        is_step = notice.cause.kind == "consent_ends" and notice.cause.level < PAST
        if self._reminders and not is_step:
            pause = self._reminders[min(notice.reminders, len(self._reminders) - 1)]
        return replace(
            notice,
            number=notice.number + 1,
            event=event,  # type: ignore[arg-type]
            told_at=self._now,
            told_count=notice.count or 1,
            remind_at=None if pause is None else self._now + pause,
        )
