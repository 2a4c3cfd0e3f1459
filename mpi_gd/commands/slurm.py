"""Write a Slurm batch script for a job, sized from the headers of its data, and submit it.

It starts no MPI and reads no rows: it is for a login node. `run(options)`, as `collect`.
"""

from __future__ import annotations

import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from mpi_gd.commands.mpirun import mpi_kind, mpirun_words
from mpi_gd.commands.sizing import CORE_SPEED, NODE_SPEED, Sizes, size_up
from mpi_gd.config import Job, parse_job, read_job_text
from mpi_gd.data import open_source
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import LaunchOptions, SlurmOptions
from mpi_gd.report import warn

__all__ = ["run"]

_USUAL_RANKS = 8
_FEW_PASSES, _START_SECONDS = 100, 60.0
_UNITS = {"K": 2**10, "M": 2**20, "": 2**20, "G": 2**30, "T": 2**40}


def run(options: SlurmOptions) -> int:
    """Write the script, and submit it if that is asked for; return the exit code.

    Raises JobError, FileError, DataError for what would stop the job at its start.
    """
    path = Path(options.job)
    job = parse_job(read_job_text(path), str(path), options.overrides)
    cores, room = _smallest_node(options)
    ranks = options.ranks_per_node or max(1, (cores or _USUAL_RANKS) // options.threads)
    sizes = size_up(open_source(job.data, path.parent), options.nodes, ranks)
    megabytes = math.ceil(sizes.node_bytes / 2**20 / 256) * 256
    memory = options.mem or f"{megabytes}M"
    _complain(options, sizes, _bytes_of(memory), room)
    source = "the cores, by sinfo" if cores else "a guess: sinfo tells nothing"
    source = "as asked for" if options.ranks_per_node else source
    script = _script(options, job, path.resolve(), ranks, memory, sizes, source)
    if options.script:
        write_atomically(options.script, script.encode("utf-8"))
    elif not options.submit:
        print(script, end="")
    if options.submit:
        print(f"Submitted as job {_submit(script)}")
    return 0


def _smallest_node(options: SlurmOptions) -> tuple[int, float]:
    """Return the cores and the bytes of memory of the partition's smallest node; 0 if unknown."""
    if not shutil.which("sinfo"):
        return 0, 0.0
    words = ["sinfo", "--noheader", "--Node", "--format=%X %Y %c %m"]
    if options.partition:
        words.append(f"--partition={options.partition}")
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0.0
    pattern = r"^(\d+)\+? (\d+)\+? (\d+)\+? (\d+)\+?\s*$"
    found = [tuple(map(int, line)) for line in re.findall(pattern, done.stdout, re.MULTILINE)]
    if done.returncode or not found:
        return 0, 0.0
    # A processor with two threads is two CPUs of Slurm's, and one for a rank.
    cores = min(min(sockets * each, cpus) for sockets, each, cpus, _ in found)
    return cores, min(size for *_, size in found) * 2.0**20


def _complain(options: SlurmOptions, sizes: Sizes, memory: float, room: float) -> None:
    """Raise JobError for a job that no node can hold; warn of little memory or time."""
    needed = sizes.node_bytes if math.isinf(memory) else memory
    if room and needed > room:
        raise JobError(
            f"each node needs {needed / 2**30:.1f} GiB, got nodes of {room / 2**30:.1f} GiB; give "
            'more --nodes, another --partition, less --mem, or --set data.dtype="float32"'
        )
    if memory < sizes.node_bytes:
        warn(f"--mem {options.mem} is less than the {sizes.node_bytes / 2**30:.1f} GiB estimated")
    least = _START_SECONDS + _FEW_PASSES * sizes.pass_seconds
    if _seconds_of(options.time) < least:
        warn(f"--time {options.time} is short: {_FEW_PASSES} passes may take {least:.0f} seconds")


def _bytes_of(memory: str) -> float:
    """Return the bytes that Slurm's --mem means: all of a node's for 0."""
    number = int(memory.rstrip("KMGT"))
    return number * float(_UNITS[memory[-1] if memory[-1] in "KMGT" else ""]) or math.inf


def _seconds_of(time: str) -> int:
    """Return the seconds of [DAYS-]H:MM:SS."""
    days, _, rest = time.rpartition("-")
    hours, minutes, seconds = map(int, rest.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _script(
    options: SlurmOptions,
    job: Job,
    path: Path,
    ranks: int,
    memory: str,
    sizes: Sizes,
    source: str,
) -> str:
    """Return the batch script."""
    settings = {
        "job-name": job.name,
        "nodes": options.nodes,
        "ntasks-per-node": f"{ranks}  # {source}",
        "cpus-per-task": options.threads,
        "mem": memory,
        "time": options.time,
        "output": "slurm-%x-%j.out",
        "partition": options.partition,
        "account": options.account,
    }
    lines = [f"#SBATCH --{name}={value}" for name, value in settings.items() if value]
    launch = [sys.executable, "-m", "mpi_gd", "launch"]
    changes = [word for item in options.overrides for word in ("--set", item)]
    if options.preemptible:
        lines += ["#SBATCH --signal=B:USR1@120", "#SBATCH --requeue", "#SBATCH --open-mode=append"]
        launch += ["--requeue", "--max-restarts", "3"]
    out = Path(options.out or Path("runs") / job.name).absolute()
    start = _start(options)
    train = ["train", str(path), *changes, "--out", str(out), "--resume"]
    return f"""\
#!/bin/bash
# Written by: python -m mpi_gd slurm. About {sizes.rows:,} rows x {sizes.columns} columns, \
{sizes.data_bytes / 2**30:.3g} GiB in memory;
# a gradient on them about {sizes.pass_seconds:.2g} s, by a rule, not measured: \
{CORE_SPEED / 1e9:.0f} GB/s a rank, at most {NODE_SPEED / 1e9:.0f} GB/s a node.
{chr(10).join(lines)}
cd {shlex.quote(str(Path.cwd()))} || exit
export OPENBLAS_NUM_THREADS={options.threads}
exec {shlex.join(launch)} \\
    --mpirun {shlex.quote(shlex.join(start))} \\
    {shlex.join(train)}
"""


def _start(options: SlurmOptions) -> list[str]:
    """Return what starts the ranks: the mpirun beside this Python, or srun as it wants it."""
    program = mpirun_words(LaunchOptions(("train",)), 1)[0]
    is_open = mpi_kind(program) == "openmpi"
    threads = options.threads
    if options.launcher == "srun":
        return [
            *("srun", f"--mpi={'pmix' if is_open else 'pmi2'}", f"--cpus-per-task={threads}"),
            "--kill-on-bad-exit=1",
        ]
    if threads == 1:
        return [program, "--bind-to", "core"]
    if is_open:
        return [program, "--map-by", f"slot:PE={threads}", "--bind-to", "core"]
    return [program, "--bind-to", f"core:{threads}"]


def _submit(script: str) -> str:
    """Give the script to Slurm; return the job's number."""
    try:
        done = subprocess.run(
            ["sbatch", "--parsable"], input=script, capture_output=True, text=True, timeout=120
        )
    except OSError as error:
        raise JobError(
            "there is no sbatch on PATH; submit from a login node of the cluster, or write the "
            "script without --submit"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise FileError("sbatch gave no answer in 120 seconds; see squeue") from error
    if done.returncode:
        raise JobError(f"sbatch refused the script: {'; '.join(done.stderr.splitlines())}")
    return done.stdout.strip()
