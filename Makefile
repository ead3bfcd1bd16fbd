# `make help` says what there is. Tools and packages are installed into .venv from PyPI.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo test test-all lint format docs clean check-tools

help: ## Say what there is.
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
	    printf '  make %-10s %s\n' "$$name" "$$what"; done

demo: $(STAMP) ## Train, compile, generate Verilog, run it in Verilator, compare, synthesize.
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

$(STAMP): pyproject.toml constraints.txt | check-tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	    setuptools wheel torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	    --no-build-isolation -e '.[test,dev]'
	touch $@
