#!/usr/bin/env bash
# Train the networks of the current profile, several at once; then `dvc repro` has only the rest to do (docs/scaling.md):
#   scripts/train_grid.sh [HOW_MANY_AT_ONCE]
set -euo pipefail

fail() { echo "train_grid.sh: $*" >&2; exit 1; }

jobs=${1:-$(python -m magan_core grid --jobs)}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail "'$jobs' is no number of trainings to run at once. Say JOBS=2, or JOBS=1 for one after the other."
[ "$jobs" -gt 1 ] || exit 0
profile=$(python -m magan_core profile --current)
stages=$(python -m magan_core grid "$profile" | sed -n '/^train/p')
[ -n "$stages" ] || exit 0
python -m dvc repro "prepare@$profile"
# A line a worker. DVC fails with 255, at which xargs would start nothing more.
awk -v jobs="$jobs" '{line[NR % jobs] = line[NR % jobs] " " $0} END {for (one in line) print line[one]}' <<< "$stages" \
  | xargs -P "$jobs" -L 1 sh -c 'python -m dvc --wait-for-lock repro --single-item --keep-going "$@" || exit 1' sh
