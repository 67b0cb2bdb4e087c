# SPDX-License-Identifier: Apache-2.0
# Two commands on a bare machine: "make demo" and "make test". Each step is a small program in scripts/.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help venv setup check test demo demo-down bench images images-export assets lock format clean
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
JOB ?= examples/qemu-debian.yaml

help: ## this list
	@echo "lava-exec: each test job in a fresh container of its own"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: ## .venv with the pinned, hashed dependencies
	@scripts/venv

check: venv ## lint, format, types, unit tests: under a minute, no engine needed
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/mypy
	@$(PY) -m pytest -q tests/unit

format: venv ## mend what ruff can mend
	@.venv/bin/ruff check --fix
	@.venv/bin/ruff format

lock: venv ## write the lock files again after changing dependencies in pyproject.toml
	@scripts/lock
