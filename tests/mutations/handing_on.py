"""Guards of what hands tokens on: to other programs, and from a daemon."""

from typing import Final

from tests.mutations.mutation import Table, of

_PASSWORDS: Final = "tests/unit/cli/test_credentials.py"
_EXEC: Final = "tests/acceptance/test_exec.py"
_REFUSES: Final = f"{_EXEC}::TestEndpoint::test_whom_it_refuses"
_STRANGE: Final = f"{_PASSWORDS}::TestGit::test_what_was_put_together_by_somebody_else"

_SOCKET: Final = of(
    "connector/local_daemon.py",
    (
        "nothing is sent to another user's socket",
        "    if not is_trusted:\n",
        "    if False:\n",
        "tests/unit/test_local_daemon.py",
    ),
)

_GIVING: Final = of(
    "connector/cli/credential_giving.py",
    (
        "a password goes to no host that was not named",
        "    raise OriginRefused(account, origin)\n",
        "    return\n",
        f"{_PASSWORDS}::TestGit::test_another_host_gets_nothing",
    ),
    (
        "a provider without origins names no host",
        "        if api.origins and api.permits(origin):\n",
        "        if api.permits(origin):\n",
        f"{_PASSWORDS}::TestGit::test_a_provider_without_origins_means_no_host",
    ),
    (
        "no password goes in clear text",
        '    if scheme != "https" and not is_loopback_host(_name_of(host)):\n',
        "    if False:\n",
        _STRANGE,
    ),
    (
        "no control character is taken for a line's end",
        '    if any(c != "\\n" and not c.isprintable() for c in text):\n',
        "    if False:\n",
        _STRANGE,
    ),
)

_GIT: Final = of(
    "connector/cli/git_credential.py",
    (
        "of two hosts neither is answered",
        "        if key in _SINGLE and key in wish:\n",
        "        if False:\n",
        _STRANGE,
    ),
)

_ENDPOINT: Final = of(
    "connector/cli/endpoint.py",
    (
        "the endpoint of exec wants its key",
        '        if not hmac.compare_digest(sent, f"Bearer {self._order.secret}".encode()):\n',
        "        if False:\n",
        _REFUSES,
    ),
    (
        "the endpoint of exec answers to its own name",
        '        if headers.get("host") not in self._hosts:\n',
        "        if False:\n",
        _REFUSES,
    ),
    (
        "the endpoint of exec answers no page",
        '        if "origin" in headers or headers.get("sec-fetch-site", "none") != "none":\n',
        "        if False:\n",
        _REFUSES,
    ),
    (
        "the endpoint of exec gives no account that was not named",
        "        if account not in self._order.accounts:\n",
        "        if False:\n",
        _REFUSES,
    ),
)

_PROGRAM: Final = of(
    "connector/cli/exec.py",
    (
        "a program does not get what opens the vault",
        "    return {name: value for name, value in os.environ.items() if name not in hidden}\n",
        "    return dict(os.environ) if hidden else {}\n",
        f"{_EXEC}::TestEnvironment::test_one_account",
    ),
) + of(
    "connector/cli/replacing.py",
    (
        "a program gets the signals that we were given",
        "    inheritance.restore()\n",
        "",
        f"{_EXEC}::TestTheProgramsOwn::test_what_we_were_given_is_passed_on",
    ),
)

_REJECTED: Final = of(
    "connector/web/tokens.py",
    (
        "a token that was rejected costs one refresh over HTTP too",
        "            rejected=None if rejected is None else Secret(rejected),\n",
        "            rejected=None,\n",
        "tests/acceptance/test_client.py::TestClient::test_a_rejected_token_costs_one_refresh",
    ),
) + of(
    "connector/integrations/google_auth.py",
    (
        "Google's libraries send a token to the API's origins only",
        "        credential.check_origin(url, self._account)\n",
        "",
        "tests/unit/integrations/test_google_auth.py::test_the_token_goes_to_the_apis_origins_only",
    ),
)

HANDING_ON: Final = Table(
    title="Tokens that are handed on",
    mutations=(*_SOCKET, *_GIVING, *_GIT, *_ENDPOINT, *_PROGRAM, *_REJECTED),
)
