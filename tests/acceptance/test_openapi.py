"""A running daemon keeps what it promises in /openapi.json, whatever it is asked.

schemathesis makes the requests of the description, some as it says and some not; who asks has every
right, few, or none. No answer is a failure of ours; each has a status, a type and a form that the
description names.
"""

from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode, checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from .installation import Installation
from .test_api_keys import make

#: Requests for each operation, as the description says, and as it does not.
EXAMPLES = 15
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
#: What is there, so that not everything is answered 404.
THERE = {"account": ["acme/ads", "acme/shop"], "job": ["pull"], "provider": ["ads"]}
#: Every account is wanted by the operations that follow.
_DESTROYS = "/revoke"
REACHED = {
    ("GET /readyz", 200),
    ("GET /openapi.json", 200),
    ("GET /v1/accounts", 200),
    ("GET /v1/accounts/{account}", 200),
    ("GET /v1/accounts/{account}/token", 200),
    ("GET /v1/accounts/{account}/token", 400),
    ("GET /v1/accounts/{account}/token", 403),
    ("POST /v1/accounts/{account}/refresh", 200),
    ("POST /v1/accounts/{account}/revoke", 404),
    ("POST /v1/consents", 200),
    ("POST /v1/consents", 400),
    ("POST /v1/jobs/{job}/runs", 202),
    ("POST /v1/jobs/{job}/runs", 400),
    ("GET /v1/runs", 200),
    ("GET /v1/runs", 400),
    ("GET /v1/runs/{run}/log", 200),
    ("GET /v1/runs/{run}/log", 400),
    ("GET /v1/runs/{run}/log", 404),
    ("GET /consent/{consent}", 404),
}


@pytest.mark.timeout(240)
def test_every_answer_is_as_described(installation: Installation) -> None:
    installation.connect("ads", "acme/ads")
    installation.connect("ads", "acme/shop", person="grace")
    installation.configure(
        """
        [jobs.pull]
        account = "acme/*"
        run = "pulls:pull"
        destination = { to = "jsonl:out.jsonl" }
        """
    )
    pull = "def pull(api, context):\n    print('said')\n    yield [{'at': 1}]\n"
    (installation.folder / "pulls.py").write_text(pull)
    daemon = installation.serve()
    keys = [
        make(installation, "all", "--accounts", "**", "--scope", "admin"),
        make(installation, "few", "--accounts", "acme/*", "--scope", "jobs:run"),
        {},
    ]
    base_url = f"http://127.0.0.1:{installation.port}"
    document = httpx2.get(f"{base_url}/openapi.json", headers=keys[0], trust_env=False).json()
    url = f"{base_url}/v1/jobs/pull/runs"
    begun = httpx2.post(url, headers=keys[0], trust_env=False).json()["runs"]
    there = THERE | {"run": [run["run"] for run in begun]}
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base_url)
    seen: set[tuple[str, int]] = set()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        ask_in_many_ways(found.ok(), keys, seen, there)
    assert seen >= REACHED
    status, _, log = installation.stop(daemon)
    assert status == 0
    assert "Traceback" not in log


def ask_in_many_ways(
    operation: APIOperation[Any, Any, Any, Any],
    keys: list[dict[str, str]],
    seen: set[tuple[str, int]],
    known: dict[str, list[str]],
) -> None:
    """Ask one operation; note the statuses of the answers, and check each answer.

    Args:
        operation: of the description.
        keys: headers that present a key.
        seen: label and status of what was answered.
        known: names of what is there.
    """

    def check(case: Case[Any], there: int, key: dict[str, str]) -> None:
        for name, values in known.items():
            if there and name in case.path_parameters and not case.path.endswith(_DESTROYS):
                case.path_parameters[name] = values[there % len(values)]
            if there and isinstance(case.body, dict) and name in case.body:
                case.body[name] = values[there % len(values)]
        response = case.call(headers=key, allow_redirects=False)
        seen.add((operation.label, response.status_code))
        case.validate_response(response, checks=CHECKS)

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        bounded = settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        cases = operation.as_strategy(generation_mode=mode)
        ways = given(cases, st.sampled_from([1, 2, 0]), st.sampled_from([*keys, keys[0]]))
        try:
            bounded(ways(check))()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, "only it may have nothing to be wrong in"
