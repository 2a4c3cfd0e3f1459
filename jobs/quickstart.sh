#!/usr/bin/env bash
# Set up whatever is missing, and train on the data that the package carries, on 8 ranks:
#     bash jobs/quickstart.sh
# Needs Python 3.11 or newer, and nothing else: the packages and an MPI (MPICH) go to .venv/ in this
# checkout. Run again, it only trains. Words after it go to the program, in place of the main job:
#     bash jobs/quickstart.sh train jobs/flights_sgd.toml
# RANKS=4 changes the number of ranks.
#
# With an MPI of your own (a cluster's module, conda), build mpi4py against it instead:
#     pip install --no-binary mpi4py .[csv] && mpirun -n 8 python -m mpi_gd
# and, to use that Python in this script: MPI_GD_PYTHON=$(which python) bash jobs/quickstart.sh
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ranks=${RANKS:-8}
# One thread a rank: the ranks share the cores. Before NumPy is loaded.
export OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

if [[ -n ${MPI_GD_PYTHON:-} ]]; then
    python=$MPI_GD_PYTHON
    "$python" -c 'import mpi4py, numpy' || {
        echo "quickstart: MPI_GD_PYTHON is $python, which has no mpi4py and NumPy;" \
            "with your MPI loaded: $python -m pip install --no-binary mpi4py .[csv]" >&2
        exit 1
    }
    mpirun=$(command -v mpirun) || {
        echo "quickstart: no mpirun on PATH; load your MPI, or unset MPI_GD_PYTHON" >&2
        exit 1
    }
else
    bash jobs/setup.sh "$PWD/.venv" mpich,csv
    python=$PWD/.venv/bin/python mpirun=$PWD/.venv/bin/mpirun
    if command -v mpicc >/dev/null; then
        echo "quickstart: you have an MPI, $(command -v mpicc); this run uses the one in .venv/." \
            "To use yours, see the first lines of jobs/quickstart.sh." >&2
    fi
fi

if [[ $# -eq 0 ]]; then
    # --force: a second run replaces the first one's folder.
    set -- train mpi_gd/embedded/flights.toml --out runs/flights --force
else
    # Paths on the command line are the caller's; the checkout is installed, so any folder will do.
    cd "$here"
fi
flags=()
if "$mpirun" --version 2>&1 | grep -qi 'open.\?mpi\|prte'; then
    # More ranks than cores is what Open MPI refuses, and so is root.
    flags=(--oversubscribe --bind-to none)
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
echo "quickstart: mpirun -n $ranks python -m mpi_gd $*" >&2
exec "$mpirun" "${flags[@]}" -n "$ranks" "$python" -m mpi_gd "$@"
