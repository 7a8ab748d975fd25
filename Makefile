# `make help` lists what there is. Nothing but Python 3.11 or later, and make, is needed to begin.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
HOST := 127.0.0.1
PORT := 8000
BENCHMARKS ?= footprint ingestion search embedding

# Python 3.11 by its own name, else a `python3` that is new enough; or say which: `make PYTHON=/path/to/python3.12 run`.
PYTHON ?= $(shell for candidate in python3.11 python3; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$$candidate"; exit; }; \
	done)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: install ## install, ingest sample_docs/ and serve the API and the web page
	@$(BIN)/plumbline ingest sample_docs
	@printf '\nOnce it is ready, try in another shell:\n  %s\n\n' \
		"curl -s 'http://$(HOST):$(PORT)/v1/search?q=gateway+502&limit=3'"
	@PLUMBLINE_SERVER__HOST=$(HOST) PLUMBLINE_SERVER__PORT=$(PORT) $(BIN)/plumbline serve

.PHONY: install
install: $(STAMP) ## create .venv with everything at the versions in constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Plumbline needs Python 3.11 or later, and none was found." >&2; \
		echo "Install it, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
		exit 1; \
	fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (some minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.PHONY: check
check: lint types contracts test ## everything that must hold before a commit: lint, types, contracts, tests

.PHONY: test
test: install ## run the tests; those that need a server run where it is present
	@$(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist loadfile

.PHONY: lint
lint: install ## check style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: format
format: install ## put the code into its format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: types
types: install ## check types (mypy, strict)
	@$(BIN)/mypy

.PHONY: contracts
contracts: install ## check which module may import which (ARCHITECTURE.md)
	@$(BIN)/lint-imports

.PHONY: docs
docs: install ## rewrite the parts of docs/ that repeat the code
	@$(BIN)/python docs/generate.py

.PHONY: bench
bench: install ## measure speed and memory, or run the programs of benchmarks/ named in BENCHMARKS=
	@set -e; for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name; done

.PHONY: clean
clean: ## remove .venv, caches and build results; the ingested data in .plumbline/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find ingestion service tests docs benchmarks sample_docs -name __pycache__ -type d -prune -exec rm -rf {} +
