# make setup            a virtual environment in .venv with the pinned packages, once; all others do it first
# make repro            every table and figure of the profile in params.yaml (PROFILE=NAME: of another; JOBS=N: N trainings at once)
# make released-model   the model that `magan predict` takes, trained again (two hours; needs CUHK and SZU-BD)
# make test             all tests; make fast-test: without whole pipelines; make check: style and notebooks only
# make lab              the notebooks in JupyterLab
# make hooks            have Git refuse notebooks with outputs
# make clean            remove .venv and build

SHELL := /bin/bash
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export GOMP_SPINCOUNT := 0
export DVC_NO_ANALYTICS := 1

.PHONY: help repro released-model test fast-test check lab hooks clean setup

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

repro: setup
	python -m magan_core profile $(PROFILE)
	scripts/train_grid.sh $(JOBS)
	python -m dvc repro
	@echo "Open results/$$(python -m magan_core profile --current)/report.html"

released-model: setup
	scripts/released_model.sh $(LABELLERS)

# A test file has a process to itself; they begin in the order of tests/conftest.py.
PYTEST := python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test: setup check
	$(PYTEST)

fast-test: setup
	$(PYTEST) -m "not slow"

check: setup
	ruff check .
	ruff format --check .
	python -m magan_core clean-notebooks --check notebooks

lab: setup
	jupyter lab notebooks

# A Git hook that refuses notebooks with outputs, as `make test` does.
hooks: setup
	@hook="$$(git rev-parse --git-path hooks)/pre-commit"; mkdir -p "$${hook%/*}"; \
	line='exec $(VENV)/bin/python -m magan_core clean-notebooks --check notebooks'; \
	if [ -e "$$hook" ] && ! grep -qxF "$$line" "$$hook"; then \
	  echo "$$hook is there already; end it with: $$line" >&2; exit 1; fi; \
	[ -e "$$hook" ] || printf '#!/bin/sh\n%s\n' "$$line" > "$$hook"; chmod +x "$$hook"; \
	echo "$$hook refuses notebooks with outputs"

setup: $(VENV)/.ready

$(VENV)/.ready: requirements.txt pyproject.toml
	@for python in "$(PYTHON)" python3.12 python3.11 python3 python; do \
	  if [ -n "$$python" ] && "$$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then \
	    echo "Setting up .venv with $$python (a few minutes and about 6 GB, once)"; "$$python" -m venv $(VENV); exit $$?; fi; done; \
	echo "Python 3.11 or 3.12 is needed and was not found; name one: make PYTHON=/path/to/python3.12" >&2; exit 1
	python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
