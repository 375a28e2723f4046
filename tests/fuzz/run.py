"""Fuzzes one target until something is found or the time is up; the process ends with it."""

import sys

import atheris

with atheris.instrument_imports(include=["connector"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Take a target's name and libFuzzer's options from the command line."""
    name, *options = sys.argv[1:]
    atheris.Setup([sys.argv[0], *options], TARGETS[name].check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
