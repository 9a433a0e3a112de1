# make run: serves the whole system on this machine.  make test: runs all checks and tests.
PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

STAGE ?= dev
BACKEND ?= embedded
WORKERS ?= 3
# What `make` installs; requirements-deploy.txt suffices for `make deploy`, `package` and `destroy`.
REQUIREMENTS ?= requirements-dev.txt
RUN_embedded := devstack
RUN_localstack := devstack.localstack
$(if $(RUN_$(BACKEND)),,$(error BACKEND is embedded or localstack))
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
# Branch coverage of what ships, measured in CI. The minimum of all levels together is in pyproject.toml. tests/conftest.py
# records the level, and what has none ran in imports.
COVERAGE := $(if $(CI),--cov --cov-report=term-missing:skip-covered)
UNIT_COVERAGE_PERCENT := 98
# The items of the unit tests are in memory; in CI they are in moto, which is slower and a second implementation.
ITEMS := $(if $(CI),--items moto)
SELECTION := not long$(if $(CI),, and not repeated)
# Of services in integration tests, of functions, of chalice local, and of manage.py. A process that a test kills by
# SIGKILL stores no results.
AWS_COVERAGE_PERCENT := 95

WHEELS_BY_HASH := --require-hashes --only-binary=:all: --no-deps
UV := $(BIN)/uv pip compile --quiet --universal --generate-hashes --custom-compile-command "make lock"

.PHONY: help run local test unit integration e2e coverage-aws test-localstack test-long mutants pr audit lock format lint schema bench deploy destroy package clean

