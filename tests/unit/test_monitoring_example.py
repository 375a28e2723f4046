"""The alerts and the dashboard ask for what there is: metrics, labels and functions that exist."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "monitoring"
#: Metrics that are not ours, with the labels that are asked for.
OTHERS = {"up": set[str](), "process_resident_memory_bytes": set[str]()}
#: Labels that every series has once it was scraped, and those of histograms.
OF_SCRAPES = {"instance", "job", "le"}
WORDS = {
    "and", "by", "histogram_quantile", "increase", "max", "min", "rate", "sum", "time", "unless"
}  # fmt: skip


def documented() -> dict[str, set[str]]:
    """Give the metrics of the reference, which a test holds to what is served, and their labels."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(connector_\w+)` \| (\w+) \|([^|]*)\|", page, re.MULTILINE)
    found = {}
    for name, kind, labels in rows:
        known = set(re.findall(r"`(\w+)`", labels))
        for suffix in ("_bucket", "_count", "_sum") if kind == "histogram" else ("",):
            found[name + suffix] = known
    return found


def rules() -> list[dict[str, object]]:
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    found: list[dict[str, object]] = group["rules"]
    return found


def panels() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return found


def expressions() -> Iterator[str]:
    yield from (str(rule["expr"]) for rule in rules())
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", ()))  # type: ignore[attr-defined]


METRICS = documented() | OTHERS


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_an_expression_asks_for_what_there_is(expression: str) -> None:
    for opening, closing in ("()", "{}", "[]"):
        depth = 0
        for character in expression:
            depth += (character == opening) - (character == closing)
            assert depth >= 0
        assert depth == 0
    assert re.findall(r"\[([^\]]*)\]", expression) == re.findall(r"\[(\d+[smhd])\]", expression)
    labels = {
        label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")
    }
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", " ", expression)
    names = set(re.findall(r"[a-z_]\w*", bare)) - WORDS
    assert names
    assert names <= METRICS.keys()
    known = {label for name in names for label in METRICS[name]} | OF_SCRAPES
    assert labels <= known
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            assert label in METRICS[name] | OF_SCRAPES
            assert label == "job" or all(is_told(one) for one in value.split("|"))


def is_told(value: str) -> bool:
    """Tell whether the reference knows the value of a label."""
    return f"`{value}`" in (ROOT / "docs" / "reference" / "metrics.md").read_text()


def test_a_rate_is_taken_of_counters_alone() -> None:
    for expression in expressions():
        for name in re.findall(r"(?:rate|increase)\((\w+)", expression):
            assert name.endswith(("_total", "_bucket")), expression


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_what_to_do(rule: dict[str, object]) -> None:
    assert re.fullmatch(r"Connector[A-Za-z]+", str(rule["alert"]))
    assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
    assert re.fullmatch(r"\d+[mh]", str(rule["for"]))
    annotations = rule["annotations"]
    assert isinstance(annotations, dict)
    assert len(annotations["summary"]) > 20
    assert len(annotations["runbook"]) > 60
    asked = set(re.findall(r"\$labels\.(\w+)", str(annotations)))
    given = {
        label
        for group in re.findall(r"by \(([^)]*)\)", str(rule["expr"]))
        for label in group.split(", ")
    }
    assert asked <= given | ({"instance"} if str(rule["expr"]).startswith("up") else set())


def test_what_must_be_told_is_told() -> None:
    told = "\n".join(str(rule["expr"]) for rule in rules())
    for metric in (
        'connector_accounts{state="consent_required"}',
        "connector_consents_ending",
        "connector_provider_registration_rejected",
        "connector_provider_halted",
        "connector_refresher_lag_seconds",
        "connector_journal_answers",
        "connector_store_up",
        "connector_job_runs_total",
        "connector_job_last_success_timestamp_seconds",
        "connector_api_keys_ending",
        "up{job=",
    ):
        assert metric in told


def test_the_scrape_configuration_takes_the_key_from_a_file() -> None:
    configuration = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    (scrape,) = configuration["scrape_configs"]
    assert scrape["authorization"] == {"type": "Bearer", "credentials_file": "connector.key"}
    assert scrape["job_name"] == "connector"
    assert all((FOLDER / name).is_file() for name in configuration["rule_files"])
    assert scrape.get("metrics_path", "/metrics") == "/metrics"


def test_panels_have_places_and_numbers_of_their_own() -> None:
    found = panels()
    assert len({panel["id"] for panel in found}) == len(found)
    places = [panel["gridPos"] for panel in found]
    assert len({(place["x"], place["y"]) for place in places}) == len(places)  # type: ignore[index]
