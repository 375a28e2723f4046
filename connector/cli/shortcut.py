"""``connector token`` while a daemon runs: no TOML, no argument library, no framework.

It takes the plainest form of the command and asks the daemon whose socket stands beside the
configuration. Whatever is unusual (another option, an environment variable, no daemon, a daemon of
another configuration) is left to the whole command line: then `run` gives None.
"""

import os
import sys

#: Set by the environment, they change what the command means.
_VARIABLES = ("CONNECTOR_TOKEN_MIN_TTL", "CONNECTOR_TOKEN_HEADER", "CONNECTOR_TOKEN_STRICT")
_FLAGS = ("--header", "--strict")
_VALUES = ("--min-ttl", "--config")

#: Exit statuses by the problem's name, as the whole command line gives them.
_STATUSES = {
    "consent-required": 3,
    "temporarily-unavailable": 4,
    "vault-sealed": 5,
    "unknown-account": 6,
    "refused": 6,
    "registration-rejected": 8,
}


def run(arguments: list[str]) -> int | None:
    """Print a token that the daemon gives; give the exit status.

    Args:
        arguments: of ``connector``, beginning with ``token``.

    Returns:
        The exit status, or None: this is for the whole command line.
    """
    wish = _parse(arguments[1:])
    if wish is None or any(name in os.environ for name in _VARIABLES):
        return None
    account, options = wish
    config = options.get("--config") or os.environ.get("CONNECTOR_CONFIG") or "config.toml"
    from connector import local_daemon

    query = f"?strict={'true' if '--strict' in options else 'false'}"
    if "--min-ttl" in options:
        query += f"&min_ttl={options['--min-ttl']}"
    headers = {"Accept": "text/plain"}
    try:
        headers["Connector-Config"] = os.path.realpath(config)  # the working folder may be gone
        connection = local_daemon.open_socket(local_daemon.find_socket(config))
        answer = local_daemon.exchange(
            connection, "GET", f"/v1/accounts/{account}/token{query}", headers
        )
    except (local_daemon.DaemonUnreachable, OSError):
        return None
    if answer.status == 200:
        return _print(answer, with_header="--header" in options)
    return _tell(answer.body)


def _parse(arguments: list[str]) -> tuple[str, dict[str, str]] | None:
    """Read the plainest form of the command; None for anything else."""
    account = ""
    options: dict[str, str] = {}
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in _FLAGS and not equals:
            options[name] = ""
        elif name in _VALUES:
            options[name] = value if equals else next(rest, "")
            if not options[name]:
                return None
        elif argument.startswith("-") or account:
            return None
        else:
            account = argument
    # what is no name, or no number, is told by the whole command line
    is_name = account.replace("/", "").replace("-", "").replace("_", "").replace(".", "").isalnum()
    is_number = options.get("--min-ttl", "0").replace(".", "", 1).isdecimal()
    return (account, options) if is_name and account.isascii() and is_number else None


def _print(answer: "object", *, with_header: bool) -> int:
    from connector.local_daemon import Answer

    assert isinstance(answer, Answer)  # noqa: S101 - typed so that nothing is imported before
    token = answer.body.decode()
    if answer.headers.get("connector-is-short") == "yes":
        sys.stderr.write("connector: the token lives less than was asked for\n")
    if with_header:
        token = f"Authorization: {answer.headers['connector-scheme']} {token}"
    try:
        sys.stdout.write(token)
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left is not tried again at the end
        if isinstance(error, BrokenPipeError):  # whoever read it has gone
            return 0
        sys.stderr.write(f"connector: {error.strerror}\n")
        return 1
    return 0


def _tell(body: bytes) -> int | None:
    """Print a problem for people; a name that is not known here is for the whole command line."""
    import json

    try:
        problem = json.loads(body)
        status = _STATUSES.get(problem["type"].rpartition(":")[2])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if status is None:
        return None
    text = "".join(c if c.isprintable() else " " for c in problem["detail"])
    sys.stderr.write(f"connector: {text}\n")
    return status
