# make quickstart    set up what a user needs, then run sweeps/quickstart.yaml and print its tables
# make quick         set up everything, check style and types, run the quick tests
# make test          the same, then the slow tests: what CI runs
# make lint          check style and types only
# make format        sort imports and lay out the code
# make setup         install what users and tests need
# make clean         remove what the commands above made, but no results
# Everything is installed into .venv once; a change of pyproject.toml or constraints.txt installs it again.

.PHONY: quickstart quick test quick-tests slow-tests lint format setup clean
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# Slow tests mostly wait, for Ray to start and for processes to end: more of them than cores.
SLOW_AT_ONCE ?= $(shell $(BIN)/python -c 'import os; print(len(os.sched_getaffinity(0)) * 2 - 1)')

quickstart: .venv/for-use
	$(BIN)/soundings run sweeps/quickstart.yaml

test: lint quick-tests slow-tests

quick: lint quick-tests

quick-tests: setup
	$(BIN)/pytest -n logical --dist loadfile -m "not slow"

slow-tests: setup
	$(BIN)/pytest -n $(SLOW_AT_ONCE) --dist loadfile -m slow

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: .venv/for-development

.venv/for-development: .venv/for-use
	@echo "Installing what the tests need into .venv (once; takes a minute)"
	$(INSTALL) -e '.[dev]'
	@touch $@

.venv/for-use: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Soundings needs Python 3.11 or newer: install it, or name it with 'make PYTHON=/path/to/python3'"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "$(PYTHON) comes without venv: install it (Debian and Ubuntu: apt install python3-venv)"; exit 2; }
	@echo "Setting up .venv (once; takes a minute or two)"
	$(PYTHON) -m venv .venv
	$(INSTALL) --no-compile -e .
	@# pip would compile on one core. A few files that packages carry are for other versions of Python.
	@$(BIN)/python -m compileall -q -j 0 .venv/lib > /dev/null 2>&1 || true
	@touch $@

clean:
	rm -rf .venv *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
