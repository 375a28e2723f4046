"""Every error that Connector raises on purpose; each docstring's first line is its message.

    ConnectorError                     exit status of the command line
    ├── ConfigurationError             2  every problem at once: where, which key, what to do
    ├── ConsentRequired                3  a person must consent (again)
    ├── TemporarilyUnavailable         4  nothing is lost; when to retry
    ├── VaultSealed                    5  the vault's key is missing or wrong, or it cannot be read
    ├── Refused                        6  not permitted
    │   ├── UnknownAccount
    │   └── OriginRefused
    ├── ConsentNotGiven                7  denied, abandoned, or given by another person
    └── RegistrationRejected           8  the provider rejects our client registration

Invariant: no message, argument or attribute holds a token, a code or another secret. The thin
client imports this module alone, so it imports next to nothing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong in the configuration.

    Attributes:
        source: the file or environment variable that says so.
        key: the key, dotted from the top of the file.
        message: what is wrong.
        remedy: what to do about it.
    """

    source: str
    key: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.source}: {self.key}" if self.key else self.source
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}: {self.message}{remedy}"


class ConnectorError(Exception):
    """Connector could not do what was asked."""

    exit_code: ClassVar[int] = 1

    def _message(self, **fields: object) -> str:
        """Fill the first line of the class's docstring; under ``-OO`` fall back on the fields."""
        template = (type(self).__doc__ or "").split("\n", 1)[0]
        if not template:
            return ", ".join(f"{name}: {value}" for name, value in fields.items() if value)
        return template.format(**fields).strip()

    def __reduce__(self) -> "tuple[object, ...]":
        """Let an error cross processes: a pool that cannot unpickle one hangs or breaks."""
        return _restore, (type(self), self.args, self.__dict__)

    @classmethod
    def problem_type(cls) -> str:
        """The error's name in kebab case: the end of an RFC 9457 problem ``type``."""
        name = cls.__name__
        return "".join(
            f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name)
        )


class ConfigurationError(ConnectorError):
    """{problems}

    Attributes:
        problems: all of them, in the order in which they were found.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self._message(problems="\n".join(map(str, self.problems))))


class ConsentRequired(ConnectorError):
    """Account {account} needs consent: {reason}. {remedy}

    Attributes:
        account: the account's name.
        provider: its provider's name in the configuration.
        reason: why, in a few words.
        connect_url: the daemon's own link that starts the consent, or None.
        command: what to type where there is no link.
    """

    exit_code = 3

    def __init__(
        self,
        account: str,
        reason: str,
        connect_url: str | None = None,
        *,
        provider: str = "PROVIDER",
    ) -> None:
        self.account = account
        self.provider = provider
        self.reason = reason
        self.connect_url = connect_url
        self.command = f"connector connect {provider} --account {account}"
        remedy = f"Open {connect_url}" if connect_url else f"Type: {self.command}"
        super().__init__(self._message(account=account, reason=reason, remedy=remedy))


class TemporarilyUnavailable(ConnectorError):
    """{reason}. {when}

    Attributes:
        reason: what happened, in a few words.
        retry_at: when a next try makes sense (UTC), or None where nothing is known.
        valid_until: until when the token in hand is good (UTC), where there is one.
    """

    exit_code = 4

    def __init__(
        self,
        reason: str,
        retry_at: datetime | None = None,
        *,
        valid_until: datetime | None = None,
    ) -> None:
        self.reason = reason
        self.retry_at = retry_at
        self.valid_until = valid_until
        when = "Try again later" if retry_at is None else f"Try again at {_clock_time(retry_at)}"
        if valid_until is not None:
            when += f"; the present token is good until {_clock_time(valid_until)}"
        super().__init__(self._message(reason=reason, when=when + "."))


class VaultSealed(ConnectorError):
    """The vault is sealed: {reason}. {remedy}

    Attributes:
        reason: why it does not open.
        remedy: what to do.
        lacks_key: the seal has no key here, or another one: the vault may belong to another seal.
    """

    exit_code = 5

    def __init__(self, reason: str, remedy: str = "", *, lacks_key: bool = False) -> None:
        self.reason = reason
        self.remedy = remedy
        self.lacks_key = lacks_key
        super().__init__(self._message(reason=reason, remedy=remedy))


class Refused(ConnectorError):
    """Refused: {reason}.

    Attributes:
        reason: what is not permitted, and to whom.
    """

    exit_code = 6

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(self._message(reason=reason))


class UnknownAccount(Refused):
    """There is no account {account}. {remedy}

    Attributes:
        account: the name that was asked for.
    """

    def __init__(self, account: str, nearest: str | None = None) -> None:
        self.account = account
        self.reason = f"unknown account {account}"
        remedy = f"Did you mean {nearest}?" if nearest else "List them with: connector accounts"
        ConnectorError.__init__(self, self._message(account=account, remedy=remedy))


class OriginRefused(Refused):
    """The token of account {account} is not sent to {origin}: it is not among the API's origins.

    Attributes:
        account: the account's name.
        origin: scheme, host and port of the request.
    """

    def __init__(self, account: str, origin: str) -> None:
        self.account = account
        self.origin = origin
        self.reason = f"origin {origin} is not the provider's"
        ConnectorError.__init__(self, self._message(account=account, origin=origin))


class ConsentNotGiven(ConnectorError):
    """Consent was not given for account {account}: {reason}.

    Attributes:
        account: the account's name.
        reason: denied, abandoned, or given by another person, in a few words.
        outcome: the same in one word, for the audit trail.
    """

    exit_code = 7

    def __init__(self, account: str, reason: str, outcome: str = "refused") -> None:
        self.account = account
        self.reason = reason
        self.outcome = outcome
        super().__init__(self._message(account=account, reason=reason))


class RegistrationRejected(ConnectorError):
    """Provider {provider} rejects our client registration: {reason}. {remedy}

    Attributes:
        provider: the provider's name in the configuration.
        reason: the error that the token endpoint gave.
    """

    exit_code = 8

    def __init__(self, provider: str, reason: str) -> None:
        self.provider = provider
        self.reason = reason
        remedy = (
            f"Check client_id and client_secret under [providers.{provider}]; no account is lost."
        )
        super().__init__(self._message(provider=provider, reason=reason, remedy=remedy))


def _restore(
    kind: type[ConnectorError], arguments: tuple[object, ...], fields: dict[str, object]
) -> ConnectorError:
    """Make an error again without its constructor, which takes other arguments than `args`."""
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(fields)
    return error


def _clock_time(moment: datetime) -> str:
    """Give a moment in UTC to the second, as RFC 3339 writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
