"""Reads ``[jobs.X.request]``, and what a provider's ``[api.pull]`` says for all of them.

The configuration is read by the process that has it, and the same table again by the run's child,
with the same reader: what was checked is what is run. Every problem is collected by the `Section`.
"""

from connector.pulls.reading.defaults import read_defaults
from connector.pulls.reading.pull import load_pull, read_pull

__all__ = ["load_pull", "read_defaults", "read_pull"]
