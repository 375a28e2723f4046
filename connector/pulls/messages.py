"""A request as it is sent and an answer as it came, as far as a pull's rules look at them.

Both are values: `templates` makes a request, `pagination` changes one into that of the next page,
and `connector.jobs.pull` sends it. The credential's own parameters and headers are in neither.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal
from urllib.parse import quote, unquote_plus, urlsplit, urlunsplit

#: Where a parameter's name begins so, it is a field of the body.
BODY: Final = "body."


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, but for what the account's credential adds.

    Attributes:
        url: absolute, or relative to the provider's base; it may have a query.
        method: GET or POST.
        params: of the query; they take the place of those in ``url``.
        headers: by their names.
        body: sent as JSON; None: none.
        form: sent as a form; empty: none.
    """

    url: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    form: Mapping[str, str] = field(default_factory=dict)

    @property
    def full_url(self) -> str:
        """The URL with all parameters in its query."""
        if not self.params:
            return self.url
        ours = "&".join(f"{quote(name)}={quote(text)}" for name, text in self.params.items())
        kept = without_params(self.url, self.params)
        parts = urlsplit(kept)
        return urlunsplit(parts._replace(query=f"{parts.query}&{ours}" if parts.query else ours))

    def having(self, param: str, value: object) -> "Request":
        """Give this request with one parameter set, wherever it was before.

        Args:
            param: of the query; ``body.NAME`` is a field of the form, where there is one, else of
                the JSON body, where dots lead into objects.
            value: what it is to be; in the query and in forms as `as_text` writes it.
        """
        if not param.startswith(BODY):
            return replace(self, params={**self.params, param: as_text(value)})
        name = param.removeprefix(BODY)
        if self.form:
            return replace(self, form={**self.form, name: as_text(value)})
        return replace(self, body=_set(self.body, name.split("."), value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that was taken.

    Attributes:
        url: of the request that it answers, in full.
        headers: by lower-case names; several of one name are joined by commas (RFC 9110 §5.2).
        body: parsed.
        records: how many there are in it.
        size: how many were asked for; None: it was not said.
    """

    url: str
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)
    records: int = 0
    size: int | None = None


def as_text(value: object) -> str:
    """Write a value as a parameter: words as they are, lists and tables as compact JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def without_params(url: str, names: Mapping[str, object] | frozenset[str]) -> str:
    """Give a URL without the parameters of these names; the others stay as they are written."""
    parts = urlsplit(url)
    if not parts.query:
        return url
    kept = [
        pair for pair in parts.query.split("&") if unquote_plus(pair.partition("=")[0]) not in names
    ]
    return urlunsplit(parts._replace(query="&".join(kept)))


def _set(body: object, names: list[str], value: object) -> dict[str, object]:
    """Set a field within objects, which are copied on the way; what is no object becomes one."""
    fields = dict(body) if isinstance(body, Mapping) else {}
    name, *rest = names
    fields[name] = _set(fields.get(name), rest, value) if rest else copy.deepcopy(value)
    return fields
