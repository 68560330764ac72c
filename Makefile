# Every target installs what it needs into .venv: CPython 3.11 or newer, a C compiler and a package index are enough.

.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= $(shell for p in python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

LISTEN ?= 127.0.0.1:4117
DEV_ROOT_TOKEN ?= root
TEST_WORKERS ?= 2
PYTEST_ARGS ?=
BENCH_ARGS ?=
MIGRATE_ARGS ?=

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | column -t -s '|'

# --- installing: one stamp per set of dependencies ---------------------------------------------------------------------

.venv/.created:
	@test -n "$(PYTHON)" || { echo "CPython 3.11 or newer is needed, as python3.11 or python3"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.build: .venv/.created requirements/build.txt
	$(PIP) install --require-hashes -r requirements/build.txt
	@touch $@

.venv/.runtime: .venv/.build requirements/runtime.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.venv/.dev: .venv/.runtime requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

.venv/.bench: .venv/.dev requirements/bench.txt
	$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@

.PHONY: install dev
install: .venv/.runtime  ## install the service into .venv
dev: .venv/.dev  ## install the service and every development tool (also the bao CLI) into .venv

# --- running -----------------------------------------------------------------------------------------------------------

.PHONY: run
run: .venv/.runtime  ## serve a throw-away development vault on http://127.0.0.1:4117
	@echo "In another terminal:  export VAULT_ADDR=http://$(LISTEN) VAULT_TOKEN=$(DEV_ROOT_TOKEN)"
	@echo "                      $(BIN)/health-vault kv put secret/hello who=world"
	@exec $(BIN)/health-vault server -dev -dev-listen-address=$(LISTEN) -dev-root-token-id=$(DEV_ROOT_TOKEN)

.PHONY: docker-dev
docker-dev:  ## serve from containers: PostgreSQL and the service
	docker compose up --build --detach
	@echo "The service listens on http://127.0.0.1:4117; docker compose logs vault shows it starting."

.PHONY: db-migrate db-reset
db-migrate: .venv/.runtime  ## bring the database's schema up to date
	$(BIN)/health-vault operator migrate $(MIGRATE_ARGS)
db-reset: .venv/.runtime  ## delete everything in the database and migrate it again (asks first; MIGRATE_ARGS=--yes does not)
	$(BIN)/health-vault operator migrate --reset $(MIGRATE_ARGS)

# --- checking ----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: .venv/.dev  ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

.PHONY: format
format: .venv/.dev  ## let ruff fix and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: sql-check
sql-check: .venv/.dev  ## prepare every SQL statement against the migrated schema and compare types
	$(BIN)/python -m vault.storage.sqlcheck

.PHONY: test test-backend
test: .venv/.dev  ## the whole test suite
	$(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile $(PYTEST_ARGS)
test-backend: test  ## the same as test

.PHONY: check
check: lint sql-check test  ## everything that must pass before a merge

# --- measuring, building, maintaining ----------------------------------------------------------------------------------

.PHONY: bench bench-quick wrk
wrk:
	@command -v wrk > /dev/null || { test "$$(id -u)" = 0 && apt-get install --yes wrk; } \
		|| { echo "the load client wrk is missing: install it, on Debian with apt-get install wrk"; exit 1; }
bench: .venv/.bench wrk  ## compare our speed with the real bao: table, JSON and plot in benchmarks/results
	$(BIN)/python -m benchmarks $(BENCH_ARGS)
bench-quick: .venv/.bench wrk  ## the same with short rounds, to see that it works
	$(BIN)/python -m benchmarks --quick $(BENCH_ARGS)

.PHONY: build-backend
build-backend: .venv/.build  ## build the wheel into dist/
	$(PIP) wheel --no-deps --no-build-isolation --no-index --wheel-dir dist .

LOCK := $(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet
LOCK_UPGRADE ?=

.PHONY: lock
lock: .venv/.dev  ## write requirements/*.txt anew (LOCK_UPGRADE=--upgrade takes newer releases)
	$(LOCK) pyproject.toml $(LOCK_UPGRADE) --group build --extra dev --extra bench --output-file requirements/bench.txt
	$(LOCK) pyproject.toml --extra dev --constraint requirements/bench.txt --output-file requirements/dev.txt
	$(LOCK) pyproject.toml --constraint requirements/bench.txt --output-file requirements/runtime.txt
	$(LOCK) --group build --constraint requirements/bench.txt --output-file requirements/build.txt

.PHONY: clean
clean:  ## remove .venv, caches and build output; data/ stays
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
