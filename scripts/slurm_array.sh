#!/usr/bin/env bash
#SBATCH --job-name=magan
# One task of the array = one line of `magan grid PROFILE`; from the repository's root (docs/scaling.md):
#   sbatch --array=0-25 --gpus=1 scripts/slurm_array.sh cuhk
# Each task works in a clone of its own and keeps its outcome in the root's DVC cache, where `dvc repro` finds it.
set -euo pipefail

fail() { echo "slurm_array.sh: $*" >&2; exit 1; }

profile=${1:?"name a profile: sbatch --array=0-N scripts/slurm_array.sh PROFILE"}
index=${SLURM_ARRAY_TASK_ID:?"is not set: submit with sbatch --array=0-N"}
root=$(pwd -P)
export PATH="$root/.venv/bin:$PATH" DVC_NO_ANALYTICS=1 GOMP_SPINCOUNT=0
[ -f dvc.yaml ] || fail "$root holds no dvc.yaml. Submit from the repository's root."
git diff --quiet -I '^profile: ' HEAD -- . ':!dvc.lock' ':!results' || fail "$root has changes that are not in Git, which a clone would lack. Commit them."
stages=$(python -m magan_core grid "$profile")
stage=$(sed -n "$((index + 1))p" <<< "$stages")
[ -n "$stage" ] || fail "there is no run $index: the array is 0-$(($(wc -l <<< "$stages") - 1))."

clone="$root/.dvc/tmp/grid/$stage"  # stays when the task is killed: submitted again, the training goes on
rm -rf "$clone.begun" "$clone.ended"
if ! [ -d "$clone" ]; then
  git clone --quiet --shared --no-checkout "$root" "$clone.begun"
  mv "$clone.begun" "$clone"
fi
cd "$clone"
export GIT_CEILING_DIRECTORIES="$root/.dvc/tmp/grid"  # a damaged clone must not stand for the repository around it
git rev-parse --quiet --git-dir > /dev/null 2>&1 || fail "$clone is no Git repository. Remove it, and submit again."
rm -f .git/index.lock  # of a task that was killed within the next line
git checkout --quiet --force --detach "$(git -C "$root" rev-parse HEAD)"
python -m dvc config --quiet --local cache.dir "$(cd "$root" && python -m dvc cache dir)"
python -m magan_core profile "$profile"
python -c 'from magan_core import params; print(*params.load()["folders"].values(), sep="\n")' | while read -r folder; do
  folder=${folder%/}
  if [[ $folder != /* && /$folder/ != */../* ]] && [ -d "$root/$folder" ] && [ -z "$(git ls-files -- "$folder")" ]; then
    rm -rf "$folder"
    mkdir -p "$(dirname "$folder")"
    ln -s "$root/$folder" "$folder"
  fi
done
python -m dvc repro "$stage"
cd "$root"
mv "$clone" "$clone.ended"
rm -rf "$clone.ended"
