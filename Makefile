# make demo: environment, install, build the flagship operator, run it.
# make test: the whole test suite.  make lint: ruff and mypy.  make docs: the documentation as a site.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-fast lint docs environment generated clean
.DEFAULT_GOAL := demo

environment: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $${CXX:-g++} >/dev/null || { echo "no C++ compiler: install one, e.g. apt-get install g++" >&2; exit 3; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: environment
	@$(BIN)/python examples/demo.py

test: environment lint
	$(BIN)/python -m pytest -n auto --dist loadgroup

test-fast: environment
	$(BIN)/python -m pytest -m 'not compiler'

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Into site/, which opens from the disk.
docs: environment
	$(BIN)/python -m mkdocs build --strict --quiet

# Rewrites the sources under generated/ from examples/, and the page of all messages from the sources.
generated: environment
	$(BIN)/python -m pytest -q tests/test_generated.py --rewrite
	$(BIN)/python docs/catalogue.py

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
