"""Reads ``[notify]``: what is there and of its type; whether it leads anywhere is found in use."""

from typing import Final

from connector.duration import parse_duration
from connector.settings.values import NotifySettings, WebhookSettings
from connector.toml_section import Section

DEFAULT_REMINDERS: Final = NotifySettings(urls=(), command=()).reminders
#: More often is a nuisance that is soon switched off (seconds).
SHORTEST_REMINDER: Final = 60.0


def read_notify(section: Section, *, allow_plaintext: bool = False) -> NotifySettings:
    """Read ``[notify]``.

    Args:
        section: the table.
        allow_plaintext: a literal secret of a webhook is accepted.
    """
    settings = NotifySettings(
        urls=section.texts("urls"),
        command=section.texts("command"),
        webhooks=tuple(
            webhook
            for table in section.tables("webhooks")
            if (webhook := _read_webhook(table, allow_plaintext=allow_plaintext))
        ),
        reminders=_read_reminders(section),
    )
    section.finish()
    return settings


def _read_webhook(section: Section, *, allow_plaintext: bool) -> WebhookSettings | None:
    url = section.text("url", is_required=True)
    secret = section.secret("secret", allow_plaintext=allow_plaintext)
    if "secret" not in section:
        section.problem("secret", "is missing", 'add: secret = "env:NAME"')
    previous = section.secret("previous_secret", allow_plaintext=allow_plaintext)
    section.finish()
    if not url or secret is None:
        return None
    return WebhookSettings(url=url, secrets=(secret, previous) if previous else (secret,))


def _read_reminders(section: Section) -> tuple[float, ...]:
    texts = section.texts("reminders", ())
    if "reminders" not in section:
        return DEFAULT_REMINDERS
    reminders = []
    for text in texts:
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            section.problem("reminders", str(error), 'write reminders = ["1d", "3d", "7d"]')
            continue
        if seconds < SHORTEST_REMINDER:
            section.problem("reminders", f"{text} is too soon", "the shortest is 1m")
        reminders.append(seconds)
    return tuple(reminders)
