# The two commands: `make demo` and `make test`. Each sets up what it needs from the lock.
# Nothing outside this folder is written to.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# others that pull data: what they pin does not resolve together with ours
PEERS := $(VENV)/peers
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: demo test check unit bench mutations fuzz docs lock clean

demo: $(VENV)/.runtime  ## run the whole story on this machine, against the simulator
	@$(BIN)/connector demo

test: check unit  ## every check and every test

check: $(VENV)/.dev  ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# hundreds of processes start: each would compile all modules again where the environment has this
unit: export PYTHONDONTWRITEBYTECODE :=
unit: $(VENV)/.dev  ## unit, store, acceptance and browser tests, with branch coverage
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n auto --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: $(VENV)/.bench $(VENV)/.peers  ## the benchmark tables, peers measured in the same run
	$(BIN)/python -m tests.benchmarks

mutations: $(VENV)/.dev  ## take out one guard after another, and see that a test notices
	$(BIN)/python -m tests.mutations --write

fuzz: $(VENV)/.fuzz  ## a minute of coverage-guided fuzzing for each parser of stored or foreign bytes
	$(BIN)/python -m tests.fuzz

docs: $(VENV)/.dev  ## regenerate docs/reference from the code
	$(BIN)/python -m tests.reference --write

lock: $(VENV)/.dev  ## resolve the lock files anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --upgrade --python-version 3.11 --group build --extra postgres pyproject.toml -o requirements/runtime.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --group build --group dev --extra postgres pyproject.toml \
	  -c requirements/runtime.lock -o requirements/dev.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --group bench pyproject.toml \
	  -c requirements/dev.lock -o requirements/bench.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --group fuzz -c requirements/dev.lock -o requirements/fuzz.lock
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	  --python-version 3.11 --group peers -o requirements/peers.lock

$(VENV)/.bench: requirements/bench.lock $(VENV)/.dev
	$(INSTALL) -r requirements/bench.lock
	@touch $@

$(VENV)/.peers: requirements/peers.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.fuzz: requirements/fuzz.lock $(VENV)/.dev
	$(INSTALL) -r requirements/fuzz.lock
	@touch $@

clean:
	rm -rf $(VENV) artefacts .coverage .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.lock pyproject.toml | $(BIN)/python
	$(INSTALL) -r requirements/runtime.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(VENV)/.runtime
	$(INSTALL) -r requirements/dev.lock
	@touch $@
