#!/usr/bin/env bash
# Make a virtual environment with this checkout in it, and whatever the extras name:
#     bash jobs/setup.sh FOLDER EXTRAS        as in: bash jobs/setup.sh .venv mpich,csv
# PYTHON names the Python to take. Does nothing when FOLDER is up to date. Installed "editable": a
# change of the code is at once in force.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=${1:?usage: bash jobs/setup.sh FOLDER EXTRAS} extras=${2:?usage: bash jobs/setup.sh FOLDER EXTRAS}

say() { echo "setup: $*" >&2; }
fail() { say "$*"; exit 1; }

# The first Python that is new enough.
find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
    fail "no Python 3.11 or newer among: ${PYTHON:-python3 python3.11 to python3.14};" \
        "install one (Debian, Ubuntu: apt-get install python3), or name it: PYTHON=/path/to/python3"
}

# Debian keeps what a virtual environment needs in a package of its own.
install_venv_package() {
    command -v apt-get >/dev/null || return 1
    local as_root=()
    if [[ $EUID -ne 0 ]]; then
        sudo -n true 2>/dev/null || return 1
        as_root=(sudo -n)
    fi
    local package
    package=$("$1" -c 'import sys; print("python{}.{}-venv".format(*sys.version_info))')
    say "installing Debian's $package"
    export DEBIAN_FRONTEND=noninteractive
    "${as_root[@]}" apt-get update -qq >&2 || true
    "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$package" >&2
}

make_environment() {
    local python=$1
    if "$python" -c 'import ensurepip, venv' 2>/dev/null || { install_venv_package "$python" &&
        "$python" -c 'import ensurepip, venv' 2>/dev/null; }; then
        "$python" -m venv --clear "$folder"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv -q --clear "$folder"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        # Without ensurepip the environment has no pip, but the one outside can install into it.
        "$python" -m venv --clear --without-pip "$folder"
        "$python" -m pip --python "$folder/bin/python" install -q pip
    else
        fail "$python cannot make a virtual environment: the module ensurepip is missing;" \
            "run: apt-get install python3-venv (as root), then this script again"
    fi
}

mkdir -p "$(dirname "$folder")"
# It is up to date if it was finished by these very files, for these extras, at this place.
want="$extras $root $(cat "$root/pyproject.toml" "$root/jobs/setup.sh" | cksum)"
stamp=$folder/.mpi_gd-setup
if [[ -f $stamp && $(<"$stamp") == "$want" ]] && "$folder/bin/python" -c 'import numpy' 2>/dev/null; then
    exit 0
fi
python=$(find_python)
say "making $folder with $("$python" --version) ($python)"
# Never clear a folder that is no virtual environment.
if [[ -e $folder && ! -f $folder/pyvenv.cfg && -n $(ls -A "$folder" 2>/dev/null) ]]; then
    fail "$folder is there and is no virtual environment; move it away"
fi
make_environment "$python"
say "installing mpi_gd[$extras]"
"$folder/bin/python" -m pip install -q --disable-pip-version-check -e "$root[$extras]"
echo "$want" >"$stamp"
