"""``connector init``: a commented config.toml and a vault, where there is none."""

import json
import os
from pathlib import Path

import click

from connector.cli.options import common_options, config_path, option
from connector.cli.session import opened, run_async
from connector.errors import ConfigurationError, Problem, VaultSealed


@click.command()
@common_options
@option(
    "--seal",
    help="Written into a new config.toml: keyring, credential:NAME, transit:URL, passphrase, "
    "file:PATH or env:NAME.",
)
def init(config: str | None, seal: str | None) -> None:
    """Write a commented config.toml and make the vault, where there is none.

    Nothing that exists is overwritten.
    """
    from connector.settings import load_settings

    path = Path(config_path(config) or "config.toml").expanduser()
    is_written = _write_configuration(path, seal)
    if is_written:
        click.echo(f"wrote {path}")
    settings = load_settings(path)
    if not is_written and seal not in {None, settings.vault.seal}:
        message = f"is {settings.vault.seal} there already, and nothing is overwritten"
        remedy = "change the seal there, or leave out --seal"
        raise ConfigurationError([Problem(str(path), "vault.seal", message, remedy)])

    async def work() -> str:
        async with opened(settings, create=True) as runtime:
            return runtime.database.description

    from connector.runtime import configured_seal

    try:
        description = run_async(work())
    except VaultSealed as error:
        if not is_written:
            raise
        remedy = f"Set it in {path}, which is written, and type connector init again."
        raise VaultSealed(error.reason, f"{error.remedy} {remedy}".strip()) from None
    seal_used = configured_seal(settings)
    click.echo(f"the vault is at {description}, sealed by {seal_used.description}")
    if is_written:
        click.echo(
            f"Next: put your client_id and client_secret into {path}, then type: "
            "connector connect PROVIDER --account NAME"
        )


def _write_configuration(path: Path, seal: str | None) -> bool:
    """Write the commented example; False where there is a file already."""
    from importlib import resources

    text = (resources.files("connector.cli") / "config.template.toml").read_text(encoding="utf-8")
    if seal is not None:
        # a JSON string is a basic string of TOML
        text = text.replace('"keyring"', json.dumps(_checked_seal(seal), ensure_ascii=False), 1)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        message = f"cannot be written: {error.strerror}"
        raise ConfigurationError([Problem(str(path), "", message)]) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return True


def _checked_seal(seal: str) -> str:
    """Check the words for a seal before anything is written.

    Raises:
        UsageError: they name none.
    """
    from connector.seal_kinds import NotASeal, parse_seal

    try:
        return str(parse_seal(seal))
    except NotASeal as error:
        raise click.BadParameter(str(error), param_hint="--seal") from None
