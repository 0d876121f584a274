#!/usr/bin/env bash
# Train the model that comes with the project again, and score it (docs/model-card.md): make released-model.
# What a stopped call has trained is kept; the same call goes on from there.
#   scripts/released_model.sh [LABELLERS]
# The masks of SZU-BD's unlabelled half are drawn by what has been trained so far alone; with LABELLERS=2 together with
# MA-GANet of profile cuhk, which needs a GPU (docs/experiments.md 15 and 16).
set -euo pipefail

fail() { echo "released_model.sh: $*" >&2; exit 1; }

labellers=${1:-1}
[[ $labellers =~ ^[12]$ ]] || fail "'$labellers' is no number of labellers. Say LABELLERS=1, or LABELLERS=2."
second=results/cuhk/runs/magan-zhao/model.safetensors
if [ "$labellers" = 2 ] && ! [ -e $second ] && ! python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
  fail "no GPU here, and MA-GANet of profile cuhk would take days without one. Say LABELLERS=1 to do without it, or put" \
    "its weights at $second."
fi
raw=$(python -c 'from magan_core import params, paths; print(paths.raw(params.load()["folders"]["data"]) / "szu-bd")')
[ -d "$raw/images" ] || fail "no photographs in $raw; fetch them: magan data fetch cuhk szu-bd"

before=$(python -m magan_core profile --current)
trap 'python -m magan_core profile "$before" > /dev/null' EXIT

train() {
  python -m magan_core profile "$1" > /dev/null
  scripts/train_grid.sh
  stages=$(python -m magan_core grid "$1" | sed -n '/^train/p')
  python -m dvc repro $stages
}

pack() { python -m magan_core pack "$@"; }

train released
pack results/released/runs/manet-zhao/model.safetensors --out build/released-start.safetensors
train released-same
train released-wide
pack build/released-start.safetensors \
  results/released-same/runs/manet-zhao-s{2,4}/model.safetensors \
  results/released-wide/runs/manet-zhao-s{3,5}/model.safetensors --out build/released-mean.safetensors
train released-further
train released-mixed
pack build/released-mean.safetensors \
  results/released-further/runs/manet-zhao-s{2,3}/model.safetensors \
  results/released-mixed/runs/manet-zhao-s{4,5}/model.safetensors --out build/released-further.safetensors
models=(--model build/released-further.safetensors)
if [ "$labellers" = 2 ]; then
  if ! [ -e $second ]; then
    python -m magan_core profile cuhk > /dev/null
    python -m dvc repro train@cuhk-magan-zhao
  fi
  models+=(--model $second)
fi
python -m magan_core predict "$raw/images" --out build/pseudo "${models[@]}"
train released-pseudo
train released-defocus
pack build/released-further.safetensors \
  results/released-pseudo/runs/manet-zhao-s{2,3}/model.safetensors \
  results/released-defocus/runs/manet-zhao-s{4,5}/model.safetensors --out magan_core/released/model.safetensors
PYTHONPATH=. python scripts/score_model.py results/released/mean.json magan_core/released/model.safetensors \
  --runs results/released{,-same,-wide,-further,-mixed,-pseudo,-defocus}/runs
