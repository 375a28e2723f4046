"""The person who walks through the pages."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connector.simulator.person import Person, PersonError
from connector.simulator.simulator import Simulator

from .relying_party import FacebookApp, RelyingParty, query_of

PAGES = {
    "/done": (200, "text/html", b"<p>Connected."),
    "/endless": (200, "text/html", b'<form id="login" action="/endless" method="post"></form>'),
    "/unchecked": (
        200,
        "text/html",
        b"""<form id="consent" action="/done" method="post">
        <input type="checkbox" name="permission" value="email"></form>""",
    ),
    "/plain": (
        200,
        "text/html",
        b'<input name="stray"><form id="other"></form><style>p {}</style><p>Nothing here',
    ),
}


class Callback(BaseHTTPRequestHandler):
    """A client's redirect URI, and pages that lead nowhere."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path not in PAGES:
            self.send_response(303)
            self.send_header("Location", "/done")
            self.end_headers()
            return
        status, content_type, body = PAGES[path]
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - named by http.server

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def callback() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Callback) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_consent_is_delivered(party: RelyingParty, callback: str, ada: Person) -> None:
    redirect_uri = f"{callback}/callback/test"
    url = ada.consent(party.url({"redirect_uri": redirect_uri}))
    assert url.startswith(f"{redirect_uri}?code=")
    delivery = ada.deliver(url)
    assert (delivery.status, delivery.url) == (200, f"{callback}/done")
    assert delivery.text == "<p>Connected."


def test_permissions_can_be_declined(app: FacebookApp, simulator: Simulator, ada: Person) -> None:
    url = app.url({"scope": "ads_read,business_management"})
    assert "code" in query_of(ada.consent(url, declined=["business_management"]))
    summary = simulator.facebook.summary()["ada"]
    assert isinstance(summary, dict)
    assert summary["permissions"] == {"ads_read": "granted", "business_management": "declined"}


@pytest.mark.parametrize("declined", [["email"], ["ads_read", "magic"]])
def test_what_is_not_asked_cannot_be_declined(
    app: FacebookApp, ada: Person, declined: list[str]
) -> None:
    with pytest.raises(PersonError, match=r"no checkbox for (email|magic)"):
        ada.consent(app.url(), declined=declined)


def test_scopes_of_the_rfc_server_have_no_checkboxes(party: RelyingParty, ada: Person) -> None:
    with pytest.raises(PersonError, match="no checkbox for ads_read"):
        ada.consent(party.url(), declined=["ads_read"])


def test_an_error_page_is_told_with_its_words(party: RelyingParty, ada: Person) -> None:
    with pytest.raises(PersonError, match=r"400 at /oauth/authorize: .* No client is registered"):
        ada.consent(party.url({"client_id": "nobody"}))


def test_nobody_of_that_name(party: RelyingParty) -> None:
    with Person("bob") as bob, pytest.raises(PersonError, match="Nobody of that name"):
        bob.consent(party.url())


def test_pages_that_end_without_a_redirect(callback: str, ada: Person) -> None:
    with pytest.raises(PersonError, match="end without a redirect: Nothing here"):
        ada.consent(f"{callback}/plain")


def test_pages_that_go_in_circles(callback: str, ada: Person) -> None:
    with pytest.raises(PersonError, match="more than 20 steps"):
        ada.consent(f"{callback}/endless")


def test_unchecked_boxes_stay_unchecked(callback: str, ada: Person) -> None:
    with pytest.raises(PersonError, match="end without a redirect: Connected"):
        ada.consent(f"{callback}/unchecked", declined=["email"])


def test_redirects_inside_are_followed(callback: str, ada: Person) -> None:
    with pytest.raises(PersonError, match="end without a redirect: Connected"):
        ada.consent(f"{callback}/elsewhere")
