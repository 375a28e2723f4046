"""``python -m tests.benchmarks`` measures what it can."""

from types import SimpleNamespace

import pytest

from tests.benchmarks import __main__ as benchmarks


def test_one_that_fails_does_not_keep_the_next_from_being_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run: list[str] = []

    def import_module(name: str) -> SimpleNamespace:
        def main() -> None:
            run.append(name.rpartition(".")[2])
            if name.endswith("broken"):
                raise AssertionError("too slow")

        return SimpleNamespace(main=main)

    monkeypatch.setattr(benchmarks, "import_module", import_module)
    assert benchmarks.main(["broken", "cached"]) == 1
    assert run == ["broken", "cached"]
    errors = capsys.readouterr().err
    assert "AssertionError: too slow" in errors
    assert errors.endswith("failed: broken\n")
    assert benchmarks.main(["cached"]) == 0
    assert benchmarks.main() == 0
    assert run[3:] == list(benchmarks.BENCHMARKS)
