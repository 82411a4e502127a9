# The first Python that runs, the oldest supported one first.
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.13 python3,$(shell $(p) -c 'import sys; print(sys.executable)' 2>/dev/null)))
VENV ?= .venv
BIN = $(VENV)/bin
UV ?= uv
# Most tests wait for servers, disks and children: a few at once keep two cores busy.
TESTS_AT_ONCE ?= 3
# Fault tests mostly wait for something to die, to lapse or to come back, and say how long it took:
# so they run by themselves.
FAULTS_AT_ONCE ?= 2
SEED ?= 1
MINUTES ?= 2

.DEFAULT_GOAL := help

help:  ## show the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

# A stamp per set of requirements, so that a second call costs nothing.
$(VENV)/.run: requirements/run.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

install: $(VENV)/.dev  ## make .venv with everything: run, test and check

demo: $(VENV)/.run  ## index a backup and PDFs with live progress bars
	$(BIN)/headway demo

test: install  ## the whole suite on SQLite, a real PostgreSQL and a real Valkey
	$(BIN)/python -m pytest -q -m "not fault and not slow and not long" -n $(TESTS_AT_ONCE)
	$(BIN)/python -m pytest -q -m "fault and not slow and not long" -n $(FAULTS_AT_ONCE)

test-long: install  ## the domains' long tests: big inputs, many kills
	$(BIN)/python -m pytest -q -m long -n $(FAULTS_AT_ONCE)

test-faults: install  ## every fault, the slow ones too: workers killed, frozen and restarted
	$(BIN)/python -m pytest -q -m "fault or slow" -n $(FAULTS_AT_ONCE)

chaos: install  ## faults at random under load, then a verdict; SEED=1 MINUTES=2
	$(BIN)/headway chaos --seed $(SEED) --minutes $(MINUTES)

check: install  ## lint, format, types, import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install  ## queue benchmark: drain and pick-up for each engine
	$(BIN)/python -m benchmarks.queue

lock:  ## compile requirements/*.txt again from pyproject.toml (needs uv)
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml requirements/build.in -o requirements/run.txt
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml requirements/build.in -c requirements/run.txt -o requirements/dev.txt

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

.PHONY: help install demo test test-faults test-long chaos check format bench lock clean
