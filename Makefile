# `make demo` and `make test` do everything from a fresh clone with Python >= 3.11 and make.

VENV ?= .venv
BIN := $(VENV)/bin
WHEEL_VENV := $(VENV)-wheel
STAMP := $(VENV)/.installed
SHELL := /bin/sh

.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit wheel-test test-all bench docs generate format clean

help: ## show this
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

$(STAMP): pyproject.toml scripts/venv.sh scripts/redis_server.sh
	@scripts/venv.sh $(VENV) --editable '.[all,bench]' --group test --group lint --group docs --group examples
	@touch $@

$(VENV)-demo/.installed: pyproject.toml scripts/venv.sh scripts/redis_server.sh
	@scripts/venv.sh $(VENV)-demo --editable '.[all]'
	@touch $@

demo: $(VENV)-demo/.installed ## the main job on the emulator, then a fleet that shares tokens; tables (under a minute)
	@$(VENV)-demo/bin/python -m examples.demo

test: lint types unit wheel-test ## lint, types, all tests with coverage, and the suite against the built wheel

lint: $(STAMP) ## ruff, and the generated code against the contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@if [ -d ../shared/contract ]; then $(BIN)/python -m codegen --check; else echo "codegen --check: left out, the contract is not here"; fi

types: $(STAMP) ## mypy --strict and pyright strict
	$(BIN)/mypy
	$(BIN)/pyright

unit: $(STAMP) ## all tests, with branch coverage
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -q -n 2
	$(BIN)/coverage combine --quiet
	$(BIN)/python scripts/coverage_bars.py

wheel-test: $(STAMP) ## the suite against the built wheel, outside the checkout, on the lowest dependencies
	@scripts/wheel_test.sh $(BIN)/python $(WHEEL_VENV)

test-all: ## `make test` on every supported Python that is installed
	@set -e; for python in $$(scripts/python.sh --all); do \
		echo "== $$($$python --version)"; \
		$(MAKE) test PYTHON=$$python VENV=.venv-$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	done

bench: $(STAMP) ## the figures of the README, beside the peers: under 15 minutes; QUICK=1: under two, to see that it runs
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

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
