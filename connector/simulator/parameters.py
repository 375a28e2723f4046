"""Parameters of a query or of a urlencoded body, read strictly (RFC 6749 §3.1, §3.2, appendix B).

A parameter without a value counts as absent. A repeated one is reported, for the endpoint to
refuse: which of the two values was meant is not ours to guess.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

# The largest OAuth request has some twenty parameters, an insights query some thirty.
MAX_PARAMETERS = 200

# These may appear several times (RFC 8707 §2, RFC 8693 §2.1).
REPEATABLE = frozenset({"audience", "resource"})


class MalformedParametersError(ValueError):
    """The text is not application/x-www-form-urlencoded."""


class Parameters:
    """The parameters of one request, in order."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = tuple((name, value) for name, value in pairs if value)

    @classmethod
    def parse(cls, text: str) -> "Parameters":
        """Read a query string or a body.

        Raises:
            MalformedParametersError: not urlencoded UTF-8, or more parameters than a request has.
        """
        if not text:
            return cls()
        try:
            pairs = parse_qsl(
                text,
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=MAX_PARAMETERS,
            )
        except ValueError:
            message = "the parameters are not urlencoded name=value pairs"
            raise MalformedParametersError(message) from None
        return cls(pairs)

    def get(self, name: str) -> str | None:
        """The first value of `name`, or None."""
        return next((value for key, value in self._pairs if key == name), None)

    def every(self, name: str) -> tuple[str, ...]:
        """All values of `name`, for a group of checkboxes."""
        return tuple(value for key, value in self._pairs if key == name)

    def repeated(self) -> tuple[str, ...]:
        """The names that appear more than once and must not (RFC 6749 §3.1)."""
        counts = Counter(name for name, _ in self._pairs)
        return tuple(name for name, n in counts.items() if n > 1 and name not in REPEATABLE)

    def __contains__(self, name: object) -> bool:
        return any(key == name for key, _ in self._pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)
