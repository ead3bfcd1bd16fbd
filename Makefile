# `make help` says what there is. Tools and packages are installed into .venv from PyPI.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := $(VENV)/.demo
# The demo's packages are compiled when they are first imported: most modules never are.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test test-all lint format docs clean check-tools

help: ## Say what there is.
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
	    printf '  make %-10s %s\n' "$$name" "$$what"; done

demo: $(DEMO) ## Train, compile, generate Verilog, run it in Verilator, compare, synthesize.
	$(BIN)/python examples/digits.py

test: $(STAMP) ## Run the tests but the exhaustive ones; PYTEST_ARGS are passed on.
	$(BIN)/python -m pytest -n 2 --dist worksteal -q -m 'not exhaustive' $(PYTEST_ARGS)

test-all: $(STAMP) ## Run all tests, as CI does: all networks, a board to its bitstream.
	$(BIN)/python -m pytest -n 2 --dist worksteal -q $(PYTEST_ARGS)

lint: $(STAMP) ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Mend what ruff can.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## Write the generated pages, and build the site into build/site.
	$(BIN)/python -m tools.reference
	$(BIN)/python -m benchmarks.docs
	$(BIN)/zensical build --strict

clean: ## Remove build and .venv; what is cached by content stays.
	rm -rf build $(VENV)

check-tools:
	@sh tools/check-tools.sh "$(PYTHON)"

# What the demo needs is installed in half the time of all that the tests need.
$(DEMO): pyproject.toml constraints.txt | check-tools
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools wheel torch
	$(PIP) --no-build-isolation -e '.[demo]'
	touch $@

$(STAMP): $(DEMO)
	$(PIP) --no-build-isolation -e '.[test,dev]'
	$(BIN)/python -m compileall -q -q -j 0 $(VENV)/lib || true  # some are for other Pythons
	touch $@
