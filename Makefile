# Needs only Python >= 3.11 and make. Everything is installed into .venv, from lock files with hashes; nothing is
# fetched again until a lock file or pyproject.toml changes.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements-build.lock requirements.lock
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# Where a machine forbids it, each of the many commands that the tests start would compile the whole package again.
export PYTHONDONTWRITEBYTECODE :=

# A pyenv shim may answer to a name and then refuse to run, so each candidate is tried, not only looked up.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install

.PHONY: help demo test test-long conformance kill-campaign bench bench-rows bench-million oracle lint lock clean

help:
	@echo "make demo       convert every fixture into out/ and print what became of each message"
	@echo "make test       format, lint, types, import contracts and tests"
	@echo "make test-long  the tests that make test leaves out as well"
	@echo "make conformance CMD='other-converter {in} {out}'  what any converter does with the fixtures, as a table"
	@echo "make kill-campaign  kill runs of \`batch\` 500 times and compare what they leave with an undisturbed run"
	@echo "make bench      measure stages, chains, workers, growth and the limit into benchmarks/results.md (half an hour)"
	@echo "make bench-rows  only time the stages beside pydifact, jinja2 and fhir.resources, and print them"
	@echo "make bench-million  a run over 1,000,000 letters, into the same report (half an hour)"
	@echo "make oracle     compare the FHIR validator with HL7's official one (Java 17 and Maven)"
	@echo "make lock       resolve the dependencies anew into the lock files"
	@echo "make clean      remove .venv, out/ and caches"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found; name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# Installing the development set also installs the run-time set, so its stamp serves for both.
$(VENV)/.runtime: $(LOCKS) pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes $(addprefix -r ,$(LOCKS))
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.development: requirements-dev.lock $(LOCKS) pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements-build.lock -r requirements-dev.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(VENV)/.runtime $@

demo: $(VENV)/.runtime
	@$(BIN)/python examples/demo.py

lint: $(VENV)/.development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 2 --dist loadgroup

# Half a gigabyte, and Java to run it: the tests of Spark skip, saying so, where it is missing.
$(VENV)/.spark: requirements-spark.lock | $(VENV)/.development
	$(PIP) --require-hashes -r requirements-spark.lock || echo "PySpark cannot be installed here" >&2
	@touch $@

test-long: lint $(VENV)/.spark
	$(BIN)/pytest -n 2 --dist loadgroup -m ""

CMD ?= $(BIN)/medcom-fhir convert {in} -o {out} --sor {table}
conformance: $(VENV)/.development
	@$(BIN)/python -m tests.conformance "$(CMD)" $(if $(ONLY),--only "$(ONLY)") $(if $(JOBS),--jobs $(JOBS))

kill-campaign: $(VENV)/.development
	$(BIN)/python -m tests.batch.kills $(KILLS)

bench: $(VENV)/.development
	$(BIN)/python -m benchmarks.report $(BENCH)

bench-rows: $(VENV)/.development
	$(BIN)/python -m benchmarks $(BENCH)

bench-million: $(VENV)/.development
	$(BIN)/python -m benchmarks.report --only growth --sizes 1000 10000 100000 1000000

oracle: $(VENV)/.development
	$(BIN)/python tests/oracle/oracle.py $(ORACLE)

# uv only resolves; installing stays with pip, which every Python has.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --quiet --upgrade
lock: | $(BIN)/python
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(PIP) uv
	export PATH="$(CURDIR)/$(BIN):$$PATH"; \
	$(COMPILE) --extra dev pyproject.toml -o requirements-dev.lock; \
	$(COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock; \
	$(COMPILE) -c requirements-dev.lock --extra spark pyproject.toml -o requirements-spark.lock; \
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) -c requirements-dev.lock - -o requirements-build.lock

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
