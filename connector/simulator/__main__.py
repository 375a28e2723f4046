"""The simulator as a program: `python -m connector.simulator`.

It says where everything is as soon as it listens, and stops with exit code 0 on SIGINT or SIGTERM.
"""

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence

from connector.simulator.faults import Fault, FaultError, fault_from_json
from connector.simulator.options import changed, descriptions, from_text, hints
from connector.simulator.setting import SettingsError
from connector.simulator.settings import Settings
from connector.simulator.simulator import Simulator

# Beside the daemon's 8470.
DEFAULT_PORT = 8480

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until told to stop; returns the exit code."""
    chosen = vars(_parser().parse_args(arguments))
    host, port, is_json = chosen.pop("host"), chosen.pop("port"), chosen.pop("json")
    faults = chosen.pop("fault")
    try:
        simulator = Simulator(_settings(chosen), host=host, port=port)
        for text in faults:
            simulator.faults.add(_fault(text))
    except (SettingsError, ValueError) as error:
        return _refuse(str(error))
    # Blocked before the first thread starts, so that only sigwait below ever gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        with simulator:
            _announce(simulator, is_json=is_json)
            signal.sigwait(STOP_SIGNALS)
    except OSError as error:
        return _refuse(f"cannot listen on {host} port {port}: {error.strerror}")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m connector.simulator",
        description="An authorization server and an ads API on loopback, like real ones.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="loopback address (%(default)s)")
    parser.add_argument(
        "--port", type=_port, default=DEFAULT_PORT, help="TCP port; 0: any free one (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="say where everything is as JSON")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="JSON",
        help="what goes wrong, as POST /control/faults takes it; may be given several times",
    )
    texts = descriptions()
    for name, hint in hints().items():
        option = f"--{name.replace('_', '-')}"
        # argparse expands % in its help
        text = texts[name].replace("%", "%%")
        if hint is bool:
            parser.add_argument(
                option, action=argparse.BooleanOptionalAction, default=None, help=text
            )
        else:
            parser.add_argument(option, default=None, metavar="VALUE", help=text)
    return parser


def _settings(chosen: Mapping[str, object]) -> Settings:
    """The settings that were chosen, by name; None where nothing was."""
    given = {name: value for name, value in chosen.items() if value is not None}
    changes = {
        name: value if isinstance(value, bool) else from_text(name, str(value))
        for name, value in given.items()
    }
    return changed(Settings(), changes)


def _fault(text: str) -> Fault:
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise FaultError("a fault must be a JSON object")
    return fault_from_json(values)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _announce(simulator: Simulator, *, is_json: bool) -> None:
    places = simulator.places()
    lines = [f"{name + ':':16}{value}" for name, value in places.items()]
    text = json.dumps(places) if is_json else "\n".join(lines)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _refuse(message: str) -> int:
    sys.stderr.write(f"simulator: {message}\n")
    return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
