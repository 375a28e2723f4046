"""The members of a control request, read and checked."""

from collections.abc import Mapping

# A longer wait is asked for again by whoever still wants it.
LONGEST_WAIT = 60.0

Values = Mapping[str, object]


class ControlRequestError(ValueError):
    """A control request makes no sense; the message says why."""


def text(values: Values, name: str) -> str:
    """A string that has to be there.

    Raises:
        ControlRequestError: it is missing, or of the wrong type.
    """
    value = optional(values, name)
    if value is None:
        message = f"{name} is missing"
        raise ControlRequestError(message)
    return value


def optional(values: Values, name: str) -> str | None:
    """A string, or None.

    Raises:
        ControlRequestError: it is missing, or of the wrong type.
    """
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        message = f"{name} must be a string"
        raise ControlRequestError(message)
    return value


def number(values: Values, name: str, default: float | None = None) -> float:
    """A number, or the default; without one it has to be there.

    Raises:
        ControlRequestError: it is missing, or of the wrong type.
    """
    value = values.get(name, default)
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError  # noqa: TRY301 - one message for every way of being wrong
        return float(value)
    except ValueError:
        message = f"{name} must be a number"
        raise ControlRequestError(message) from None


def timeout(values: Values) -> float:
    """How many seconds a request may wait.

    Raises:
        ControlRequestError: it is missing, or of the wrong type.
    """
    return min(max(number(values, "timeout", 10.0), 0.0), LONGEST_WAIT)
