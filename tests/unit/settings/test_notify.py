"""``[notify]``: what is there is read; what is not as it should be is told."""

from pathlib import Path

import pytest

from connector.settings import Settings

from .configuration import load, problem

DAY = 86_400.0


def notify(folder: Path, text: str) -> Settings:
    return load(folder, f"[notify]\n{text}")


def test_webhooks(tmp_path: Path) -> None:
    secrets = 'secret = "env:NEW", previous_secret = "env:OLD"'
    text = f'webhooks = [{{ url = "https://h.example/x", {secrets} }}]'
    settings = notify(tmp_path, text)
    (webhook,) = settings.notify.webhooks
    assert webhook.url == "https://h.example/x"
    assert [secret.name for secret in webhook.secrets] == ["NEW", "OLD"]
    assert webhook.secrets[0].key == "notify.webhooks[0].secret"
    assert {"NEW", "OLD"} <= settings.hidden_variables
    assert "h.example" not in repr(settings)


def test_reminders(tmp_path: Path) -> None:
    assert notify(tmp_path, "").notify.reminders == (DAY, 3 * DAY, 7 * DAY)
    assert notify(tmp_path, "reminders = []").notify.reminders == ()
    assert notify(tmp_path, 'reminders = ["1m", "2w"]').notify.reminders == (60.0, 14 * DAY)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('reminders = ["soon"]', "notify.reminders", "is not a duration"),
        ('reminders = ["59s"]', "notify.reminders", "too soon"),
        ("reminders = [1]", "notify.reminders", "must be a list of strings"),
        ('webhooks = ["https://x.example"]', "notify.webhooks", "must be a list of tables"),
        ('webhooks = [{ secret = "env:X" }]', "notify.webhooks[0].url", "is missing"),
        ('webhooks = [{ url = "https://x" }]', "notify.webhooks[0].secret", "is missing"),
        (
            'webhooks = [{ url = "https://x", secret = "whsec_x" }]',
            "notify.webhooks[0].secret",
            "is a literal secret",
        ),
        (
            'webhooks = [{ url = "https://x", secret = "env:X", sceret = "y" }]',
            "notify.webhooks[0].sceret",
            "is not a known key",
        ),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, key: str, message: str) -> None:
    found = problem(tmp_path, f"[notify]\n{text}")
    assert found.key == key
    assert message in found.message
    assert found.remedy
