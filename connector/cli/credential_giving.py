"""What the commands that give other programs a password share: whose token, and for which hosts.

A password that is handed over can be sent anywhere, so it is given only for what the provider's
``api_origins`` name, or ``--host``: the check of `credential.Credential` comes before anything is
asked for. What is asked comes from a URL that somebody else may have chosen: control characters and
repeated keys are refused, not interpreted (CHECKLIST 150; CVE-2020-5260, CVE-2024-52006).
"""

import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from connector.cli.asking import Asking
from connector.cli.options import common_options, option
from connector.errors import OriginRefused, Refused
from connector.oauth.endpoint_url import is_loopback_host, origin_of

if TYPE_CHECKING:
    from connector.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

#: Who logs in where the token is all that counts; GitLab wants this one, GitHub takes any.
DEFAULT_USERNAME: Final = "oauth2"
#: Nobody asks for more.
LARGEST_REQUEST: Final = 64 * 1024
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


def credential_options(command: F) -> F:
    """Add what both commands take: account, hosts, user name."""
    with_username = option(
        "--username",
        callback=_username,
        help=f"The user name that goes with the token; by default {DEFAULT_USERNAME}.",
    )(common_options(command))
    with_hosts = option(
        "--host",
        "hosts",
        multiple=True,
        metavar="HOST[:PORT]",
        callback=_hosts,
        help="A host that gets the token besides the provider's api_origins; may be repeated.",
    )(with_username)
    return option("--account", required=True, help="The account whose token is the password.")(
        with_hosts
    )


def origin_asked_for(scheme: str, host: str) -> str:
    """Give the origin of a request.

    Raises:
        Refused: it has none, or one to which no secret is sent.
    """
    if not _HOST.fullmatch(host):
        raise Refused("what was asked for is no host")
    try:
        origin = origin_of(f"{scheme}://{host}")
    except ValueError:
        raise Refused("what was asked for is no https host") from None
    if scheme != "https" and not is_loopback_host(_name_of(host)):
        raise Refused("no token is sent in clear text: use https")
    return origin


async def check_origin(
    ask: Asking, settings: "Settings", account: str, origin: str, hosts: tuple[str, ...]
) -> None:
    """Refuse an origin that the account's token is not for.

    Args:
        ask: knows the account's provider.
        settings: the configuration.
        account: the account's name.
        origin: from `origin_asked_for`.
        hosts: that were named on purpose.

    Raises:
        OriginRefused: neither the provider nor ``--host`` names it.
        ConnectorError: as `Asking.provider`.
    """
    scheme, _, _rest = origin.partition("://")
    if any(origin == origin_of(f"{scheme}://{host}") for host in hosts):
        return
    name = await ask.provider(account)
    if name in settings.providers:
        api = settings.providers[name].api
        # where the provider names no origin, nothing is meant by it here
        if api.origins and api.permits(origin):
            return
    raise OriginRefused(account, origin)


def read_request() -> str:
    """Read all that is asked on standard input.

    Raises:
        Refused: it is no text, too long, or has a control character besides the end of a line.
    """
    content = sys.stdin.buffer.read(LARGEST_REQUEST + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise Refused("what was asked for is not UTF-8 text") from None
    if len(content) > LARGEST_REQUEST:
        raise Refused("what was asked for is too long")
    if any(c != "\n" and not c.isprintable() for c in text):
        raise Refused("what was asked for has a control character")
    return text


def _name_of(host: str) -> str:
    return host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]


def _hosts(
    _context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    for host in value:
        if not _HOST.fullmatch(host):
            raise click.BadParameter(f"{host!r} is not HOST or HOST:PORT", param=parameter)
        try:
            origin_of(f"https://{host}")
        except ValueError as error:
            raise click.BadParameter(f"{host!r} {error}", param=parameter) from None
    return value


def _username(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not (value and value.isprintable()):
        raise click.BadParameter("is no user name", param=parameter)
    return value
