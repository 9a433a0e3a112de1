# make run: the whole system on this machine.  make test: everything that must hold.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

STAGE ?= dev
BACKEND ?= embedded
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
RUN_embedded := devstack
RUN_localstack := devstack.localstack

.PHONY: help run local test unit integration e2e test-localstack test-long lint schema deploy destroy package clean

help:  ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

.venv/.installed: requirements.txt requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "EduFlow needs Python 3.11 or newer; '$(PYTHON)' is not there. Name yours: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "EduFlow needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up .venv (the first time: a minute or so of pip) ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --disable-pip-version-check --no-input -r requirements.txt -r requirements-dev.txt
	@touch $@

run: .venv/.installed  ## serve the API at http://127.0.0.1:8000 (PORT, AWS_PORT), or BACKEND=localstack; Ctrl-C stops it
	@exec $(BIN)/python -m $(or $(RUN_$(BACKEND)),$(error BACKEND is embedded or localstack))

local: .venv/.installed  ## `chalice local` at http://127.0.0.1:8001 (LOCAL_PORT), next to a `make run`
	@exec $(BIN)/python -m devstack.chalice_local

lint: .venv/.installed  ## ruff, mypy, import contracts, cfn-lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/cfn-lint infra/templates/*.yaml

test: .venv/.installed lint  ## lint, then unit, integration and end-to-end tests (WORKERS=2)
	@$(PYTEST) -m "not long"

unit: .venv/.installed  ## the unit tests: less than a minute
	@$(PYTEST) tests/unit -m "not long"

integration: .venv/.installed  ## the services on a local AWS and Valkey
	@$(PYTEST) tests/integration -m "not long"

e2e: .venv/.installed  ## the deployed API, through its URL
	@$(PYTEST) tests/e2e -m "not long"

test-localstack: .venv/.installed  ## deploy to LocalStack without Docker (needs Python 3.13), and run the contract tests there
	@$(BIN)/python -m pytest --backend localstack tests/e2e -m "not long"

test-long: .venv/.installed  ## the long runs: soaks, 200 generated requests an operation (TESTS=… for some)
	@$(BIN)/python -m pytest -m long $(TESTS)

schema: .venv/.installed  ## generate the OpenAPI document
	@$(BIN)/python -m ops.openapi

deploy: .venv/.installed  ## all of a stage: STAGE=dev, prod or localstack; shows what changes first (YES=1 asks nothing)
	@$(BIN)/python -m infra.deploy deploy $(STAGE) $(if $(YES),--yes) $(if $(NEW_RUNTIME),--new-runtime)

destroy: .venv/.installed  ## end a stage; its tables stay (CONFIRM=<stage> asks nothing)
	@$(BIN)/python -m infra.deploy destroy $(STAGE) --confirm "$(CONFIRM)"

package: .venv/.installed  ## the stage's functions as a CloudFormation (SAM) template in build/<stage>/
	@$(BIN)/python -m infra.sam_template $(STAGE) build/$(STAGE)

clean:  ## forget the local data and all that was built
	@$(PYTHON) -c 'import shutil; [shutil.rmtree(p, ignore_errors=True) for p in (".local", ".venv", ".chalice/deployed", ".chalice/deployments", "build", ".mypy_cache", ".ruff_cache", ".pytest_cache")]'
