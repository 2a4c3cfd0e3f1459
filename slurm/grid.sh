#!/usr/bin/env bash
# Submit slurm/grid.sbatch, and a small job that runs when all of the array have ended: it writes
# OUT/grid.csv, a line a run, the best first. Options go to the array alone; what your site wants of
# every job, to both:
#     SITE="--partition=... --account=..." bash slurm/grid.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHON=${PYTHON:-.venv/bin/python} OUT=${OUT:-runs/grid}
array=$(sbatch --parsable ${SITE:-} "$@" slurm/grid.sbatch)
# afterany: a run that failed is in the table too, as one without a result.
collect=$(sbatch --parsable ${SITE:-} --dependency="afterany:${array%%;*}" --ntasks=1 --time=10 \
    --job-name=mpi_gd-collect --output=slurm-%x-%j.out \
    --wrap 'exec "$PYTHON" -m mpi_gd collect --out "$OUT/grid.csv" "$OUT"/alpha-*')
echo "array ${array%%;*}, then ${collect%%;*}: $OUT/grid.csv"
