"""A whole configuration: found, read, overridden, and all that is wrong with it at once."""

import dataclasses
import re
from pathlib import Path

import pytest

from connector.account_name import parse_glob
from connector.errors import ConfigurationError, Problem
from connector.schedule import Every
from connector.secret import Secret, SecretReference
from connector.settings import (
    DaemonSettings,
    HttpSettings,
    NotifySettings,
    Settings,
    VaultSettings,
    find_configuration,
    load_settings,
)
from connector.settings.load import ENVIRONMENT, user_configuration

from .configuration import FACEBOOK, load, problem, problems

ROOT = Path(__file__).parents[3]
CANARY = "canary-c0nf"


# --- the example


def test_the_example_loads_as_it_stands(tmp_path: Path) -> None:
    settings = load(tmp_path, (ROOT / "config.example.toml").read_text())
    assert settings.vault == VaultSettings(
        url=f"sqlite:///{tmp_path}/vault.db",
        password=None,
        seal_kind="keyring",
        seal_name="",
        journal=tmp_path / "vault.db.journals",
    )
    assert settings.daemon == DaemonSettings(
        host="127.0.0.1", port=8470, socket=tmp_path / "connector.sock", public_url=""
    )
    assert list(settings.providers) == ["facebook"]
    assert settings.registrations["facebook"].client_id == "your-app-id"
    assert settings.providers["facebook"].scopes == ("ads_read",)
    assert settings.jobs == {}
    assert settings.secret_variables == {"FACEBOOK_SECRET"}


def test_the_example_is_what_init_writes() -> None:
    template = ROOT / "connector" / "cli" / "config.template.toml"
    assert (ROOT / "config.example.toml").read_text() == template.read_text()


def uncommented(text: str) -> str:
    """Turn what the example offers as a comment into configuration; prose stays a comment."""
    return re.sub(r"(?m)^# (\[|[a-z_]+ = )", r"\1", text)


def test_what_the_example_offers_in_comments_loads_too(tmp_path: Path) -> None:
    (tmp_path / "company-ca.pem").write_text("")
    settings = load(tmp_path, uncommented((ROOT / "config.example.toml").read_text()))
    assert list(settings.providers) == ["facebook", "facebook-agency", "acme"]
    assert settings.providers["acme"].refresh_token.rotation == "strict"
    assert settings.providers["facebook-agency"].redirect_uri.endswith("/callback/facebook-agency")
    assert settings.http == HttpSettings(
        proxy="http://proxy.example:3128", ca_file=str(tmp_path / "company-ca.pem")
    )
    job = settings.jobs["insights"]
    assert (job.schedule, job.deadline) == (Every(interval=900.0), 1800.0)
    assert job.accounts == parse_glob("acme/*")
    assert job.destination.url == f"sqlite:///{tmp_path}/ads.db"


def test_an_empty_configuration_has_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path, "")
    assert settings.vault.url == f"sqlite:///{tmp_path}/vault.db"
    assert settings.vault.seal_kind == "keyring"
    assert (settings.http.proxy, settings.http.ca_file) == (None, None)
    assert settings.notify == NotifySettings(urls=(), command=())
    assert [*settings.providers, *settings.registrations, *settings.jobs] == []
    assert settings.secret_variables == frozenset()
    assert (settings.path, settings.folder) == (tmp_path / "config.toml", tmp_path)


# --- finding it


def test_a_named_file_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text("")
    assert find_configuration(path) == path
    assert find_configuration(str(path)) == path


def test_the_environment_names_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.toml"
    path.write_text("")
    monkeypatch.setenv("CONNECTOR_CONFIG", str(path))
    assert find_configuration() == path
    named = tmp_path / "named.toml"
    named.write_text("")
    assert find_configuration(named) == named


def test_here_comes_before_the_user_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = user_configuration()
    assert users == tmp_path / "user-config" / "connector" / "config.toml"
    users.parent.mkdir(parents=True)
    users.write_text("")
    assert find_configuration() == users
    here = tmp_path / "elsewhere" / "config.toml"
    here.write_text("")
    assert find_configuration() == here
    monkeypatch.setenv("CONNECTOR_CONFIG", "")
    assert find_configuration() == here


