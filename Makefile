# `make demo` and `make test` do all the set-up themselves; `make help` lists the rest.

VENV := .venv
BIN := $(VENV)/bin
SUPPORTED := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$p -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo $$p; break; }; done)
PIP_INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST_ARGS ?= --numprocesses 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --quiet $(PYTEST_ARGS)

.DELETE_ON_ERROR:
.PHONY: help demo test test-all lint format clean

help:
	@echo "make demo      install into $(VENV) and run the demonstration"
	@echo "make test      install into $(VENV), lint, check types, run the quick tests"
	@echo "make test-all  the same with the slow tests"
	@echo "make lint      ruff and mypy only"
	@echo "make format    let ruff format and repair what it can"
	@echo "make clean     remove $(VENV), caches and builds"

demo: $(VENV)/.installed
	@$(BIN)/epitaxy demo

test: lint
	@$(PYTEST)

test-all: lint
	@$(PYTEST) -m "slow or not slow"

lint: $(VENV)/.installed-test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(VENV)/.installed-test
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamp files: pip runs only when pyproject.toml or constraints.txt is newer than the last time.
$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "epitaxy needs Python 3.11 or newer, and none was found;" \
		"install one and name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c '$(SUPPORTED)' || { echo "epitaxy needs Python 3.11 or newer, but" \
		"$(PYTHON) is none; name another one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing epitaxy into $(VENV); the first time takes a few minutes."
	@$(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-test: $(VENV)/.created pyproject.toml constraints.txt
	@echo "Installing epitaxy and its test tools into $(VENV); the first time takes a few minutes."
	@$(PIP_INSTALL) --editable '.[test]'
	@touch $(VENV)/.installed $@
