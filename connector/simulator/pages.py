"""The pages that people see: plain HTML forms, no script, nothing loaded from elsewhere.

Templates escape everything; what a client sent reaches a page only as text.
"""

from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from connector.simulator.call import RefusedError, Reply

# No form-action: Chromium applies it to redirects after a form too, and would stop the way back
# to the client.
PAGE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    """Renders the templates beside this module."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("connector.simulator"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self, template: str, values: Mapping[str, object], *, status: int = 200
    ) -> HTMLResponse:
        """A page from a template."""
        text = self._environment.get_template(template).render(values)
        return HTMLResponse(text, status_code=status, headers=PAGE_HEADERS)

    def error(self, title: str, text: str, *, status: int = 400, outcome: str = "page") -> Reply:
        """The page for a request that must not be redirected (RFC 6749 §4.1.2.1)."""
        page = self.render("message.html", {"title": title, "text": text}, status=status)
        return Reply(response=page, outcome=outcome)

    def refusal(
        self, title: str, text: str, *, status: int = 400, outcome: str = "page"
    ) -> RefusedError:
        """The same page, to be raised."""
        return RefusedError(self.error(title, text, status=status, outcome=outcome))