def test_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        find_configuration()
    assert "neither here nor at" in str(raised.value)
    assert str(user_configuration()) in str(raised.value)
    assert "type: connector init" in str(raised.value)
    with pytest.raises(ConfigurationError, match="there is no such file"):
        find_configuration(tmp_path / "absent.toml")
    with pytest.raises(ConfigurationError, match="there is no such file"):
        find_configuration(tmp_path)


def test_a_linked_configuration_is_relative_to_the_link(tmp_path: Path) -> None:
    """A mounted ConfigMap links to a folder that changes its name with every update."""
    versions = tmp_path / "..2027_01_15"
    versions.mkdir()
    (versions / "config.toml").write_text("")
    link = tmp_path / "config.toml"
    link.symlink_to(versions / "config.toml")
    settings = load_settings(link)
    assert settings.folder == tmp_path
    assert settings.vault.url == f"sqlite:///{tmp_path}/vault.db"


def test_paths_are_relative_to_the_file_not_to_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "ca.pem").write_text("")
    settings = load(
        tmp_path,
        """
        vault = { url = "sqlite:///../data/vault.db" }
        daemon = { socket = "run/connector.sock" }
        http = { ca_file = "ca.pem" }
        [providers.facebook]
        client_id = "1"
        client_secret = "file:secrets/fb"
        [jobs.one]
        account = "a"
        run = "a:b"
        destination = { to = "jsonl:~/out.jsonl" }
        [jobs.two]
        account = "a"
        run = "a:b"
        destination = { to = "sqlite:////var/lib/ads.db" }
        """,
    )
    assert settings.vault.url == f"sqlite:///{tmp_path.parent}/data/vault.db"
    assert settings.daemon.socket == tmp_path / "run" / "connector.sock"
    assert settings.http.ca_file == str(tmp_path / "ca.pem")
    assert settings.jobs["one"].destination.url == f"jsonl:{tmp_path}/home/out.jsonl"
    assert settings.jobs["two"].destination.url == "sqlite:////var/lib/ads.db"
    secret = settings.registrations["facebook"].client_secret
    assert secret is not None
    assert secret.folder == tmp_path
    monkeypatch.chdir(tmp_path)
    assert load_settings("config.toml").vault.url == settings.vault.url


# --- what cannot be read


@pytest.mark.parametrize(
    ("content", "message", "remedy"),
    [
        (b"[vault", "is not TOML: ", "mend that line"),
        (b"a = 1\na = 2", "is not TOML: ", "mend that line"),
        (b"client_secret = " + CANARY.encode(), "is not TOML: ", "mend that line"),
        (b'client_secret = "' + CANARY.encode(), "is not TOML: ", "mend that line"),
        (b'a = "\xff"', "is not UTF-8 text", "save it as UTF-8"),
    ],
)
def test_what_is_no_configuration(
    tmp_path: Path, content: bytes, message: str, remedy: str
) -> None:
    """165: told without quoting it."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as raised:
        load_settings(path)
    (found,) = raised.value.problems
    assert found.source == str(path)
    assert found.message.startswith(message)
    assert found.remedy == remedy
    assert CANARY not in str(raised.value)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config.toml"
    path.write_text("")

    def refuse(self: Path, *_: object) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigurationError, match=r"cannot be read: Permission denied \(check its"):
        load_settings(path)


def test_everything_is_told_at_once_with_file_key_and_remedy(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
        allow_plaintext_secrets = "yes"
        colour = "blue"
        [vault]
        url = "mysql://x"
        sael = "keyring"
        [daemon]
        host = "0.0.0.0"
        port = 99999
        [http]
        proxy = "socks5://x"
        ca_file = "absent.pem"
        [notify]
        urls = "x"
        [providers.acme]
        client_secret = "literal"
        token_endpoint = "http://acme.example/token"
        [providers.gogle]
        client_id = "1"
        [jobs.one]
        schedule = "hourly"
        run = "nonsense"
        """,
    )
    assert {one.key for one in found} == {
        "allow_plaintext_secrets",
        "colour",
        "vault.url",
        "vault.sael",
        "daemon.host",
        "daemon.port",
        "http.proxy",
        "http.ca_file",
        "notify.urls",
        "providers.acme.token_endpoint",
        "providers.acme.authorization_endpoint",
        "providers.acme.client_id",
        "providers.acme.client_secret",
        "providers.gogle",
        "providers.gogle.authorization_endpoint",
        "providers.gogle.token_endpoint",
        "jobs.one.account",
        "jobs.one.schedule",
        "jobs.one.run",
        "jobs.one.destination.to",
    }
    assert len(found) == 20
    assert {one.source for one in found} == {"config.toml"}
    assert all(one.message for one in found)
    assert [one.key for one in found if not one.remedy] == []


