# For a newcomer: `make up` puts everything up and learns. For a developer: `make dev`, then `make check` before each
# commit; `make test` runs everything that CI runs. CONTRIBUTING.md says more.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := actors common deploy learner
UP_ARGS ?= --max-steps 500000

# Most of a test is waiting for processes; a few more of them than cores keep the cores busy.
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
PARALLEL := -n $(WORKERS) --dist loadgroup
FAST := tests/unit tests/properties tests/reference -m "not reference"

.PHONY: up dev check format lint pyright test chaos coverage bench suite servers clean

up: $(VENV)/.up
	$(BIN)/broodmind up $(UP_ARGS)

# An environment to develop in, and the checks of every commit as hooks of git.
dev: $(VENV)/.dev build/types/broodmind
	test ! -e .git || $(BIN)/pre-commit install

# What is fast: before every commit.
check: lint
	$(BIN)/pytest -q $(FAST) $(PARALLEL) $(PYTEST_ARGS)

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Everything that CI runs.
test: $(VENV)/.dev $(VENV)/.reference build/types/broodmind servers lint pyright
	$(BIN)/pytest $(PARALLEL) $(PYTEST_ARGS)

# The fault tests at their full figures; `make test` runs them at a tenth. CHAOS_SEED=N repeats a run.
chaos: $(VENV)/.dev build/types/broodmind servers
	CHAOS_SCALE=$${CHAOS_SCALE:-1} $(BIN)/pytest tests/chaos -o timeout=7200 $(PYTEST_ARGS)

# Every figure of speed, one script after another; on a machine that does nothing else.
bench: $(VENV)/.dev servers
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python benchmarks/bench.py $(BENCH_ARGS)

# What is learnt by default, over the list of benchmarks/suite_rows.py: hours, in parts; it goes on where it stopped.
suite: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[suite,minatar]'
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python benchmarks/suite.py run $(SUITE_ARGS)
	$(BIN)/python benchmarks/suite.py table

lint: $(VENV)/.dev build/types/broodmind
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cd build/types && ../../$(BIN)/lint-imports --no-logo ../../pyproject.toml
	MYPYPATH=build/types $(BIN)/mypy -p broodmind
	MYPYPATH=build/types:tests $(BIN)/mypy --explicit-package-bases tests noxfile.py

# What an editor shows: every import resolved, from the tests too.
pyright: $(VENV)/.pyright build/types/broodmind
	$(BIN)/pyright

# Branches that no test takes. The workers of pytest and the processes that tests start or fork are measured too, by a
# file of coverage's in this environment's site-packages; where that does not work, most of the code would be reported
# as untested. What a test kills with SIGKILL is not counted. Failed tests fail the target after the report.
coverage: $(VENV)/.dev $(VENV)/.reference build/types/broodmind servers
	@COVERAGE_PROCESS_START=pyproject.toml $(BIN)/python -c 'import coverage, sys; sys.exit(not coverage.Coverage.current())' || { \
		echo "$(BIN)/python measures no subprocess: expected coverage's .pth file beside its package" >&2; exit 1; }
	rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q $(PARALLEL) $(PYTEST_ARGS); failed=$$?; \
		$(BIN)/coverage combine -q && $(BIN)/coverage report && exit $$failed

# The tests need a real Redis beside the Valkey of the wheel, and a compiler for the client in C, of which tcc is the
# smallest (2 MB with the headers); what is missing is installed, or the target fails.
servers:
	@wanted="$$(command -v redis-server >/dev/null || echo redis-server)"; \
	wanted="$$wanted $$(command -v cc >/dev/null || command -v tcc >/dev/null || echo tcc libc6-dev)"; \
	test -z "$${wanted# }" || { \
		sudo=$$(test "$$(id -u)" = 0 || echo sudo); \
		$$sudo apt-get update -q && $$sudo apt-get install -y -q --no-install-recommends $$wanted; }

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.up: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all]'
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@ $(VENV)/.up

$(VENV)/.reference $(VENV)/.pyright: $(VENV)/.%: $(VENV)/.dev
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[$*]'
	touch $@

# Type checkers follow `broodmind.*` through these links: the folders stand at the root, under no package of that name.
# One link a package: a single link to the root would be a folder that holds itself.
build/types/broodmind: Makefile
	rm -rf $@ && mkdir -p $@
	ln -s $(addprefix ../../../,$(PACKAGES)) $(addprefix ../../../broodmind/,__init__.py py.typed) $@

clean:
	rm -rf $(VENV) build dist *.egg-info runs .coverage .coverage.*
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
