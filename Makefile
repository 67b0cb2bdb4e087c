# SPDX-License-Identifier: Apache-2.0
# Two commands on a bare machine: "make demo" and "make test". Each step is a small program in scripts/ that does
# nothing when its work is done already.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv setup images images-export assets check test demo demo-down bench docs format lock clean
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
JOB ?= examples/qemu-debian.yaml
TESTS ?=
# Tests of plain code first. Of those with an engine and guests, all that share the farm run in one process.
FAST = tests/unit tests/golden tests/conformance
REAL = tests/integration tests/e2e

help: ## this list
	@echo "lava-exec: each test job in a fresh container of its own"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## run a real job and show its results; JOB=examples/other.yaml runs another
	@scripts/demo $(JOB)

demo-down: ## stop what demo started
	@scripts/demo-down

test: ## all tests, those with an engine and real guests included; TESTS=tests/unit for some
	@scripts/setup test
	@$(MAKE) setup
	@export LAVA_EXEC_REQUIRE_E2E=1; code=0; \
	if [ -n "$(TESTS)" ]; then $(PY) -m pytest $(TESTS); exit; fi; \
	$(PY) -m pytest -q -n auto $(FAST) || code=1; \
	$(PY) -m pytest -v -n auto --dist loadgroup $(REAL) || code=1; \
	exit $$code

check: venv ## lint, format, types, unit tests: under a minute, no engine needed
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@$(PY) -m pytest -q -n auto tests/unit

bench: setup ## measure; prints the table of bench/
	@scripts/setup test
	@$(PY) -m bench

setup: ## install what is missing, start an engine if none answers, build images and assets
	@scripts/setup demo
	@scripts/venv
	@scripts/engine start
	@scripts/images
	@scripts/assets

venv: ## .venv with the pinned, hashed dependencies
	@scripts/venv

images: venv ## the job images lava-exec/dispatcher and lava-exec/qemu
	@scripts/engine start
	@scripts/images

images-export: images ## pack the job images for a host without a network
	@scripts/images-export

assets: venv ## kernels, ramdisks and disks of the guests, from Debian packages
	@scripts/engine start
	@scripts/assets

docs: venv ## write docs/reference again from the program
	@$(PY) -m executor.cli.reference docs/reference

format: venv ## mend what ruff can mend
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

lock: venv ## write the lock files again after changing dependencies in pyproject.toml
	@scripts/lock

clean: ## remove all that was built: images, assets, the demo's jobs, .venv
	@scripts/clean
