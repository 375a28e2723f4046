"""An authorization server and a Graph-like ads API on loopback, for demos and for tests.

    from connector.simulator import Settings, Simulator

    with Simulator(Settings(access_token_lifetime=3, rotation="strict_family")) as simulator:
        simulator.issuer, simulator.client.client_id, simulator.ledger.count("token")

It behaves like real servers, their faults included, and shares no code with the client, so that
no mistake is made twice alike. `python -m connector.simulator --help` runs it as a program.

What stands on its pages, for scripts and browsers:

- the login page: form `#login` with buttons `name="person"`, `value="ada"` or `"grace"`
  (ids `#person-ada`, `#person-grace`), link `#switch-person` on the pages after it;
- the consent page: form `#consent` with buttons `name="decision"`, `value="allow"` (`#allow`) or
  `"deny"` (`#deny`); under /oauth the scopes are in `#scopes`, under /facebook each permission
  that may be declined is a checkbox `name="permission"` in `#permissions`;
- the device page: form `#device` with the field `#user_code` and the button `#continue`;
- every page has an `h1#title`; messages and errors have their text in `#message`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connector.simulator.clock import Clock
    from connector.simulator.control import Control
    from connector.simulator.facebook.call_log import CallSelection
    from connector.simulator.facebook.refusals import Refusal
    from connector.simulator.faults import Fault
    from connector.simulator.ledger import Selection
    from connector.simulator.person import Person
    from connector.simulator.settings import Settings
    from connector.simulator.simulator import Simulator

__all__ = [
    "CallSelection",
    "Clock",
    "Control",
    "Fault",
    "Person",
    "Refusal",
    "Selection",
    "Settings",
    "Simulator",
]

_MODULES = {
    "CallSelection": "facebook.call_log",
    "Clock": "clock",
    "Control": "control",
    "Fault": "faults",
    "Person": "person",
    "Refusal": "facebook.refusals",
    "Selection": "ledger",
    "Settings": "settings",
    "Simulator": "simulator",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used."""
    from importlib import import_module

    if name not in _MODULES:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
