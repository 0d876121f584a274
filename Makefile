# make setup            a virtual environment in .venv with the pinned packages, once; all others do it first
# make repro            every table and figure of the profile in params.yaml (PROFILE=NAME: of another; JOBS=N: N trainings at once)
# make released-model   the model that `magan predict` takes, trained again (hours, and a GPU for minutes)
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
	$(if $(PROFILE),python -m magan_core profile $(PROFILE),python -m magan_core profile)
	scripts/train_grid.sh $(JOBS)
	python -m dvc repro
	@echo "Open results/$$(python -m magan_core profile --current)/report.html"

SZU_BD = $$(python -c 'from magan_core import params, paths; print(paths.raw("szu-bd", params.load()["folders"]["data"]))')/images

# The model that comes with the project, again: needs CUHK, SZU-BD, a GPU for minutes and hours (docs/model-card.md).
released-model: setup
	$(MAKE) repro PROFILE=released
	python -m magan_core pack results/released/runs/manet-zhao/model.safetensors --out build/released-start.safetensors
	$(MAKE) repro PROFILE=released-same
	$(MAKE) repro PROFILE=released-wide
	python -m magan_core pack build/released-start.safetensors \
	  results/released-same/runs/manet-zhao-s{2,4}/model.safetensors \
	  results/released-wide/runs/manet-zhao-s{3,5}/model.safetensors --out build/released-mean.safetensors
	$(MAKE) repro PROFILE=released-further
	$(MAKE) repro PROFILE=released-mixed
	python -m magan_core pack build/released-mean.safetensors \
	  results/released-further/runs/manet-zhao-s{2,3}/model.safetensors \
	  results/released-mixed/runs/manet-zhao-s{4,5}/model.safetensors --out build/released-further.safetensors
	python -m magan_core profile cuhk
	python -m dvc repro train@cuhk-magan-zhao
	python -m magan_core predict "$(SZU_BD)" --out build/pseudo \
	  --model build/released-further.safetensors --model results/cuhk/runs/magan-zhao/model.safetensors
	$(MAKE) repro PROFILE=released-pseudo
	python -m magan_core pack build/released-further.safetensors \
	  results/released-pseudo/runs/manet-zhao-s{2,3}/model.safetensors --out magan_core/released/model.safetensors
	PYTHONPATH=. python scripts/score_model.py results/released/mean.json magan_core/released/model.safetensors \
	  --runs results/released{,-same,-wide,-further,-mixed,-pseudo}/runs

test: setup check
	python -m pytest

fast-test: setup
	python -m pytest -m "not slow"

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
	python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info
