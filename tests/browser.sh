#!/usr/bin/env bash
# Install a browser to look at pages with, Debian's chromium: bash tests/browser.sh [--check]
# Exit code 3: it cannot be had here, and what was printed says why; --check looks no further.
set -uo pipefail
say() { echo "tests/browser.sh: $*" >&2; }

command -v chromium >/dev/null && exit 0
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    say "there is no chromium, and only root can install one with apt-get"
    exit 3
fi
[[ ${1:-} == --check ]] && exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || say "apt-get update failed; trying with the lists there are"
apt-get install -y -qq --no-install-recommends chromium >/dev/null || {
    say "apt-get could not install chromium (see above)"
    exit 1
}
