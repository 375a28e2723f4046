"""Makes the channels that a configuration names."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from connector.errors import ConfigurationError, Problem
from connector.notices.channel import Channel
from connector.notices.command import CommandChannel
from connector.notices.webhook import WebhookChannel, read_key
from connector.oauth.endpoint_url import check_endpoint_url, is_loopback_host
from connector.oauth.wire import Wire, make_transport
from connector.secret import REFERENCE_KINDS, Secret, SecretReference
from connector.settings import Settings

#: Seconds that a webhook may take in all.
WEBHOOK_TIME: Final = 15.0


def make_channels(settings: Settings, *, hidden_variables: Collection[str]) -> list[Channel]:
    """Make the channels of ``[notify]``.

    Args:
        settings: the configuration.
        hidden_variables: environment variables that a command does not get.

    Raises:
        ConfigurationError: every problem: a secret is missing, a URL is none, an extra is not
            installed.
    """
    notify, problems = settings.notify, list[Problem]()
    channels = list[Channel]()
    if notify.command:
        channels.append(
            CommandChannel(
                notify.command, folder=settings.folder, hidden_variables=hidden_variables
            )
        )
    makers: list[Callable[[], Channel]] = [
        *(partial(_webhook, settings, place) for place in range(len(notify.webhooks))),
        *(partial(_apprise, settings, place) for place in range(len(notify.urls))),
    ]
    for make in makers:
        try:
            channels.append(make())
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return channels


def _webhook(settings: Settings, place: int) -> Channel:
    webhook = settings.notify.webhooks[place]
    key = f"notify.webhooks[{place}].url"
    url = _resolved(settings, key, webhook.url)
    try:
        check_endpoint_url(url.reveal())
    except ValueError as error:
        remedy = "write an https URL"
        raise ConfigurationError([Problem(settings.path.name, key, str(error), remedy)]) from None
    is_here = is_loopback_host(urlsplit(url.reveal()).hostname or "")
    proxy = None if is_here else settings.http.proxy
    transport = make_transport(ca_file=settings.http.ca_file, proxy=proxy)
    return WebhookChannel(
        name=f"webhook {place + 1}",
        url=url,
        keys=[read_key(secret) for secret in webhook.secrets],
        wire=Wire(transport, deadline=WEBHOOK_TIME),
    )


def _apprise(settings: Settings, place: int) -> Channel:
    from connector.notices.apprise_url import AppriseChannel  # only for those who use it

    key = f"notify.urls[{place}]"
    return AppriseChannel(
        name=f"apprise {place + 1}",
        url=_resolved(settings, key, settings.notify.urls[place]),
        source=settings.path.name,
        key=key,
    )


def _resolved(settings: Settings, key: str, text: str) -> Secret:
    """Give a URL, or what the reference in its place leads to.

    Raises:
        ConfigurationError: it leads nowhere.
    """
    kind, _, name = text.partition(":")
    if kind not in REFERENCE_KINDS or name.startswith("//"):
        return Secret(text)
    return SecretReference(
        kind=kind, name=name, source=settings.path.name, key=key, folder=settings.folder
    ).resolve()
