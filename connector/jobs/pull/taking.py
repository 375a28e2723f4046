"""Takes the records out of an answer: as they are or as declared, and with a part's fields.

A field that a record does not have is null: what is part of a key is missed where it is written.
"""

from collections.abc import Mapping, Sequence

from connector.jobs.destinations.records import Finite
from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.sending import Reply, told
from connector.pulls.messages import Request
from connector.pulls.paths import Path


class Taker:
    """Takes records.

    Args:
        records: path to them in an answer.
        fields: paths in a record by the fields that they become; empty: it stays as it is.
        keep: placeholders of the part by the fields that they become.
    """

    def __init__(self, records: str, fields: Mapping[str, str], keep: Mapping[str, str]) -> None:
        self._path = Path.parse(records)
        # JSONPath finds so many records, or none; dotted names lead to a list that has to be there
        self._is_plain = not records.startswith("$")
        self._fields = {name: Path.parse(text).first for name, text in fields.items()}
        self._keep = keep

    def take(self, request: Request, reply: Reply, values: Mapping[str, object]) -> list[object]:
        """Give the records of an answer; what is none among them, its writer sets aside.

        Args:
            request: that it answers.
            reply: the answer.
            values: of the part's placeholders.

        Raises:
            PullFailed: there is no list of records where it should be.
        """
        body = reply.body
        try:
            found = self._path.find(body)
            records = self._path.records(body)
        except ValueError as error:
            raise PullFailed(str(error), "Look at records", asked=told(request)) from None
        if not found and body is not None and self._is_plain:
            text = self._path.text
            raise PullFailed(
                f"the answer has no {text!r}; it has {_told(body)}",
                f'Look at records; where the API leaves an empty list out, write "$.{text}[*]"',
                asked=told(request),
            )
        if self._fields:
            records = [self._made(record) for record in records]
        kept = {name: values.get(placeholder) for name, placeholder in self._keep.items()}
        if kept:
            for record in records:
                if isinstance(record, dict):
                    record.update(kept)
        # what a part has of its own may stand in the configuration
        return Finite(records) if reply.is_strict and not kept else records

    def _made(self, record: object) -> object:
        """Give what is declared of a record; what is none, its writer sets aside."""
        if not isinstance(record, dict):
            return record
        return {name: find(record) for name, find in self._fields.items()}


def _told(body: object) -> str:
    """Say what there is instead, by names alone."""
    if isinstance(body, dict):
        names: Sequence[str] = [repr(str(name)[:40]) for name in list(body)[:8]]
        return f"only {', '.join(names)}" if names else "nothing"
    return f"a {'list' if isinstance(body, list) else type(body).__name__} alone"
