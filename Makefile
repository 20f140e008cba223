# `make demo` and `make test` do everything from a fresh clone with Python >= 3.11 and make.

VENV ?= .venv
BIN := $(VENV)/bin
WHEEL_VENV := $(VENV)-wheel
STAMP := $(VENV)/.installed
WHEEL_STAMP := $(WHEEL_VENV)/.installed
SHELL := /bin/sh
# Two at a time, for what keeps one core busy; the output of each in one piece, where make can.
BOTH := $(MAKE) --no-print-directory -j2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types mypy pyright unit wheel-test test-all bench docs generate format clean

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

$(STAMP): pyproject.toml scripts/venv.sh scripts/redis_server.sh
	@scripts/venv.sh $(VENV) --editable '.[all,bench]' --group test --group lint --group docs --group examples
	@touch $@

$(VENV)-demo/.installed: pyproject.toml scripts/venv.sh scripts/redis_server.sh
	@scripts/venv.sh $(VENV)-demo --editable '.[all]'
	@touch $@

$(WHEEL_STAMP): pyproject.toml constraints-lowest.txt scripts/venv.sh scripts/redis_server.sh
	@scripts/venv.sh $(WHEEL_VENV) '.[all]' --group test --constraint constraints-lowest.txt
	@touch $@

demo: $(VENV)-demo/.installed ## the main job on the emulator, then a fleet that shares tokens; tables (under a minute)
	@$(VENV)-demo/bin/python -m examples.demo

test: ## lint, types, all tests with coverage, and the suite against the built wheel
	@$(BOTH) $(STAMP) $(WHEEL_STAMP)
	@$(BOTH) lint mypy pyright
	@$(MAKE) --no-print-directory unit
	@$(MAKE) --no-print-directory wheel-test

lint: $(STAMP) ## ruff, and the generated code against the contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if [ -d ../shared/contract ]; then $(BIN)/python -m codegen --check; else echo "codegen --check: left out, the contract is not here"; fi

types: $(STAMP) ## mypy --strict and pyright strict
	@$(BOTH) mypy pyright

mypy: $(STAMP)
	$(BIN)/mypy

pyright: $(STAMP)
	$(BIN)/pyright

unit: $(STAMP) ## all tests, with branch coverage
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q -n 2 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/python scripts/coverage_bars.py

wheel-test: $(STAMP) $(WHEEL_STAMP) ## the suite against the built wheel, outside the checkout, on the lowest dependencies
	@scripts/wheel_test.sh $(BIN)/python $(WHEEL_VENV)

test-all: ## `make test` on every supported Python that is installed
	@set -e; for python in $$(scripts/python.sh --all); do \
		echo "== $$($$python --version)"; \
		$(MAKE) test PYTHON=$$python VENV=.venv-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	done

bench: $(STAMP) ## the figures of the README, beside the peers: under 15 minutes; QUICK=1: under two, to see that it runs
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)
	$(if $(QUICK),,$(BIN)/python -m benchmarks.figures)

generate: $(STAMP) ## write api/, models/, types/ and the emulator's tables anew from the contract
	$(BIN)/python -m codegen
	$(BIN)/python -m codegen.docs

docs: $(STAMP) ## the site, into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

format: $(STAMP) ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what the other targets made
	rm -rf $(VENV) $(VENV)-demo $(WHEEL_VENV) .venv-3.* build dist .coverage .coverage.* .mypy_cache .ruff_cache .hypothesis

export PYTHON
# Without bytecode on disk each of the hundreds of programs that tests start would compile the library anew.
unexport PYTHONDONTWRITEBYTECODE
