"""The parent things that a pull is made for, such as ad accounts: listed anew by each run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connector.jobs.pull.asking import Asker, Wanted
from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.sending import told
from connector.pulls.messages import Answer, Request, as_text
from connector.pulls.pagination import PageState, PaginationError, apply, first, following, reduced
from connector.pulls.paths import Path
from connector.pulls.rules import Action
from connector.pulls.spec import EachRule
from connector.pulls.templates import fill

_REMEDY: Final = "Look at records and fields of each"
#: A list that begins anew more often is not read any more.
_RESTARTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A parent thing.

    Attributes:
        id: identifies it; empty where a pull has no parts.
        values: of its placeholders, those that hold for every part included.
    """

    id: str
    values: Mapping[str, object]


async def list_parts(
    rule: EachRule | None, asker: Asker, values: Mapping[str, object]
) -> list[Part]:
    """Give the parts, each once, in the order in which the API lists them.

    Args:
        rule: how they are listed; None: there is one part, without an identifier.
        asker: asks the API.
        values: of placeholders that hold for every part.

    Raises:
        PullFailed: the list cannot be read.
        ConnectorError: see `Asker.ask`.
    """
    if rule is None:
        return [Part(id="", values=values)]
    if rule.request is None:
        name = next(iter(rule.fields))
        return [
            Part(id=value, values={**values, name: value}) for value in dict.fromkeys(rule.values)
        ]
    for _ in range(_RESTARTS):
        try:
            return await _List(rule, fill(rule.request, values), asker, values).read()
        except Wanted as wanted:
            if wanted.action is not Action.RESTART:
                raise
    raise PullFailed("the list of each has to be begun anew time and again")


class _List:
    def __init__(
        self, rule: EachRule, request: Request, asker: Asker, values: Mapping[str, object]
    ) -> None:
        self._rule = rule
        self._request = request
        self._asker = asker
        self._values = values
        self._size = rule.size
        self._parts: dict[str, Part] = {}

    async def read(self) -> list[Part]:
        """Read all pages.

        Raises:
            Wanted: the list has to be begun anew.
        """
        pagination = self._rule.pagination
        state: PageState | None = first(pagination)
        while state is not None:
            request = apply(pagination, state, self._request, self._size)
            smaller = reduced(self._size) if self._size else None
            can = {Action.IGNORE, Action.RESTART}
            if smaller is not None:
                can.add(Action.REDUCE_PAGE_SIZE)
            try:
                answer = await self._page(request, can)
                state = following(pagination, state, answer)
            except PaginationError as error:
                raise PullFailed(f"the list of each, {told(request)}: {error}") from None
            except Wanted as wanted:
                if wanted.action is Action.IGNORE:
                    break
                if wanted.action is not Action.REDUCE_PAGE_SIZE:
                    raise
                self._size = smaller
        return list(self._parts.values())

    async def _page(self, request: Request, can: set[Action]) -> Answer:
        reply = await self._asker.ask(request, "", can)
        try:
            records = Path.parse(self._rule.records).records(reply.body)
        except ValueError as error:
            raise PullFailed(f"the list of each, {told(request)}: {error}", _REMEDY) from None
        for record in records:
            part = self._part(record, request)
            self._parts.setdefault(part.id, part)
        size = None if self._size is None else self._size.value
        return Answer(
            url=reply.url, body=reply.body, headers=reply.headers, records=len(records), size=size
        )

    def _part(self, record: object, request: Request) -> Part:
        values = {name: Path.parse(path).first(record) for name, path in self._rule.fields.items()}
        name, path = next(iter(self._rule.fields.items()))
        if values[name] is None or isinstance(values[name], (dict, list, bool)):
            what = f"a record of {told(request)} has no {path!r}, which identifies a part"
            raise PullFailed(what, _REMEDY)
        return Part(id=as_text(values[name]), values={**self._values, **values})
