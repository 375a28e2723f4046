"""docs/reference/simulator.md names all that the simulated Facebook can be told."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from connector.simulator.facebook.ad_edges import EDGES
from connector.simulator.facebook.refusals import THROTTLES, Refusal
from connector.simulator.facebook.routes import REPORT_EDGES
from connector.simulator.facebook.settings import FacebookSettings, ReportOutcome
from connector.simulator.facebook.tokens import Death
from connector.simulator.simulator import Simulator

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "simulator.md").read_text()
WORDS = set(re.findall(r"[a-z0-9_]+", "".join(re.findall(r"`[^`]+`", PAGE))))


@pytest.mark.parametrize(
    "names",
    [
        [field.name for field in fields(FacebookSettings)],
        [field.name for field in fields(Refusal)],
        get_args(Death),
        get_args(ReportOutcome),
        [*EDGES, *REPORT_EDGES.values()],
    ],
)
def test_the_page_names_everything(names: list[str]) -> None:
    assert set(names) - WORDS == set()


def test_the_page_names_every_throttle() -> None:
    assert {code for code in THROTTLES if str(code) not in PAGE} <= {80014}


def test_the_page_names_every_edge(simulator: Simulator) -> None:
    told = re.search(r"^Edges are (.*)\.$", PAGE, re.MULTILINE)
    assert told is not None
    names = set(re.findall(r"`([a-z_]+)`", told[1]))
    made = {name.removeprefix("graph_") for name in graph_endpoints(simulator)} - {"unknown"}
    assert names == made | set(REPORT_EDGES.values())


def graph_endpoints(simulator: Simulator) -> set[str]:
    """The names of the Graph API's endpoints, as the route table has them."""
    return {name for name in simulator.endpoint_names if name.startswith("graph_")}
