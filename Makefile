# Every target makes what it needs: a machine with Python, make and git is enough.
# `make PYTHON=python3.12 test` chooses the interpreter of a new .venv.

PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

EXTRAS_demo := plot,parquet
EXTRAS_test := test
EXTRAS_lint := dev
EXTRAS_bench := bench

.DEFAULT_GOAL := help
.PHONY: help demo test lint bench bench-history bench-compare bench-table bench-scaling clean

help:  ## show the targets
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.stamp-demo  ## principal components of the embedded sample, report in build/demo
	$(BIN)/mmlfast pca sample:patches -k 16 --report build/demo
	@echo "The report lies in build/demo: open $(CURDIR)/build/demo/index.html"

test: $(VENV)/.stamp-test  ## the whole test suite
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

lint: $(VENV)/.stamp-lint  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

# asv builds what is committed; its exit status 2 says that a figure failed, and the others stand.
bench: $(VENV)/.stamp-bench  ## asv: the quick cases on the current commit, one table
	@git diff --quiet HEAD -- mmlfast || echo "What is not committed of mmlfast/ is not measured."
	$(BIN)/asv machine --yes >/dev/null
	$(BIN)/asv run 'HEAD^!'; status=$$?; $(BIN)/python -m benchmarks.history; exit $$status

# asv draws a curve for each machine, kernel and memory size: where these change from night to night,
# MACHINE=name files all under one name; the processor still tells them apart.
bench-history: $(VENV)/.stamp-bench  ## asv: the last N=5 commits, or RANGE=v1..HEAD; pages in .asv/html
	$(BIN)/asv machine --yes >/dev/null
	$(if $(MACHINE),$(BIN)/asv machine --machine '$(MACHINE)' --os '' --ram '' >/dev/null)
	$(BIN)/asv run $(if $(MACHINE),--machine '$(MACHINE)') --skip-existing-successful '$(or $(RANGE),HEAD --max-count=$(or $(N),5))' || [ $$? -eq 2 ]
	$(BIN)/asv publish
	@echo "The pages lie in .asv/html: $(BIN)/asv preview serves them"

bench-compare: $(VENV)/.stamp-bench  ## is HEAD slower than BASE? the quick cases, both in alternation
	$(BIN)/python -m benchmarks compare '$(or $(BASE),main)' '$(or $(HEAD),HEAD)' --quick

bench-table: $(VENV)/.stamp-bench  ## speed, memory and accuracy beside the rivals, one table
	$(BIN)/python -m benchmarks run --rivals

bench-scaling: $(VENV)/.stamp-bench  ## seconds and peak memory by rows and by columns, in build/scaling
	$(BIN)/python -m benchmarks scaling

clean:  ## remove what was built, .venv included
	rm -rf $(VENV) .asv build dist .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment; the extras add up. A stamp newer than pyproject.toml makes the second run quick.
$(VENV)/.stamp-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "mmlfast needs Python 3.11 or newer, $(PYTHON) is not: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.stamp-demo $(VENV)/.stamp-test $(VENV)/.stamp-lint $(VENV)/.stamp-bench: $(VENV)/.stamp-%: $(VENV)/.stamp-venv pyproject.toml
	$(PIP) install --quiet --editable '.[$(EXTRAS_$*)]'
	touch $@
