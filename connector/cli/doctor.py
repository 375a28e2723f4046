"""``connector doctor``: checks everything and says what to do."""

import click

from connector.cli.options import common_options, json_option
from connector.cli.output import print_json
from connector.cli.session import run_async

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command()
@common_options
@json_option
def doctor(config: str | None, *, json: bool) -> None:
    """Check configuration, vault, store, clock, providers and accounts; say what to do.

    The exit status is 0, or that of the first problem found.
    """
    from connector.cli.checkup import examine

    findings = run_async(examine(config))
    if json:
        print_json([finding.view() for finding in findings])
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.verdict]
            click.echo(f"{click.style(mark, fg=colour)} {finding.subject}: {finding.message}")
            if finding.remedy:
                click.echo(f"    {finding.remedy}")
    problems = [finding for finding in findings if finding.verdict == "problem"]
    if problems:
        raise click.exceptions.Exit(problems[0].exit_code)
