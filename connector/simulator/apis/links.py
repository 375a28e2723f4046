"""Links from a page to the next one; on demand they point at another origin, as a thief's would."""

from collections.abc import Iterable
from urllib.parse import urlencode

from connector.simulator.state import State


def link(state: State, path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """An absolute URL of a page."""
    origin = state.settings.apis_foreign_next or state.origin
    return f"{origin}{path}?{urlencode(list(parameters))}"
