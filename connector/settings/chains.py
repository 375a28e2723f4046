"""Checks ``after`` of ``[jobs.*]``: which jobs run when another one has succeeded."""

import difflib
from collections.abc import Mapping

from connector.settings.values import JobSettings
from connector.toml_section import Section


def check_chains(section: Section, jobs: Mapping[str, JobSettings]) -> None:
    """Check that every job that another one follows is there, and that no job follows itself.

    Args:
        section: the whole configuration.
        jobs: that it has, by name.
    """
    for job in jobs.values():
        key = f"jobs.{job.name}.after"
        if job.after is None:
            continue
        if job.after not in jobs:
            nearest = difflib.get_close_matches(job.after, jobs, n=1)
            known = ", ".join(name for name in jobs if name != job.name) or "none"
            remedy = f"did you mean {nearest[0]}?" if nearest else f"configured here: {known}"
            section.problem(key, f"there is no job {job.after!r}", remedy)
            continue
        chain = _chain(job, jobs)
        if chain[-1] == job.name:
            told = " → ".join(reversed(chain))
            section.problem(key, f"the job follows itself: {told}", "give one of them a schedule")


def _chain(job: JobSettings, jobs: Mapping[str, JobSettings]) -> list[str]:
    """Give a job and those that it follows, up to the first that comes again."""
    chain = [job.name]
    following = job.after
    while following is not None and following in jobs:
        is_again = following in chain
        chain.append(following)
        if is_again:
            break
        following = jobs[following].after
    return chain
