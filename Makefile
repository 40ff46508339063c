# `make demo` and `make test` set everything up on a machine with Python 3.11 to 3.13, git and make.
# With PYTHON=... nothing is installed and that interpreter is used, say on a GPU machine: make test-gpu PYTHON=python3

SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first interpreter that starts and that the package supports; python3 may be newer than that.
SUPPORTED := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))
BASE_PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do $$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)

ifeq ($(origin PYTHON),undefined)
PYTHON := .venv/bin/python
INSTALLED := .venv/.installed
DOCS := .venv/.docs
else
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
endif

.PHONY: help install lint types check test test-gpu fuzz bench bench-gpu demo reproduce docs clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Create .venv and install the package in it, editable, with its development tools

.venv/.installed: pyproject.toml constraints.txt
	@test -n "$(BASE_PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 with the venv module found; set BASE_PYTHON=/path/to/python" >&2; exit 2; }
	$(BASE_PYTHON) -m venv --clear .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

.venv/.docs: .venv/.installed
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

lint: $(INSTALLED)  ## Check style and the import contract
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

types: $(INSTALLED)  ## Check types, strictly
	$(PYTHON) -m mypy

check: lint types  ## Check style and types and run the tests that a change touches, in a minute; BASE=COMMIT: since COMMIT
	$(PYTHON) -m tests.touched $(if $(BASE),--base $(BASE))

test: $(INSTALLED)  ## Run the tests, a process per core; at least 90 % of the lines of gas_cli must be covered
	$(PYTHON) -m pytest -m "not gpu" -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder --cov --cov-report=term --cov-fail-under=90 --durations=10 $(if $(REPORT),--junitxml $(REPORT))

test-gpu: $(INSTALLED)  ## Run the tests that need a GPU (no network, no coverage)
	$(PYTHON) -m pytest -m gpu -p no:cacheprovider

# Cases go on where the report ends; SEED=S starts from case S instead (those of make test are 0 to 99).
N ?= 500
JOBS ?= 1
fuzz: $(INSTALLED)  ## Run N more random cases of wrong input and kills on JOBS processes; report in benchmarks/results/fuzz.md
	$(PYTHON) -m tests.fuzz --report --cases $(N) --jobs $(JOBS) $(if $(SEED),--seed $(SEED))

bench: $(INSTALLED)  ## Measure on the CPU, in about an hour on two quiet cores; with QUICK=1 a part, in about two minutes
	$(PYTHON) -m benchmarks.run --device cpu $(if $(QUICK),--quick) $(if $(GAS_DATA),--root $(GAS_DATA))

bench-gpu: $(INSTALLED)  ## Measure on a CUDA device, in under ten minutes, without network
	$(PYTHON) -m benchmarks.run --device cuda $(if $(QUICK),--quick) $(if $(GAS_DATA),--root $(GAS_DATA))

demo: $(INSTALLED)  ## Train on a generated community graph, GAS beside full batch, and show a table
	$(PYTHON) -m scripts.demo

reproduce: $(INSTALLED)  ## Run a ten-minute subset of every table and figure; report in runs/reproduce/report.md
	$(PYTHON) -m scripts.reproduce

docs: export NO_MKDOCS_2_WARNING := 1
docs: $(DOCS)  ## Build the documentation with search into site/; a warning, such as a broken link, is an error
	$(PYTHON) -m mkdocs build --strict
	@echo 'site/ is built. With search: $(PYTHON) -m http.server --directory site'

clean:  ## Remove what the targets created: .venv, caches, build products; runs/ stays
	rm -rf .venv build dist site *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find gas_cli tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
