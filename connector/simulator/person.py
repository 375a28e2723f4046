"""A person with a browser: walks through the simulator's pages over HTTP, form by form.

It submits the real forms with whatever they hold, follows redirects inside the simulator, and
stops at the first one that leads out of it, which is the client's redirect URI.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urljoin, urlsplit

import httpx2

# Login, consent and the redirects between them are five; a longer way goes in circles.
MOST_STEPS = 20

Decision = Literal["allow", "deny"]


class PersonError(Exception):
    """The pages are not such that the person can do what they are asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What came of opening the client's redirect URI."""

    status: int
    url: str
    """Where it ended, after redirects."""
    text: str


@dataclass(slots=True, kw_only=True)
class Form:
    """A form of a page, as a browser would send it."""

    id: str
    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    """Hidden fields, and checkboxes that are checked."""
    checkboxes: set[tuple[str, str]] = field(default_factory=set)


class Person:
    """One person with one browser; sessions last from one consent to the next."""

    def __init__(self, name: str, *, browser: httpx2.Client | None = None) -> None:
        self.name = name
        self.browser = browser or httpx2.Client(trust_env=False, timeout=60.0)
        """The browser, for what else a test wants the person to open."""

    def close(self) -> None:
        """Close the browser."""
        self.browser.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def consent(
        self,
        authorization_url: str,
        decision: Decision = "allow",
        declined: Collection[str] = (),
    ) -> str:
        """Decide on a request; returns the URL at the client that the browser is sent to.

        `declined` are permissions whose checkboxes are cleared before it is allowed.

        Raises:
            PersonError: a page shows an error, or has no such checkbox.
        """
        response = self._walk(authorization_url, decision, declined)
        if not response.is_redirect:
            message = f"the pages end without a redirect: {_text(response)}"
            raise PersonError(message)
        return urljoin(str(response.url), response.headers["location"])

    def approve_device(self, verification_uri: str, decision: Decision = "allow") -> str:
        """Decide on a device at its verification_uri_complete; returns what the last page says.

        Raises:
            PersonError: a page shows an error.
        """
        return _text(self._walk(verification_uri, decision, ()))

    def deliver(self, url: str) -> Delivery:
        """Open the client's redirect URI, as the browser does at the end of a consent."""
        response = self.browser.get(url, follow_redirects=True)
        return Delivery(status=response.status_code, url=str(response.url), text=response.text)

    def _walk(self, url: str, decision: Decision, declined: Collection[str]) -> httpx2.Response:
        origin = _origin(url)
        response = self.browser.get(url)
        left = set(declined)
        for _ in range(MOST_STEPS):
            if response.is_redirect:
                target = urljoin(str(response.url), response.headers["location"])
                if _origin(target) != origin:
                    break
                response = self.browser.get(target)
                continue
            form = _find_form(response)
            if form is None:
                break
            if form.id == "consent":
                left -= {value for _, value in form.checkboxes}
            response = self._submit(form, self._pressed(form, decision), declined)
        else:
            message = f"more than {MOST_STEPS} steps, last at {_text(response)}"
            raise PersonError(message)
        if left:
            message = f"no checkbox for {', '.join(sorted(left))}"
            raise PersonError(message)
        return response

    def _pressed(self, form: Form, decision: Decision) -> tuple[str, str]:
        return ("person", self.name) if form.id == "login" else ("decision", decision)

    def _submit(
        self, form: Form, pressed: tuple[str, str], declined: Collection[str]
    ) -> httpx2.Response:
        kept = [
            pair for pair in form.fields if pair not in form.checkboxes or pair[1] not in declined
        ]
        names: dict[str, list[str]] = {}
        for name, value in (*kept, pressed):
            names.setdefault(name, []).append(value)
        return self.browser.request(form.method, form.action, data=names)


class _FormReader(HTMLParser):
    """Collects the forms of a page and the words on it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self._url = url
        self._is_in_form = False
        self._is_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in a form or a field of it."""
        values = {name: value or "" for name, value in attrs}
        self._is_style = tag == "style"
        if tag == "form":
            self._is_in_form = True
            self.forms.append(
                Form(
                    id=values.get("id", ""),
                    action=urljoin(self._url, values.get("action", "")),
                    method=values.get("method", "get").upper(),
                )
            )
        elif tag == "input" and self._is_in_form and "name" in values:
            self._take_field(values, is_checked=any(name == "checked" for name, _ in attrs))

    def handle_endtag(self, tag: str) -> None:
        """Leave a form or the style sheet."""
        self._is_style = False
        if tag == "form":
            self._is_in_form = False

    def handle_data(self, data: str) -> None:
        """Take in the words that a person sees."""
        if not self._is_style:
            self.words += data.split()

    def _take_field(self, values: dict[str, str], *, is_checked: bool) -> None:
        pair = (values["name"], values.get("value", ""))
        if values.get("type") == "checkbox":
            self.forms[-1].checkboxes.add(pair)
            if not is_checked:
                return
        self.forms[-1].fields.append(pair)


def _read(response: httpx2.Response) -> _FormReader:
    reader = _FormReader(str(response.url))
    reader.feed(response.text)
    return reader


def _find_form(response: httpx2.Response) -> Form | None:
    if response.is_error:
        message = f"{response.status_code} at {response.url.path}: {_text(response)}"
        raise PersonError(message)
    forms = _read(response).forms
    return next((form for form in forms if form.id in {"login", "consent"}), None)


def _text(response: httpx2.Response) -> str:
    return " ".join(_read(response).words)[:500]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc
