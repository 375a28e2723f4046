"""Finds and reads a configuration file; every problem is collected before any is told.

Scalars of ``[vault]``, ``[daemon]`` and ``[http]`` may come from the environment instead, as
``CONNECTOR_VAULT_URL``, ``CONNECTOR_DAEMON_PORT`` and so on.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from connector.errors import ConfigurationError, Problem
from connector.secret import SecretReference
from connector.settings.jobs import read_jobs
from connector.settings.notify import read_notify
from connector.settings.providers import read_providers
from connector.settings.tables import read_daemon, read_http, read_vault
from connector.settings.telemetry import read_telemetry
from connector.settings.values import JobSettings, Settings, VaultSettings
from connector.toml_section import Section

#: What the environment may set, besides what the command line's options take from it.
ENVIRONMENT: Final = {
    "vault": ("url", "seal", "journal", "audit_keep", "audit_interval"),
    "daemon": ("host", "port", "socket", "public_url", "history_keep", "runs_keep"),
    "http": ("proxy", "ca_file"),
}


def find_configuration(path: str | os.PathLike[str] | None = None) -> Path:
    """Find the configuration file.

    Args:
        path: where it is; else ``CONNECTOR_CONFIG``, ``./config.toml``, and the platform's user
            configuration folder are looked at, in this order.

    Raises:
        ConfigurationError: there is none, or it cannot be told.
    """
    if path is None:
        path = os.environ.get("CONNECTOR_CONFIG") or None
    if path is not None:
        found = Path(path).expanduser()
        if not _is_file(found):
            raise ConfigurationError(
                [Problem(str(found), "", "there is no such file", "type: connector init")]
            )
        return found.absolute()  # not resolved: a link's own folder is what paths are relative to
    candidates = [Path("config.toml"), user_configuration()]
    for candidate in candidates:
        if _is_file(candidate):
            return candidate.absolute()
    raise ConfigurationError(
        [
            Problem(
                "config.toml",
                "",
                f"there is no configuration, neither here nor at {candidates[1]}",
                "type: connector init, or name one with --config",
            )
        ]
    )


def _is_file(path: Path) -> bool:
    """Tell whether there is a file.

    Raises:
        ConfigurationError: its folder cannot be looked into.
    """
    try:
        return path.is_file()
    except OSError as error:
        message = f"cannot be looked for: {error.strerror}"
        remedy = "check the name, and the modes of the folders above it"
        raise ConfigurationError([Problem(str(path), "", message, remedy)]) from None


def user_configuration() -> Path:
    """Give the configuration file in the platform's user configuration folder."""
    from platformdirs import user_config_path

    return user_config_path("connector") / "config.toml"


def load_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """Read a configuration.

    Args:
        path: as for `find_configuration`.

    Raises:
        ConfigurationError: every problem that was found.
    """
    file = find_configuration(path)
    table = _parse(file)
    problems: list[Problem] = []
    merged, overrides = _with_environment(table, os.environ)
    section = Section(
        merged,
        path=(),
        source=file.name,
        folder=file.parent,
        problems=problems,
        overrides=overrides,
    )
    allow_plaintext = section.boolean("allow_plaintext_secrets", default=False)
    vault = read_vault(section.section("vault"), allow_plaintext=allow_plaintext)
    daemon = read_daemon(section.section("daemon"))
    providers, registrations, provider_runs = read_providers(
        section, daemon_port=daemon.port, public_url=daemon.public_url, allow=allow_plaintext
    )
    jobs = read_jobs(
        section, providers, vault, memory=daemon.run_memory, allow_plaintext=allow_plaintext
    )
    settings = Settings(
        path=file,
        vault=vault,
        daemon=daemon,
        http=read_http(section.section("http")),
        notify=read_notify(section.section("notify"), allow_plaintext=allow_plaintext),
        telemetry=read_telemetry(section.section("telemetry"), allow_plaintext=allow_plaintext),
        providers=providers,
        registrations=registrations,
        jobs=jobs,
        secret_variables=_secret_variables(table, merged)
        | _vault_variables(vault, overrides)
        | _password_variables(jobs),
        provider_runs=provider_runs,
    )
    section.finish()
    if problems:
        raise ConfigurationError(problems)
    return settings


def _parse(file: Path) -> dict[str, object]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        problem = Problem(str(file), "", f"cannot be read: {error.strerror}", "check its mode")
    except UnicodeDecodeError:
        problem = Problem(str(file), "", "is not UTF-8 text", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        problem = Problem(str(file), "", f"is not TOML: {error}", "mend that line")
    raise ConfigurationError([problem]) from None


def _with_environment(
    table: Mapping[str, object], environment: Mapping[str, str]
) -> tuple[dict[str, object], dict[str, str]]:
    """Lay the environment over a configuration; also tell which keys it set."""
    merged = dict(table)
    overrides: dict[str, str] = {}
    for name, keys in ENVIRONMENT.items():
        present = merged.get(name, {})
        if not isinstance(present, dict):
            continue  # the section itself reports it
        changed = dict(present)
        for key in keys:
            variable = f"CONNECTOR_{name}_{key}".upper()
            value = environment.get(variable)
            if value:
                changed[key] = int(value) if key == "port" and value.isdecimal() else value
                overrides[f"{name}.{key}"] = variable
        if changed:
            merged[name] = changed
    return merged, overrides


def _secret_variables(*values: object) -> frozenset[str]:
    """Find every ``env:NAME`` reference, so that these variables can be kept from children."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, str) and value.startswith("env:"):
            found.add(value.removeprefix("env:"))
        elif isinstance(value, Mapping):
            found |= _secret_variables(*value.values())
        elif isinstance(value, list):
            found |= _secret_variables(*value)
    return frozenset(found)


def _vault_variables(vault: VaultSettings, overrides: Mapping[str, str]) -> frozenset[str]:
    """Give the variables that hold the vault's URL or password."""
    references = [ref for ref in (vault.url, vault.password) if isinstance(ref, SecretReference)]
    names = {reference.name for reference in references if reference.kind == "env"}
    if references and "vault.url" in overrides:
        names.add(overrides["vault.url"])  # a password may stand in it
    return frozenset(names)


def _password_variables(jobs: Mapping[str, JobSettings]) -> frozenset[str]:
    """Give the variables that stand for a password within the URL of a destination."""
    passwords = [job.destination.password for job in jobs.values()]
    return frozenset(one.name for one in passwords if one is not None and one.kind == "env")
