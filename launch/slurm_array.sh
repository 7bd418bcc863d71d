#!/usr/bin/env bash
# One study over a SLURM cluster: every task of the array takes its shard of the trials, all into one folder.
#
#     source .venv/bin/activate               SLURM takes the environment along
#     sbatch launch/slurm_array.sh            from the top folder of the checkout
#
#SBATCH --job-name=segjax
#
# Three lines to edit:
# 1. How many tasks. Counting starts at 0; %N at the end (0-31%8) lets only N run at a time.
#SBATCH --array=0-7
# 2. What one task gets. For a GPU each, add --gres=gpu:1. A task that is ended before it is done loses only the epochs
#    since its last checkpoint; the same sbatch command goes on from there.
#SBATCH --cpus-per-task=4 --mem=16G --time=24:00:00
# 3. The study and its options. --out must lie on a disk that all nodes share and that supports file locks.
COMMAND=(python -m experiments.annotation_errors --scale paper --out runs/paper)

set -euo pipefail
# exec: the signal that SLURM sends before it ends a task reaches the study itself
exec "${COMMAND[@]}" --shard "$((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT"
