#!/usr/bin/env bash
# Install a Slurm to test with, its accounting's database too, from Debian's or Ubuntu's packages:
#     bash tests/slurm/install.sh [--check]
# None of it is started or configured: the tests start daemons of their own. Does nothing when all
# is there. Exit code 3: the tests cannot be run here, and what was printed says why; --check looks
# no further than that.
set -uo pipefail

say() { echo "tests/slurm/install.sh: $*" >&2; }

commands=(slurmctld slurmd sbatch slurmdbd mariadbd mariadb-install-db my_print_defaults ip)
packages=(slurmctld slurmd slurm-client libpmix2 slurmdbd slurm-wlm-mysql-plugin
    mariadb-server-core mariadb-client-core iproute2)
# What `srun --mpi=pmix` loads, by a name that only the development package has.
pmix() { compgen -G '/usr/lib/*/pmix2/lib/libpmix.so'"$1" | head -n 1; }
# Debian keeps daemons where only root looks.
PATH=$PATH:/usr/sbin:/sbin

lacking() { for name in "${commands[@]}"; do command -v "$name" >/dev/null || echo "$name"; done; }
is_complete() { [[ -z $(lacking) && -n $(pmix '') ]]; }

if [[ $EUID -ne 0 ]]; then
    say "only root can start Slurm's daemons, and their hosts"
    exit 3
fi
is_complete && exit 0
if ! command -v apt-get >/dev/null; then
    say "$(lacking | paste -sd' ') missing, and there is no apt-get: install your system's" \
        "Slurm with slurmdbd, and MariaDB's server"
    exit 3
fi
[[ ${1:-} == --check ]] && exit 0
export DEBIAN_FRONTEND=noninteractive
say "installing ${packages[*]}"
apt-get update -qq || say "apt-get update failed; trying with the lists there are"
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || {
    say "apt-get could not install them (see above): the Slurm tests cannot run"
    exit 1
}
if [[ -z $(pmix '') && -n $(pmix .2) ]]; then
    ln -s libpmix.so.2 "$(dirname "$(pmix .2)")/libpmix.so"
fi
is_complete && exit 0
say "after the installation still missing: $(lacking | paste -sd' ') $([[ -n $(pmix '') ]] || echo libpmix.so)"
exit 1
