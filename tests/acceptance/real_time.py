"""A workbench for programs that live by the real time, its vault on either database."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.runtime import open_runtime
from connector.settings import load_settings
from connector.simulator import Settings, Simulator
from tests.unit.workbench import Workbench, run_apart


@contextmanager
def real_time_workbench(
    folder: Path, settings: Settings, *, postgres_url: str | None = None, more: str = ""
) -> Iterator[Workbench]:
    """Run a simulator and make a vault; the provider is configured as the simulator behaves.

    Args:
        folder: of the configuration, and of the vault where it is SQLite.
        settings: of the simulator.
        postgres_url: of an empty database, where the vault is Postgres.
        more: further tables of the configuration.
    """
    with Simulator(settings) as simulator:
        bench = Workbench(folder, simulator, simulator.clock)
        configure(bench, settings, postgres_url=postgres_url, more=more)
        if postgres_url is not None:
            _make_vault(bench)
        yield bench


def configure(
    bench: Workbench,
    settings: Settings,
    *,
    postgres_url: str | None = None,
    journal: str | None = None,
    more: str = "",
) -> None:
    """Write config.toml: the provider is configured as the simulator behaves.

    Args:
        bench: whose configuration it is.
        settings: of the simulator.
        postgres_url: where the vault is Postgres.
        journal: folder of the journal.
        more: further tables.
    """
    grace = f'grace = "{settings.grace_seconds:g}s"' if settings.rotation == "grace" else ""
    profile = f"""
        [providers.acme.refresh_token]
        rotation = "{settings.rotation}"
        {grace}
        """
    vault = {"url": postgres_url, "journal": journal}
    lines = [f'{key} = "{value}"' for key, value in vault.items() if value is not None]
    if lines:  # not beside a vault of SQLite any more
        lines.append("allow_volatile_journal = true")
    bench.configure(acme=profile, more=more, replace=("[vault]", "\n".join(["[vault]", *lines])))


def _make_vault(bench: Workbench) -> None:
    async def make() -> None:
        settings = load_settings(bench.config)
        await (await open_runtime(settings, has_background=False, create=True)).aclose()

    run_apart(make)
