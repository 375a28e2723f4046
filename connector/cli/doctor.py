"""``connector doctor``: checks everything and says what to do."""

import shutil
import sys
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Final

import click

from connector.cli.main import printable_line
from connector.cli.options import common_options, json_option
from connector.cli.output import counted, print_json
from connector.cli.session import run_async

if TYPE_CHECKING:
    from connector.cli.checkup import Finding

_MARKS: Final = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}
#: Of the accounts that are well so many are named; of more, how many there are.
_MOST_NAMED: Final = 10
#: Lines of text are easier to read when they are not as wide as a screen.
_WIDEST: Final = 100


@click.command()
@common_options
@json_option
def doctor(config: str | None, *, json: bool) -> None:
    """Check configuration, host, vault, store, journal, clock, providers and accounts.

    Whatever is not as it should be comes with what to do. The exit status is 0, or that of the
    first problem found; a warning is none.
    """
    from connector.cli.checkup import examine

    findings = run_async(examine(config))
    if json:
        print_json([finding.view() for finding in findings])
    else:
        _show(findings)
    problems = [finding for finding in findings if finding.verdict == "problem"]
    if problems:
        raise click.exceptions.Exit(problems[0].exit_code)


def _show(findings: "list[Finding]") -> None:
    well = [one for one in findings if one.verdict == "ok" and one.subject.startswith("account ")]
    unnamed = well if len(well) > _MOST_NAMED else []
    for finding in findings:
        if finding not in unnamed:
            mark, colour = _MARKS[finding.verdict]
            lines = _wrapped(f"{finding.subject}: {finding.message}", indent=2)
            click.echo(f"{click.style(mark, fg=colour)} {lines}")
            if finding.remedy:
                click.echo(f"    {_wrapped(finding.remedy, indent=4)}")
    if unnamed:
        mark, colour = _MARKS["ok"]
        click.echo(f"{click.style(mark, fg=colour)} accounts: {len(unnamed)} more are active")
    click.echo(f"\n{_summary(findings)}")


def _wrapped(text: str, *, indent: int) -> str:
    """Break a text into lines on a terminal, and leave it in one anywhere else."""
    line = printable_line(text)
    if not sys.stdout.isatty():
        return line
    width = max(min(shutil.get_terminal_size().columns, _WIDEST) - indent, 20)
    # commands and paths are to be copied whole
    lines = textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _summary(findings: "list[Finding]") -> str:
    count = Counter(finding.verdict for finding in findings)
    problems = counted(count["problem"], "problem") if count["problem"] else "no problem"
    warnings = counted(count["warning"], "warning") if count["warning"] else "no warnings"
    return f"{counted(len(findings), 'check')}: {problems}, {warnings}"
