#!/usr/bin/env bash
# Compare fits with those of other programs, on this machine, in one interleaved run:
#     bash tests/benchmarks/compare.sh [--quick] [--rounds 3] [--problems logistic,ridge]
#         [--peers snapml,glum] [--solver logistic=newton] [--out FOLDER]
# The peers go to an environment of their own; one that cannot be installed is reported as such. The
# data take 4 GB in FOLDER/data. A full run takes about a quarter of an hour, on a quiet machine:
# timings beside other work are worth nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
root=$PWD
ours=$root/.venvs/mpich peers=${MPI_GD_PEERS:-$root/.venvs/peers}

say() { echo "compare: $*" >&2; }

bash jobs/setup.sh "$ours" mpich,csv,test
[[ -x $peers/bin/python ]] || "$ours/bin/python" -m venv --clear "$peers"

# One by one: a package that is not there must not keep the others away.
failed=$peers/not-installed
install() {
    "$peers/bin/python" -m pip install -q --disable-pip-version-check "$@" >"$peers/pip.log" 2>&1
}
if [[ ! -f $peers/complete ]]; then
    : >"$failed"
    install numpy scipy matplotlib || { cat "$peers/pip.log" >&2; exit 1; }
    for package in scikit-learn scikit-learn-intelex glum snapml pyspark; do
        say "installing $package"
        more=()
        [[ $package == pyspark ]] && more=(pyarrow setuptools)
        install "$package" "${more[@]}" ||
            echo "$package: $(grep -m1 ERROR "$peers/pip.log" || tail -1 "$peers/pip.log")" >>"$failed"
    done
    touch "$peers/complete"
fi
# Spark needs a Java that only the system can give.
if ! command -v java >/dev/null; then
    say "installing a Java for Spark"
    { [[ $EUID -eq 0 ]] && apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends default-jre-headless; } >&2 ||
        say "no Java: Spark is left out"
fi

exec "$peers/bin/python" -m tests.benchmarks.compare --ours "$ours/bin" --failed "$failed" "$@"
