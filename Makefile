# Two commands for a newcomer: `make up` puts everything up and learns; `make test` runs everything that CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := actors common deploy learner
UP_ARGS ?= --max-steps 500000

.PHONY: up test chaos bench lint servers clean

up: $(VENV)/.up
	$(BIN)/broodmind up $(UP_ARGS)

test: $(VENV)/.dev build/types/broodmind servers lint
	$(BIN)/pytest $(PYTEST_ARGS)

# The fault tests at their full figures; `make test` runs them at a tenth. CHAOS_SEED=N repeats a run.
chaos: $(VENV)/.dev build/types/broodmind servers
	CHAOS_SCALE=$${CHAOS_SCALE:-1} $(BIN)/pytest tests/chaos -o timeout=7200 $(PYTEST_ARGS)

# Every figure of speed, one script after another; on a machine that does nothing else.
bench: $(VENV)/.dev servers
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python benchmarks/bench.py $(BENCH_ARGS)

lint: $(VENV)/.dev build/types/broodmind
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	cd build/types && ../../$(BIN)/lint-imports --no-logo ../../pyproject.toml
	MYPYPATH=build/types $(BIN)/mypy -p broodmind

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

# Type checkers follow `broodmind.*` through these links: the folders stand at the root, under no package of that name.
# One link a package: a single link to the root would be a folder that holds itself.
build/types/broodmind: Makefile
	rm -rf $@ && mkdir -p $@
	ln -s $(addprefix ../../../,$(PACKAGES)) $(addprefix ../../../broodmind/,__init__.py py.typed) $@

clean:
	rm -rf $(VENV) build dist *.egg-info runs
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
