# The whole list of commands; CI calls the same ones. Everything is installed into .venv, nothing outside it.
# Needs: make, python3 (3.11 or newer). Extra options for pip: make test PIP_OPTIONS='--quiet'
# Parts of the benchmark: make bench BENCH_OPTIONS='--only sampling,step'
.NOTPARALLEL:
.DELETE_ON_ERROR:

PYTHON ?= python3
RUN ?= runs/largest-number
PIP_OPTIONS ?= --quiet
PYTEST_OPTIONS ?= -n 2
BENCH_OPTIONS ?=

BIN := .venv/bin
# Wheels only. `tasks` and `test` bring in reasoning-gym, three of whose dependencies exist as source alone.
WHEELS := --only-binary :all:
SOURCE_TOO := --no-binary cellpylib,pycosat,zss
INSTALL := $(BIN)/pip install $(PIP_OPTIONS) --disable-pip-version-check -c constraints.txt $(WHEELS)
STAMP := .venv/.installed
# One thread a test process: two processes with a thread pool each would fight over the cores.
ONE_THREAD := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: help demo test test-unit parity lint types docs bench claims mutation clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

demo: $(STAMP)-train  ## train the embedded 135M model on `largest-number`, report, verify
	$(BIN)/sibling models get embedded
	$(BIN)/sibling train recipes/largest-number.yaml run_dir=$(RUN)
	$(BIN)/sibling report $(RUN)
	$(BIN)/sibling verify $(RUN)
	@echo "The report is $(RUN)/report.html; the trained model is $(RUN)/model/"

test: $(STAMP)-test  ## every test, the slow ones with real models too
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST_OPTIONS)

test-unit: $(STAMP)-test  ## the quick tests
	$(ONE_THREAD) $(BIN)/python -m pytest $(PYTEST_OPTIONS) -m 'not slow'

parity: $(STAMP)-parity  ## losses and gradients against TRL's own code
	$(ONE_THREAD) $(BIN)/python -m pytest -m parity tests/parity

lint: $(STAMP)-dev  ## ruff, formatting, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)-dev  ## mypy, strict
	$(BIN)/mypy

docs: $(STAMP)-docs  ## the pages under docs/, warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(STAMP)-train  ## speed and memory against TRL, vLLM and transformers, write benchmarks/RESULTS.md (over an hour)
	$(BIN)/python benchmarks/speed/run.py $(BENCH_OPTIONS)

claims: $(STAMP)-train  ## measure again what papers claim, write docs/claims.md
	$(ONE_THREAD) $(BIN)/python benchmarks/claims/run.py

mutation: $(STAMP)-test  ## change the maths one thing at a time and ask the tests, write docs/mutation.md
	$(BIN)/python benchmarks/mutation/run.py

clean:  ## remove the virtual environment, built pages and caches; runs/ is kept
	rm -rf .venv docs/_build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	$(PYTHON) -m venv .venv

$(STAMP)-train: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) -e '.[train]'
	@touch $@

$(STAMP)-test: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) $(SOURCE_TOO) -e '.[train,tasks,trackers,verifiers,opinions,test]'
	@touch $@ $(STAMP)-train

$(STAMP)-parity: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) $(SOURCE_TOO) -e '.[train,tasks,trackers,verifiers,opinions,test,parity]'
	@touch $@ $(STAMP)-test $(STAMP)-train

$(STAMP)-dev: $(STAMP)-test
	$(INSTALL) -e '.[dev]'
	@touch $@

$(STAMP)-docs: pyproject.toml constraints.txt | .venv/bin/pip
	$(INSTALL) -e '.[docs]'
	@touch $@
