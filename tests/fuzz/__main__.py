"""Runs all targets, or those named: ``python -m tests.fuzz [--seconds 60] [journal …]``.

Each has a process and the same time of its own; the exit status is 1 where one found something.
"""

import argparse
import hashlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS

ARTEFACTS: Final = Path("artefacts") / "fuzz"
#: Longer than any token answer or journal record that a branch depends on.
LONGEST_INPUT: Final = 4096
#: Seconds. No parser needs a hundredth of it for such an input: one that does hangs.
LONGEST_CALL: Final = 10
#: MiB, an interpreter and its coverage included.
MOST_MEMORY: Final = 1024


def main(arguments: Sequence[str]) -> int:
    """Fuzz; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join(TARGETS))
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown or options.seconds < 1:
        parser.error(f"no such target: {', '.join(unknown)}" if unknown else "at least a second")
    names = options.targets or list(TARGETS)
    failed = [name for name in names if not is_sound(name, options.seconds)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def is_sound(name: str, seconds: int) -> bool:
    """Fuzz one target for some seconds; tell whether nothing was found."""
    corpus = ARTEFACTS / name
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in TARGETS[name].seeds:
        (corpus / f"seed-{hashlib.sha256(seed).hexdigest()[:16]}").write_bytes(seed)
    print(f"\n## {name}: {seconds} s, corpus in {corpus}", flush=True)
    command = [
        sys.executable,
        "-m",
        "tests.fuzz.run",
        name,
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={LONGEST_CALL}",
        f"-rss_limit_mb={MOST_MEMORY}",
        f"-artifact_prefix={ARTEFACTS}/{name}.",
        "-print_final_stats=1",
        str(corpus),
    ]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
