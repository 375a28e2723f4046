"""What is configured for a warehouse arrives at dlt's client for it, and nowhere else.

No warehouse is reached: the client, which would be the first to send, is replaced.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from dlt.common.destination import Destination as DltDestination

from connector.jobs.destinations.destination import DestinationFailed, open_destination
from connector.jobs.destinations.stream import Stream
from connector.jobs.masking import Mask
from connector.settings.credentials import secrets_of

pytestmark = pytest.mark.usefixtures("dlt_apart")

CANARY = "canary-3f1"
KEY = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"
ACCOUNT = {
    "type": "service_account",
    "project_id": "acme",
    "private_key": KEY,
    "client_email": "loader@acme.iam",
}
BRICKS = {"server_hostname": "h", "http_path": "/p", "catalog": "c", "access_token": CANARY}
AMAZON = {"aws_access_key_id": "AKIA7", "aws_secret_access_key": CANARY, "region_name": "eu"}

#: Destination, credentials, and what its client has of them.
WAREHOUSES: list[tuple[str, str, dict[str, str]]] = [
    ("bigquery", json.dumps(ACCOUNT), {"project_id": "acme", "private_key": KEY}),
    (
        "snowflake",
        f"snowflake://loader:{CANARY}%2F1@acme-eu/ads?warehouse=w&role=r",
        {"password": f"{CANARY}/1", "host": "acme-eu", "warehouse": "w", "role": "r"},
    ),
    ("redshift", f"redshift://loader:{CANARY}@h:5439/ads", {"password": CANARY, "host": "h"}),
    ("clickhouse", f"clickhouse://loader:{CANARY}@h:9000/ads", {"password": CANARY}),
    ("motherduck", f"md:ads?motherduck_token={CANARY}", {"password": CANARY, "database": "ads"}),
    ("databricks", json.dumps(BRICKS), BRICKS),
    ("filesystem", json.dumps(AMAZON), AMAZON),
]


def ours(given: object) -> str:
    return str(given).strip()


@pytest.mark.parametrize(
    ("name", "credentials", "wanted"), WAREHOUSES, ids=[one[0] for one in WAREHOUSES]
)
def test_credentials_arrive_and_are_not_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    name: str,
    credentials: str,
    wanted: Mapping[str, str],
) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "s3://acme/ads")
    monkeypatch.setenv("DESTINATION__DATABRICKS__STAGING_VOLUME_NAME", "v")
    seen: list[Any] = []

    def client(_self: object, _schema: object, given: Any = None) -> object:
        """Do what dlt's own does up to its client: have the configuration resolved."""
        seen.append(_self.configuration(given))  # type: ignore[attr-defined]
        raise ConnectionError(f"refused: {dict(seen[0].credentials)}")

    monkeypatch.setattr(DltDestination, "client", client)
    given = {"folder": str(tmp_path), "dataset": "raw", "credentials": credentials}
    stream = Stream(job="pull", account="acme/ads", account_id="1")
    url = f"dlt:{name}?{urlencode(given)}"
    with caplog.at_level(logging.DEBUG), pytest.raises((DestinationFailed, OSError)) as failure:
        open_destination(url, table="t", key=("id",), stream=stream)
    configured = seen[0]
    assert configured.dataset_name == "raw"
    found = dict(configured.credentials)
    assert {field: ours(found[field]) for field in wanted} == {
        field: ours(value) for field, value in wanted.items()
    }
    mask = Mask()
    for secret in secrets_of(credentials):
        mask.hide(secret, "[secret]")
    assert CANARY in str(failure.value), "dlt's own text has it, or this shows nothing"
    assert CANARY not in mask.text(str(failure.value))
    assert CANARY not in caplog.text + "".join(capfd.readouterr())
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert all(CANARY.encode() not in path.read_bytes() for path in written)


def test_what_is_no_secret_is_told() -> None:
    """Masking it would hide which server, and what of it."""
    mask = Mask()
    for secret in secrets_of(json.dumps(ACCOUNT)) | secrets_of(f"md:ads?motherduck_token={CANARY}"):
        mask.hide(secret, "[secret]")
    told = "no table acme.raw for loader@acme.iam in md:ads, -----BEGIN PRIVATE KEY-----"
    assert mask.text(told) == told