# --- the environment


@pytest.mark.parametrize(
    ("variable", "value", "read"),
    [
        ("CONNECTOR_VAULT_URL", "sqlite:///other.db", lambda s: s.vault.url.rpartition("/")[2]),
        ("CONNECTOR_VAULT_SEAL", "env:other.db", lambda s: s.vault.seal_name),
        ("CONNECTOR_VAULT_JOURNAL", "elsewhere", lambda s: s.vault.journal.name),
        ("CONNECTOR_VAULT_AUDIT_KEEP", "30d", lambda s: f"{s.vault.audit_keep / 86_400:g}d"),
        ("CONNECTOR_VAULT_AUDIT_INTERVAL", "90s", lambda s: f"{s.vault.audit_interval:g}s"),
        ("CONNECTOR_DAEMON_HOST", "localhost", lambda s: s.daemon.host),
        ("CONNECTOR_DAEMON_PORT", "9000", lambda s: str(s.daemon.port)),
        ("CONNECTOR_DAEMON_SOCKET", "x.sock", lambda s: s.daemon.socket.name),
        ("CONNECTOR_DAEMON_PUBLIC_URL", "https://c.example", lambda s: s.daemon.public_url),
        ("CONNECTOR_DAEMON_HISTORY_KEEP", "7d", lambda s: f"{s.daemon.history_keep / 86_400:g}d"),
        ("CONNECTOR_DAEMON_RUNS_KEEP", "7d", lambda s: f"{s.daemon.runs_keep / 86_400:g}d"),
        ("CONNECTOR_HTTP_PROXY", "http://p.example", lambda s: s.http.proxy),
        ("CONNECTOR_HTTP_CA_FILE", "ca.pem", lambda s: Path(s.http.ca_file).name),
    ],
)
def test_the_environment_comes_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, read: object
) -> None:
    assert callable(read)
    (tmp_path / "ca.pem").write_text("")
    for text in ("", '[vault]\nurl = "sqlite:///v.db"\n[daemon]\nport = 1\nhost = "::1"\n[http]\n'):
        monkeypatch.setenv(variable, value)
        assert read(load(tmp_path, text)) == value.removeprefix("sqlite:///").removeprefix("env:")
        monkeypatch.setenv(variable, "")
        before = load(tmp_path, text)
        monkeypatch.delenv(variable)
        assert load(tmp_path, text) == before


def test_every_override_is_tested_above() -> None:
    names = {
        f"CONNECTOR_{table}_{key}".upper() for table, keys in ENVIRONMENT.items() for key in keys
    }
    tested = test_the_environment_comes_before_the_file.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {variable for variable, *_ in tested} == names


@pytest.mark.parametrize(
    ("variable", "value", "key", "message"),
    [
        ("CONNECTOR_VAULT_URL", "mysql://x", "vault.url", "is no database URL"),
        ("CONNECTOR_VAULT_SEAL", "wax", "vault.seal", "'wax' is no seal"),
        ("CONNECTOR_DAEMON_PORT", "http", "daemon.port", "must be a whole number, not a string"),
        ("CONNECTOR_DAEMON_PORT", "-1", "daemon.port", "must be a whole number, not a string"),
        ("CONNECTOR_DAEMON_PORT", "0", "daemon.port", "must be from 1 to 65535"),
        ("CONNECTOR_HTTP_PROXY", "x\x1b", "http.proxy", "control or invisible"),
    ],
)
def test_what_the_environment_sets_wrong_is_blamed_on_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    key: str,
    message: str,
) -> None:
    monkeypatch.setenv(variable, value)
    found = problem(tmp_path, "")
    assert (found.source, found.key) == (variable, key)
    assert message in found.message
    assert found.remedy


def test_a_table_that_is_none_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_VAULT_URL", "sqlite:///x.db")
    found = problem(tmp_path, 'vault = "x"')
    assert found == Problem(
        "config.toml", "vault", "must be a table, not a string", "write vault = { … }"
    )


