"""Reads requests: what is sent, where to, and which placeholders are in it.

A token goes into the ``Authorization`` header by the account's credential alone, and to the
provider's own origins alone: neither is for a job to say.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, Literal, cast
from urllib.parse import urlsplit

from connector.pulls.pagination import SECRET_PARAMS
from connector.pulls.reading.values import read_plain, read_table
from connector.pulls.spec import RequestTemplate
from connector.pulls.templates import names
from connector.toml_section import Section

#: Says what is wrong with a request's URL, where something is.
UrlCheck = Callable[[str], str | None]

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: They are the credential's, or the HTTP client's.
_NOT_OURS: Final = frozenset(
    {"authorization", "proxy-authorization", "host", "content-length", "transfer-encoding"}
)


def read_request(
    section: Section, check: UrlCheck, *, like: RequestTemplate | None = None
) -> RequestTemplate | None:
    """Read a request; None where it has no URL.

    Args:
        section: its table, which may have further keys.
        check: of its URL.
        like: what it is like where it says nothing.
    """
    url = section.text("url", like.url if like else None, is_required=like is None)
    if url:
        _check_url(section, url, check)
    body, form = read_plain(section, "body"), read_table(section, "form")
    params = read_table(section, "params")
    if body is not None and form:
        section.problem("form", "stands beside a body", "take one of them away")
    default = "POST" if body is not None or form else like.method if like else "GET"
    method = cast("Literal['GET', 'POST']", section.choice("method", ("GET", "POST"), default))
    if method == "GET" and (body is not None or form):
        section.problem("method", "GET takes no body and no form", 'write method = "POST"')
    for name in sorted(SECRET_PARAMS & params.keys()):
        section.problem(f"params.{name}", "is the credential's", "remove it: tokens are attached")
    if not url:
        return None
    return RequestTemplate(
        url=url,
        method=method,
        params=params if "params" in section or like is None else like.params,
        headers=_read_headers(section) if "headers" in section or like is None else like.headers,
        body=body if body is not None or like is None else like.body,
        form=form if "form" in section or like is None else like.form,
    )


def check_names(section: Section, template: RequestTemplate | None, known: Collection[str]) -> None:
    """Report each placeholder that nothing fills in, with the nearest that something does."""
    if template is None:
        return
    parts: dict[str, object] = {"url": template.url, "body": template.body}
    for key, table in (
        ("params", template.params),
        ("headers", template.headers),
        ("form", template.form),
    ):
        parts |= {f"{key}.{name}": value for name, value in table.items()}
    for key, part in parts.items():
        for name in sorted(names(part) - frozenset(known)):
            section.problem(key, f"there is no {{{name}}} to fill in", _nearest(name, known))


def _nearest(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    if nearest:
        return f"did you mean {{{nearest[0]}}}?"
    listed = ", ".join(f"{{{one}}}" for one in sorted(known))
    return f"known here: {listed}; write {{{{ for a brace"


def _check_url(section: Section, url: str, check: UrlCheck) -> None:
    origin = url.partition("?")[0]
    if "://" in origin:
        scheme, _, rest = url.partition("://")
        host = re.split(r"[/?#]", rest, maxsplit=1)[0]
        if "{" in scheme or "{" in host:
            section.problem("url", "has a placeholder in its origin", "write the host in full")
            return
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        section.problem("url", "is no URL", 'write url = "items", relative to api.base_url')
        return
    if url.startswith(("//", "\\")) or parts.username is not None or "\\" in url or " " in url:
        section.problem("url", "is no URL of a request", 'write url = "https://api.example/items"')
    elif parts.fragment or url.endswith("#"):
        section.problem("url", "has a fragment, which is never sent", "remove it")
    elif (message := check(url)) is not None:
        remedy = "name the origin in api_origins of the provider, or api.base_url for its paths"
        section.problem("url", message, remedy)
    for pair in parts.query.split("&"):
        if pair.partition("=")[0] in SECRET_PARAMS:
            section.problem("url", "holds a token", "remove it: tokens are attached")


def _read_headers(section: Section) -> Mapping[str, str]:
    headers = section.text_map("headers")
    for name in headers:
        if name.lower() in _NOT_OURS:
            remedy = "remove it: it is set for each request"
            section.problem(f"headers.{name}", "is not for a job to set", remedy)
        elif _HEADER_NAME.fullmatch(name) is None:
            section.problem(f"headers.{name}", "is not a header's name", "write its name alone")
    return headers
