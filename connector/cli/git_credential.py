"""``connector git-credential``: gives git an access token as the password of an https remote.

The protocol is git-credential(1) and gitcredentials(7): lines of ``key=value`` in and out, the
operation as the last argument, and operations that are not known are ignored without a word.
"""

from datetime import datetime
from typing import Final

import click

from connector.cli.asking import asking
from connector.cli.credential_giving import (
    DEFAULT_USERNAME,
    check_origin,
    credential_options,
    origin_asked_for,
    read_request,
)
from connector.cli.session import load, run_async
from connector.errors import Refused

#: git sends these once; what has one twice was put together by somebody else.
_SINGLE: Final = frozenset({"protocol", "host", "path", "username", "password"})


@click.command("git-credential")
@click.argument("operation")
@credential_options
def git_credential(
    operation: str, account: str, hosts: tuple[str, ...], username: str | None, config: str | None
) -> None:
    """Give git a token as a password, where git asks (OPERATION get).

    git config --global credential.https://github.com.helper '!connector git-credential --account
    acme/github --host github.com'

    With erase, which git sends when the server has refused the password, the token is refreshed
    once, where it is still the present one: the next command gets another. Nothing is stored, and
    store is ignored, like whatever else git may send.
    """
    if operation not in {"get", "erase"}:
        return
    wish = _parse(read_request())
    origin = origin_asked_for(wish.get("protocol", ""), wish.get("host", ""))
    settings = load(config)

    async def get() -> str:
        async with asking(settings) as ask:
            await check_origin(ask, settings, account, origin, hosts)
            token = await ask.token(account)
        name = username or wish.get("username") or DEFAULT_USERNAME
        return _lines(name, token.value, token.expires_at)

    async def erase() -> None:
        async with asking(settings) as ask:
            await check_origin(ask, settings, account, origin, hosts)
            await ask.renew(account, wish["password"])

    if operation == "get":
        click.echo(run_async(get()), nl=False)
    elif wish.get("password", "").isascii() and wish.get("password"):  # else it is none of ours
        run_async(erase())


def _parse(text: str) -> dict[str, str]:
    """Read what git says, up to an empty line.

    Raises:
        Refused: it is no description of a credential, or has a key twice.
    """
    wish: dict[str, str] = {}
    for line in text.partition("\n\n")[0].split("\n"):
        key, equals, value = line.partition("=")
        if not line:
            continue
        if not equals:
            raise Refused("what git asked for has a line that is no key=value")
        if key in _SINGLE and key in wish:
            raise Refused(f"what git asked for has {key} twice")
        wish[key] = value
    return wish


def _lines(username: str, password: str, expires_at: datetime | None) -> str:
    """Answer; neither value can hold the end of a line: see `token_response` and `read_request`."""
    lines = [f"username={username}", f"password={password}"]
    if expires_at is not None:
        lines.append(f"password_expiry_utc={int(expires_at.timestamp())}")
    return "".join(f"{line}\n" for line in lines)