@pytest.mark.parametrize(
    "key", ["providers", "jobs", "vault", "daemon", "http", "notify", "telemetry"]
)
@pytest.mark.parametrize("value", ["5", '"x"', "[]"])
def test_a_section_must_be_a_table(tmp_path: Path, key: str, value: str) -> None:
    assert "must be a table" in problem(tmp_path, f"{key} = {value}").message


# --- what children and browsers are not given


def test_variables_that_hold_secrets_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONNECTOR_VAULT_SEAL", "env:ROOT_KEY")
    settings = load(
        tmp_path,
        """
        vault = { url = "postgresql://u:env:DB_PASSWORD@h/db", seal = "env:OLD_KEY" }
        notify = { urls = ["env:NOTIFY_URL", "x"] }
        [providers.facebook]
        client_id = "1"
        client_secret = "env:FACEBOOK_SECRET"
        [providers.github]
        client_id = "env:NOT_A_SECRET_BUT_NO_HARM"
        client_secret = "file:x"
        """,
    )
    assert settings.secret_variables == {
        "ROOT_KEY", "OLD_KEY", "DB_PASSWORD", "NOTIFY_URL", "FACEBOOK_SECRET",
        "NOT_A_SECRET_BUT_NO_HARM",
    }  # fmt: skip
    assert "CONNECTOR_EXPORT_PASSPHRASE" in settings.hidden_variables


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgresql://u:secret@h/db", {"CONNECTOR_VAULT_URL"}),
        ("postgresql://u:env%3ADB@h/db", {"CONNECTOR_VAULT_URL", "DB"}),
        ("env:WHOLE", {"CONNECTOR_VAULT_URL", "WHOLE"}),
        ("sqlite:///x.db", set()),
        ("postgresql://u@h/db", set()),
    ],
)
def test_a_url_in_the_environment_may_hold_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, names: set[str]
) -> None:
    monkeypatch.setenv("CONNECTOR_VAULT_URL", url)
    assert load(tmp_path, "").secret_variables == names


# --- secrets


def test_settings_show_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """161: though it was written down in the file, with leave."""
    monkeypatch.setenv("FACEBOOK_SECRET", CANARY)
    settings = load(
        tmp_path,
        f"""
        allow_plaintext_secrets = true
        vault = {{ url = "postgresql://u:{CANARY}@h/db" }}
        http = {{ proxy = "http://u:{CANARY}@proxy.example" }}
        notify = {{ urls = ["tgram://{CANARY}"] }}
        [providers.github]
        client_id = "1"
        client_secret = "{CANARY}"
        """
        + FACEBOOK,
    )
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)
    assert CANARY not in repr(dataclasses.asdict(settings.registrations["github"]))
    assert CANARY not in repr(dataclasses.asdict(settings.vault))
    assert isinstance(settings.vault.password, SecretReference)
    assert settings.vault.password.resolve() == Secret(CANARY)
    resolved = settings.registrations["github"].client_secret
    assert resolved is not None
    assert resolved.resolve() == Secret(CANARY)


def test_a_provider_may_allow_what_the_file_does_not(tmp_path: Path) -> None:
    text = '[providers.github]\nclient_id = "1"\nclient_secret = "x"\n'
    assert problem(tmp_path, text).message == "is a literal secret"
    assert isinstance(load(tmp_path, text + "allow_plaintext_secrets = true"), Settings)
    both = "allow_plaintext_secrets = true\n" + text + "allow_plaintext_secrets = false"
    assert problem(tmp_path, both).message == "is a literal secret"


def test_secrets_are_not_read_when_the_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`connector providers` works on a host that has none of them."""
    monkeypatch.delenv("FACEBOOK_SECRET", raising=False)
    assert load(tmp_path, FACEBOOK).registrations["facebook"].client_id == "1"


def test_a_folder_that_cannot_be_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests as root may look into every folder: a name too long does as well."""
    too_long = tmp_path / ("a" * 300) / "config.toml"
    with pytest.raises(ConfigurationError, match=r"cannot be looked for: .*check the name"):
        find_configuration(too_long)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ("a" * 300)))
    with pytest.raises(ConfigurationError, match="cannot be looked for"):
        find_configuration()
