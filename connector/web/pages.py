"""Pages for people: rendered from templates, self-contained, and shut against everything else.

No page loads anything from anywhere: the style sheet stands in the page and is named by its hash in
the Content-Security-Policy. Text of a provider is escaped by the template engine (CHECKLIST 24, 25,
156).
"""

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse


def page(
    template: str,
    values: Mapping[str, object],
    *,
    status: int = 200,
    form_action: str = "'none'",
) -> HTMLResponse:
    """Render a page.

    Args:
        template: file name in ``templates/``.
        values: for the template; escaped there.
        status: the HTTP status.
        form_action: where its forms may lead, redirects included.
    """
    html = _environment().get_template(template).render(style=_style(), **values)
    return HTMLResponse(html, status_code=status, headers=security_headers(form_action))


def redirect(url: str) -> RedirectResponse:
    """Redirect to another page (303), leaving nothing of this one's URL behind."""
    return RedirectResponse(url, status_code=303, headers=security_headers())


def security_headers(form_action: str = "'none'") -> dict[str, str]:
    """Give the headers that every page has."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action {form_action}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    # under no-referrer a form would be sent with "Origin: null", as if from nowhere
    referrer = "no-referrer" if form_action == "'none'" else "same-origin"
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": referrer,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("connector.web"), autoescape=True, undefined=StrictUndefined
    )


@functools.cache
def _style() -> str:
    file = resources.files("connector.web") / "templates" / "style.css"
    return file.read_text(encoding="utf-8")
