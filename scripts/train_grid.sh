#!/usr/bin/env bash
# Train the networks of the current profile, several at once; then `dvc repro` has only the rest to do (docs/scaling.md):
#   scripts/train_grid.sh [HOW_MANY_AT_ONCE]
set -euo pipefail

fail() { echo "train_grid.sh: $*" >&2; exit 1; }

jobs=${1:-$(python -m magan_core grid --jobs)}
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail "'$jobs' is no number of trainings to run at once. Say JOBS=2, or JOBS=1 for one after the other."
[ "$jobs" -gt 1 ] || exit 0
profile=$(python -m magan_core profile --current)
trainings=$(python -m magan_core grid "$profile" | sed -n '/^train/p')
[ -n "$trainings" ] || exit 0
python -m dvc repro "prepare@$profile"
found=$(python -m dvc status --json)  # of all stages at once: every stage that is asked for by name takes two seconds more
stages=()
for training in $trainings; do
  case $found in *"\"$training\":"*) stages+=("$training") ;; esac
done
[ ${#stages[@]} -gt 0 ] || exit 0

set -m  # each worker is a process group, so that all of it can be stopped
workers=()
stop() { stopped=1; for worker in "${workers[@]}"; do kill -TERM -- "-$worker" 2>/dev/null || true; done; }
trap stop INT TERM HUP
for ((first = 0; first < jobs && first < ${#stages[@]}; first++)); do
  mine=()
  for ((index = first; index < ${#stages[@]}; index += jobs)); do mine+=("${stages[index]}"); done
  python -m dvc --wait-for-lock repro --single-item "${mine[@]}" < /dev/null &
  workers+=($!)
done
failed=
for worker in "${workers[@]}"; do
  until wait "$worker"; do
    kill -0 "$worker" 2>/dev/null || { failed=1; break; }  # else a signal ended `wait`, or the worker sleeps
    sleep 0.2
  done
done
[ -z "${stopped-}" ] || fail "stopped; trainings that had begun are saved, and \`make repro\` goes on from there."
[ -z "$failed" ] || fail "a training failed. \`make repro JOBS=1\` ends with the reason."
