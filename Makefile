# make quickstart    set up, then run sweeps/quickstart.yaml and print its tables
# make test          set up, then check style and types and run all tests
# Both install into .venv once; a change of pyproject.toml or constraints.txt installs again.

.PHONY: quickstart test setup clean
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

quickstart: setup
	$(BIN)/soundings run sweeps/quickstart.yaml

test: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n logical --dist loadfile -m "not slow"
	$(BIN)/pytest -n logical --dist loadfile -m slow

setup: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Soundings needs Python 3.11 or newer: install it, or name it with 'make PYTHON=/path/to/python3'"; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' || { echo "$(PYTHON) comes without venv: install it (Debian and Ubuntu: apt install python3-venv)"; exit 2; }
	@echo "Setting up .venv (once; takes a minute or two)"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