help:  ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# Also after a change of REQUIREMENTS, whose name the file has.
.venv/.installed: requirements.txt requirements-deploy.txt requirements-dev.txt $(if $(filter $(REQUIREMENTS),$(shell cat .venv/.installed 2>/dev/null)),,.FORCE)
	@command -v $(PYTHON) >/dev/null || { echo "EduFlow needs Python 3.11 to 3.14; '$(PYTHON)' was not found. Name yours: make $(or $(MAKECMDGOALS),run) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { echo "EduFlow needs Python 3.11 to 3.14; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make $(or $(MAKECMDGOALS),run) PYTHON=python3.12"; exit 1; }
	@REQUIREMENTS=$(REQUIREMENTS) $(PYTHON) -m devstack.install $(MAKECMDGOALS)
	@echo $(REQUIREMENTS) > $@

.FORCE:

run: .venv/.installed  ## serve the API at http://127.0.0.1:8000 (PORT, AWS_PORT, BACKEND=localstack); Ctrl-C stops it
	@exec $(BIN)/python -m $(RUN_$(BACKEND))

local: .venv/.installed  ## serve `chalice local` at http://127.0.0.1:8001 (LOCAL_PORT), next to a `make run`
	@exec $(BIN)/python -m devstack.chalice_local

format: .venv/.installed  ## format the code and fix lint errors
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lint: .venv/.installed  ## run ruff, mypy, the import contracts and cfn-lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/cfn-lint infra/templates/*.yaml

test: .venv/.installed lint  ## run lint, then unit, integration and end-to-end tests, with WORKERS in parallel
	@$(PYTEST) -m "$(SELECTION)" $(ITEMS) $(COVERAGE)
	@$(if $(CI),echo "Coverage by the unit tests alone:"; $(BIN)/coverage report --contexts='^(unit)?$$' --skip-covered --fail-under=$(UNIT_COVERAGE_PERCENT))

# As many workers as cores, because unit tests never wait, and each on its own.
unit: WORKERS := auto
unit: .venv/.installed  ## run the unit tests, on all cores
	@$(PYTEST) -p tests.pinned_workers tests/unit -m "not long"

integration: .venv/.installed  ## run the integration tests, on a local AWS and Valkey
	@$(PYTEST) tests/integration -m "not long"

e2e: .venv/.installed  ## run the end-to-end tests, through the URL of the deployed API
	@$(PYTEST) tests/e2e -m "not long"

coverage-aws: export FUNCTION_COVERAGE := $(CURDIR)/build/coverage
coverage-aws: export COVERAGE_RCFILE := $(CURDIR)/tests/function_startup/coverage.ini
coverage-aws: .venv/.installed  ## measure the branch coverage by the tests on a local AWS alone: integration and end-to-end
	@rm -rf "$$FUNCTION_COVERAGE" && mkdir -p "$$FUNCTION_COVERAGE"
	@$(PYTEST) tests/integration -m "not long" --cov --cov-report=
	@PYTHONPATH="$(CURDIR)/tests/function_startup" $(PYTEST) tests/e2e -m "not long"
	@$(BIN)/coverage combine --quiet --append && $(BIN)/coverage report --skip-covered --show-missing --fail-under=$(AWS_COVERAGE_PERCENT)

test-localstack: .venv/.installed  ## run the contract tests on LocalStack without Docker (needs Python 3.13)
	@$(BIN)/python -m pytest --backend localstack tests/e2e -m "not long"

test-long: .venv/.installed  ## run the long tests: soaks, 200 generated requests per operation (TESTS=... selects some)
	@$(BIN)/python -m pytest -m long $(TESTS)

.venv/.mutants: .venv/.installed tests/mutation/requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(WHEELS_BY_HASH) -r tests/mutation/requirements.txt
	@touch $@

mutants: .venv/.mutants  ## run the unit tests on mutants of the rules, an hour (SAMPLE=7: a sample)
	@$(BIN)/python -m tests.mutation $(if $(SAMPLE),--sample $(SAMPLE))

pr: test package  ## run what a pull request has to pass; CI checks more

lock: .venv/.installed  ## resolve the requirements of pyproject.toml into the requirements*.txt, with hashes
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(UV) --python-version 3.11 --no-build pyproject.toml -o requirements.txt
	@$(UV) --python-version 3.11 --no-build pyproject.toml --extra deploy -c requirements.txt -o requirements-deploy.txt
	@$(UV) --python-version 3.11 --no-build pyproject.toml --extra deploy --extra dev -c requirements.txt -o requirements-dev.txt
	@$(UV) --python-version 3.11 --no-build tests/mutation/requirements.in -c requirements-dev.txt -o tests/mutation/requirements.txt
	@$(UV) --no-deps --python-version 3.13 devstack/localstack/requirements.in -o devstack/localstack/requirements.txt

bench: .venv/.installed  ## measure CPU times, hit ratios, growth and contention into benchmarks/RESULTS.md, 9 minutes
	@$(BIN)/python -m benchmarks

audit:  ## look up known vulnerabilities of requirements-dev.txt (needs pipx)
	@pipx run pip-audit==2.10.1 --require-hashes --disable-pip -r requirements-dev.txt

schema: .venv/.installed  ## generate the OpenAPI document
	@$(BIN)/python -m ops.openapi

deploy: .venv/.installed  ## deploy a stage: STAGE=dev, prod or localstack; previews the changes (YES=1 does not ask)
	@$(BIN)/python -m infra.deploy deploy $(STAGE) $(if $(YES),--yes) $(if $(NEW_RUNTIME),--new-runtime)

destroy: .venv/.installed  ## delete a stage; its tables stay (CONFIRM=<stage> does not ask)
	@$(BIN)/python -m infra.deploy destroy $(STAGE) --confirm "$(CONFIRM)"

package: .venv/.installed  ## write the stage's functions as a CloudFormation (SAM) template to build/<stage>/
	@AWS_DEFAULT_REGION=$${AWS_DEFAULT_REGION:-us-east-1} $(BIN)/python -m infra.sam_template $(STAGE) build/$(STAGE)

clean:  ## delete the virtual environment, the local data and all build results
	@$(PYTHON) -m devstack.clean
