"""The vault's URL and seal, where the daemon listens, and what every call goes through."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.secret import Secret, SecretReference
from connector.settings.tables import absolute_sqlite_url

from .configuration import load, problem

CANARY = "canary-vau17"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///vault.db", "sqlite:///{folder}/vault.db"),
        ("sqlite:///a/../b.db", "sqlite:///{folder}/b.db"),
        ("sqlite:////var/lib/v.db", "sqlite:////var/lib/v.db"),
        ("postgresql://u@h/db", "postgresql://u@h/db"),
        ("postgres://u@h:5433/db?sslmode=require", "postgresql://u@h:5433/db?sslmode=require"),
        ("postgresql:///db?host=/run/postgresql", "postgresql:///db?host=/run/postgresql"),
        ("postgresql://", "postgresql://"),
        ("postgresql://[::1]:5432/db", "postgresql://[::1]:5432/db"),
        ("postgresql://u:@h/db", "postgresql://u@h/db"),
    ],
)
def test_where_the_vault_is(tmp_path: Path, url: str, expected: str) -> None:
    vault = load(tmp_path, f'vault = {{ url = "{url}" }}').vault
    assert vault.url == expected.format(folder=tmp_path)
    assert vault.password is None


def test_sqlalchemy_understands_the_url(tmp_path: Path) -> None:
    from sqlalchemy.engine import make_url

    vault = load(tmp_path, 'vault = { url = "postgres:///db?host=/run/pg" }').vault
    assert isinstance(vault.url, str)
    url = make_url(vault.url)
    assert (url.drivername, url.host, url.database, url.query) == (
        "postgresql", None, "db", {"host": "/run/pg"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("env:VAULT_URL", "env", "VAULT_URL"),
        ("file:vault.url", "file", "vault.url"),
        ("keyring:connector/vault", "keyring", "connector/vault"),
        ("credential:vault-url", "credential", "vault-url"),
    ],
)
def test_the_whole_url_may_be_a_reference(tmp_path: Path, url: str, kind: str, name: str) -> None:
    vault = load(tmp_path, f'vault = {{ url = "{url}" }}').vault
    assert vault.url == SecretReference(
        kind=kind, name=name, source="config.toml", key="vault.url", folder=tmp_path
    )
    assert vault.password is None


@pytest.mark.parametrize(
    ("password", "kind", "name"),
    [
        ("env:DB_PASSWORD", "env", "DB_PASSWORD"),
        ("env%3ADB_PASSWORD", "env", "DB_PASSWORD"),
        ("file:db.secret", "file", "db.secret"),
        ("file:%2Frun%2Fsecrets%2Fdb", "file", "/run/secrets/db"),
        ("keyring:db%2Fuser", "keyring", "db/user"),
    ],
)
def test_the_password_may_be_a_reference(
    tmp_path: Path, password: str, kind: str, name: str
) -> None:
    vault = load(tmp_path, f'vault = {{ url = "postgresql://u:{password}@h:5432/db?a=b" }}').vault
    assert vault.url == "postgresql://u@h:5432/db?a=b"
    assert vault.password is not None
    assert (vault.password.kind, vault.password.name) == (kind, name)
    assert vault.password.folder == tmp_path


def test_a_literal_password_is_refused(tmp_path: Path) -> None:
    text = f'vault = {{ url = "postgresql://u:{CANARY}@h/db" }}'
    found = problem(tmp_path, text)
    assert (found.key, found.message) == ("vault.url", "holds a literal password")
    assert "postgresql://user:env:NAME@host" in found.remedy
    assert CANARY not in str(found)
    allowed = load(tmp_path, "allow_plaintext_secrets = true\n" + text).vault
    assert allowed.url == "postgresql://u@h/db"
    assert allowed.password is not None
    assert allowed.password.resolve() == Secret(CANARY)


@pytest.mark.parametrize(("user", "expected"), [("u", "u@h"), ("", "h"), ("a%40b", "a%40b@h")])
def test_the_environment_may_hold_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str, expected: str
) -> None:
    """It is no file that is copied, shown and committed."""
    monkeypatch.setenv("CONNECTOR_VAULT_URL", f"postgresql://{user}:p%40{CANARY}@h/db")
    vault = load(tmp_path, "").vault
    assert vault.url == f"postgresql://{expected}/db"
    assert vault.password is not None
    assert vault.password.resolve() == Secret(f"p@{CANARY}")
    assert vault.password.source == "CONNECTOR_VAULT_URL"
    assert CANARY not in repr(vault)


@pytest.mark.parametrize(
    ("url", "message", "remedy"),
    [
        ("mysql://h/db", "is no database URL", 'write "sqlite:///vault.db" or "postgresql://'),
        ("vault.db", "is no database URL", "write"),
        ("sqlite://vault.db", "is no database URL", "write"),
        ("sqlite:vault.db", "is no database URL", "write"),
        ("postgresql:/db", "is no database URL", "write"),
        ("postgresql+psycopg://h/db", "is no database URL", "write"),
        ("POSTGRESQL://h/db", "is no database URL", "write"),
        ("sqlite:///", "names no file", 'write url = "sqlite:///vault.db"'),
        ("sqlite:///:memory:", "names no file", 'write url = "sqlite:///vault.db"'),
        (f"postgresql://u:file:/run/{CANARY}@h/db", "is no database URL", "'/' is %2F"),
        ("postgresql://u@h:port/db", "is no database URL", "percent-encode"),
        ("postgresql://[::1/db", "is no database URL", "percent-encode"),
        ("env:", "is no database URL", "write"),
    ],
)
def test_what_is_no_place_for_a_vault(tmp_path: Path, url: str, message: str, remedy: str) -> None:
    found = problem(tmp_path, f'vault = {{ url = "{url}" }}')
    assert (found.key, found.message) == ("vault.url", message)
    assert remedy in found.remedy
    assert CANARY not in str(found)


@pytest.mark.parametrize(
    ("seal", "kind", "name"),
    [("keyring", "keyring", ""), ("env:KEY", "env", "KEY"), ("file:root.key", "file", "root.key"),
     ("credential:key", "credential", "key"), ("file:C:x", "file", "C:x"),
     ("passphrase", "passphrase", ""), ("passphrase:file:p", "passphrase", "file:p"),
     ("passphrase:credential:p", "passphrase", "credential:p")],
)  # fmt: skip
def test_seals(tmp_path: Path, seal: str, kind: str, name: str) -> None:
    vault = load(tmp_path, f'vault = {{ seal = "{seal}" }}').vault
    assert (vault.seal_kind, vault.seal_name) == (kind, name)


def test_how_long_a_seal_may_be_silent(tmp_path: Path) -> None:
    vault = load(tmp_path, 'vault = { seal = "file:root.key", seal_max_age = "2h" }').vault
    assert vault.seal_max_age == 7200
    assert load(tmp_path, "").vault.seal_max_age is None


@pytest.mark.parametrize(
    ("vault", "message"),
    [
        ('seal = "keyring", seal_max_age = "0s"', "leaves no time"),
        ('seal = "passphrase", seal_max_age = "1h"', "a seal of passphrase cannot be asked again"),
        ('seal = "env:KEY", seal_max_age = "1h"', "a seal of env cannot be asked again"),
    ],
)
def test_what_is_no_age_of_a_seal(tmp_path: Path, vault: str, message: str) -> None:
    found = problem(tmp_path, f"vault = {{ {vault} }}")
    assert (found.key, found.message) == ("vault.seal_max_age", message)


@pytest.mark.parametrize(
    ("seal", "message", "remedy"),
    [
        ("wax", "'wax' is no seal", "one of: keyring, credential:NAME, transit:URL"),
        ("", "'' is no seal", "one of"),
        ("env", "env needs a name", 'write seal = "env:NAME"'),
        ("file:", "file needs a name", 'write seal = "file:NAME"'),
        ("keyring:x", "keyring takes no name", 'write seal = "keyring"'),
        ("passphrase:canary-vau17", "a passphrase never stands in the configuration", "write"),
        ("passphrase:env:X", "a passphrase never stands in the configuration", "write"),
        ("passphrase:file:", "a passphrase never stands in the configuration", "write"),
        ("passphrase:", "a passphrase never stands in the configuration", "write"),
    ],
)
def test_what_is_no_seal(tmp_path: Path, seal: str, message: str, remedy: str) -> None:
    found = problem(tmp_path, f'vault = {{ seal = "{seal}" }}')
    assert (found.key, found.message) == ("vault.seal", message)
    assert remedy in found.remedy
    assert CANARY not in str(found)


@pytest.mark.parametrize(
    ("text", "keep", "interval"),
    [
        ("", 400 * 86_400.0, 60.0),
        ('audit_keep = "30d"\naudit_interval = "1h"', 30 * 86_400.0, 3600.0),
        ('audit_keep = "0"', 0.0, 60.0),
    ],
)
def test_the_audit_trail(tmp_path: Path, text: str, keep: float, interval: float) -> None:
    vault = load(tmp_path, f"[vault]\n{text}\n").vault
    assert (vault.audit_keep, vault.audit_interval) == (keep, interval)


@pytest.mark.parametrize(
    ("text", "keep"),
    [("", 90 * 86_400.0), ('history_keep = "12h"', 43_200.0), ('history_keep = "0"', 0.0)],
)
def test_the_history_of_refreshes(tmp_path: Path, text: str, keep: float) -> None:
    assert load(tmp_path, f"[daemon]\n{text}\n").daemon.history_keep == keep


@pytest.mark.parametrize(
    ("text", "keep"),
    [("", 90 * 86_400.0), ('runs_keep = "12h"', 43_200.0), ('runs_keep = "0"', 0.0)],
)
def test_the_history_of_runs(tmp_path: Path, text: str, keep: float) -> None:
    assert load(tmp_path, f"[daemon]\n{text}\n").daemon.runs_keep == keep


@pytest.mark.parametrize("interval", ["0", "500ms", "2d"])
def test_an_interval_that_is_too_short_or_too_long(tmp_path: Path, interval: str) -> None:
    found = problem(tmp_path, f'[vault]\naudit_interval = "{interval}"\n')
    assert (found.key, found.message) == ("vault.audit_interval", "must be from 1s to 1d")


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('host = "0.0.0.0"', "host", "'0.0.0.0' is not a loopback address"),
        ('host = "::"', "host", "'::' is not a loopback address"),
        ('host = "192.168.1.5"', "host", "is not a loopback address"),
        ('host = "connector.example"', "host", "is not a loopback address"),
        ('host = ""', "host", "'' is not a loopback address"),
        ("port = 0", "port", "must be from 1 to 65535"),
        ("port = 65536", "port", "must be from 1 to 65535"),
        ('port = "8470"', "port", "must be a whole number"),
        ('public_url = "http://connector.example"', "public_url", "must be https"),
        ('public_url = "connector.example"', "public_url", "is not an absolute https URL"),
        ('public_url = "https://u:p@connector.example"', "public_url", "user information"),
        ('public_url = "https://connector.example/#x"', "public_url", "fragment"),
        ('public_url = "https://connector.example?x=y"', "public_url", "neither a path nor a"),
        ('public_url = "https://connector.example/sub/"', "public_url", "neither a path nor a"),
        ("sockets = 1", "sockets", "is not a known key"),
    ],
)
def test_where_the_daemon_must_not_listen(
    tmp_path: Path, text: str, key: str, message: str
) -> None:
    found = problem(tmp_path, f"[daemon]\n{text}")
    assert found.key == f"daemon.{key}"
    assert message in found.message
    assert found.remedy


def test_the_example_of_a_number_is_a_good_one(tmp_path: Path) -> None:
    assert problem(tmp_path, '[daemon]\nport = "eight"').remedy == "write port = 8470"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "[::1]", "localhost"])
def test_where_the_daemon_may_listen(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f'daemon = {{ host = "{host}" }}').daemon.host == host


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("HTTPS://Connector.Example", "https://connector.example"),
        ("https://connector.example:443/", "https://connector.example"),
        ("https://connector.example:", "https://connector.example"),
        ("https://connector.example:8443", "https://connector.example:8443"),
        ("http://LocalHost:80", "http://localhost"),
        ("https://[::1]:443", "https://[::1]"),
    ],
)
def test_a_public_url_is_as_browsers_write_it(tmp_path: Path, text: str, url: str) -> None:
    """In Host and Origin, by which they are let in."""
    assert load(tmp_path, f'daemon = {{ public_url = "{text}" }}').daemon.public_url == url


def test_no_socket(tmp_path: Path) -> None:
    assert load(tmp_path, 'daemon = { socket = "" }').daemon.socket is None


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('proxy = "proxy.example:3128"', "proxy", "is not an http or https URL"),
        ('proxy = "socks5://proxy.example"', "proxy", "is not an http or https URL"),
        ('ca_file = "absent.pem"', "ca_file", "there is no file"),
        ('ca_file = "."', "ca_file", "there is no file"),
        ("verify = false", "verify", "is not a known key"),
    ],
)
def test_what_calls_must_not_go_through(tmp_path: Path, text: str, key: str, message: str) -> None:
    """160: TLS verification cannot be switched off."""
    found = problem(tmp_path, f"[http]\n{text}")
    assert found.key == f"http.{key}"
    assert message in found.message
    assert found.remedy


def test_notices(tmp_path: Path) -> None:
    settings = load(tmp_path, '[notify]\nurls = ["env:URL"]\ncommand = ["notify-send", "-"]').notify
    assert (settings.urls, settings.command) == (("env:URL",), ("notify-send", "-"))


@given(st.text(alphabet="abc./ -_~", min_size=1, max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_path_becomes_absolute(tmp_path: Path, name: str) -> None:
    if name.startswith("~") and not name.startswith("~/"):
        return  # a person's home folder
    url = absolute_sqlite_url(f"sqlite:///{name}", tmp_path)
    path = url.removeprefix("sqlite:///")
    assert path.startswith("/")
    assert ".." not in Path(path).parts
