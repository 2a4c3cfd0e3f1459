"""What can be asked for on the command line: one dataclass a command, one field an argument.

A field's metadata is what the command line makes an argument of: `help`, the `group` it is listed
in, `metavar` for what stands in place of a value, and `flag` where that is not --NAME; a field
with an empty flag is given by position. `command` names the class's command and its module.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

__all__ = [
    "BenchOptions",
    "CollectOptions",
    "EvaluateOptions",
    "ExportOptions",
    "ForecastOptions",
    "LaunchOptions",
    "Options",
    "PathOptions",
    "PredictOptions",
    "SlurmOptions",
    "TrainOptions",
]

_MODEL = {"flag": "", "metavar": "MODEL", "group": "input", "help": "a model.npz of a run's folder"}
_DATA = {"flag": "", "metavar": "DATA", "group": "input", "help": "a .csv, .npy or .npz file"}
_SET_DATA = {
    "flag": "--set",
    "metavar": "KEY=VALUE",
    "group": "input",
    "help": "how to read the data, as in header=no: a key of a job's table [data]; may come "
    "several times",
}
_JSON = {"group": "output", "help": "print JSON instead of a table"}


@dataclass(frozen=True)
class TrainOptions:
    """Train a model as a job file says."""

    command: ClassVar[str] = "train"
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd train JOB.toml
  mpirun -n 8 python -m mpi_gd train JOB.toml --set solver.kind=gd --set solver.step=0.1
  mpirun -n 4 python -m mpi_gd train JOB.toml --resume
  python -m mpi_gd train JOB.toml --set data.path=more.csv --check
"""

    job: str = field(
        default="",
        metadata={
            "flag": "",
            "metavar": "JOB.toml",
            "group": "the job",
            "help": "the job file; without one: the job that the package carries",
        },
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "the job",
            "help": "change a key of the job, as in solver.step=0.1; may come several times",
        },
    )
    out: str = field(
        default="",
        metadata={
            "metavar": "FOLDER",
            "group": "the run",
            "help": "the run's folder (default: runs/NAME by the job's name, or runs/NAME-2 ...)",
        },
    )
    resume: bool = field(
        default=False,
        metadata={
            "group": "the run",
            "help": "go on from the newest checkpoint in the folder, on any number of ranks",
        },
    )
    check: bool = field(
        default=False,
        metadata={"group": "the run", "help": "read and check the job and its data, then stop"},
    )
    force: bool = field(
        default=False,
        metadata={"group": "the run", "help": "replace the run that is in the folder"},
    )
    progress: Literal["auto", "live", "lines", "none"] = field(
        default="auto",
        metadata={
            "group": "the run",
            "help": 'a live line, log lines or nothing; "auto" is live on a terminal, else lines '
            "(default: auto)",
        },
    )

    def __post_init__(self) -> None:
        if self.resume and self.force:
            raise ValueError("got --resume and --force, expected one: go on with a run or replace")


@dataclass(frozen=True)
class PredictOptions:
    """Write a model's predictions for a data file, a line for each row."""

    command: ClassVar[str] = "predict"
    examples: ClassVar[str] = """\
  python -m mpi_gd predict runs/train/model.npz new.csv
  mpirun -n 8 python -m mpi_gd predict model.npz new.csv --set header=no --out new-y.csv
"""

    model: str = field(metadata=_MODEL)
    data: str = field(metadata=_DATA)
    out: str = field(
        default="predictions.csv",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "the CSV file to write (default: predictions.csv)",
        },
    )
    overrides: tuple[str, ...] = field(default=(), metadata=_SET_DATA)


@dataclass(frozen=True)
class EvaluateOptions:
    """Score a model on a data file that has the target."""

    command: ClassVar[str] = "evaluate"
    examples: ClassVar[str] = """\
  python -m mpi_gd evaluate runs/train/model.npz test.csv
  mpirun -n 8 python -m mpi_gd evaluate model.npz test.csv --json

metrics (weighted; the same bits on any number of ranks):
  classes      accuracy, balanced accuracy, log loss, Brier score, calibration error, deviance, D2;
               tables: precision, recall and F1 of each class, confusion matrix, calibration
  two classes  AUC, average precision, Gini (2 AUC - 1); table: calibration by quantiles
  K classes    top-2, 3 and 5 accuracy, macro and weighted F1, one-vs-rest AUC
  numbers      RMSE, MAE, largest error, R2, mean loss; of likelihoods the deviance and D2
  amounts      (Poisson, gamma, ...) also the normalised Gini; table: calibration by quantiles
  Definitions: python -m pydoc mpi_gd.evaluation
"""

    model: str = field(metadata=_MODEL)
    data: str = field(metadata=_DATA)
    overrides: tuple[str, ...] = field(default=(), metadata=_SET_DATA)
    json: bool = field(default=False, metadata=_JSON)


@dataclass(frozen=True)
class ExportOptions:
    """Write a model for another program: JSON, CSV, ONNX, scikit-learn."""

    command: ClassVar[str] = "export"
    examples: ClassVar[str] = """\
  python -m mpi_gd export runs/train/model.npz model.onnx
  python -m mpi_gd export runs/train/model.npz coefficients.csv

forms:
  .json    loss, classes, intercept and coefficients by name, with all their digits
  .csv     a line for each coefficient
  .onnx    a graph in double precision: X -> label and probabilities, or prediction (extra onnx)
  .joblib  a fitted estimator of scikit-learn's own, for joblib.load (extra sklearn)
"""

    model: str = field(metadata=_MODEL)
    out: str = field(
        metadata={
            "flag": "",
            "metavar": "OUT",
            "group": "output",
            "help": "the file to write; its suffix says what",
        }
    )


@dataclass(frozen=True)
class PathOptions:
    """Fit a model for each of many strengths of the penalty, from strong to weak."""

    command: ClassVar[str] = "path"
    examples: ClassVar[str] = """\
  mpirun -n 8 python -m mpi_gd path JOB.toml --n-alphas 100 --out path.npz
  python -m mpi_gd path JOB.toml --set penalty.kind=elastic-net --out path.csv

The file has, for each alpha: the objective, the mean loss, the share of the deviance that is
explained beyond the unpenalized coefficients, the coefficients that are not 0, and all of them on
the data's own scale. With the squared loss all fits come from one pass over the rows.
"""

    job: str = field(
        metadata={"flag": "", "metavar": "JOB.toml", "group": "the job", "help": "the job file"}
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "the job",
            "help": "change a key of the job, as in penalty.l1_ratio=0.9; may come several times",
        },
    )
    n_alphas: int = field(
        default=100,
        metadata={
            "flag": "--n-alphas",
            "metavar": "N",
            "group": "the path",
            "help": "how many strengths (default: 100)",
        },
    )
    eps: float = field(
        default=1e-3,
        metadata={
            "metavar": "SHARE",
            "group": "the path",
            "help": "the last alpha, as a share of the first (default: 0.001)",
        },
    )
    alpha_max: float = field(
        default=0.0,
        metadata={
            "flag": "--alpha-max",
            "metavar": "ALPHA",
            "group": "the path",
            "help": "the first alpha (default: the least for which all coefficients are 0)",
        },
    )
    out: str = field(
        default="path.npz",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "the .npz or .csv file to write (default: path.npz)",
        },
    )

    def __post_init__(self) -> None:
        if self.n_alphas < 1:
            raise ValueError(f"--n-alphas must be 1 or more, got {self.n_alphas}")
        if not 0 < self.eps < 1:
            raise ValueError(f"--eps must be in (0, 1), got {self.eps}")
        if not 0 <= self.alpha_max < float("inf"):
            raise ValueError(f"--alpha-max must be 0 or more, got {self.alpha_max}")
        if not self.out.endswith((".npz", ".csv")):
            raise ValueError(f"--out must end in .npz or .csv, got {self.out!r}")


@dataclass(frozen=True)
class BenchOptions:
    """Measure this machine and the program on random data."""

    command: ClassVar[str] = "bench"
    examples: ClassVar[str] = """\
  mpirun -n 2 python -m mpi_gd bench
  mpirun -n 2 python -m mpi_gd bench --rows 4000000 --columns 30 --dtype float32
  mpirun -n 64 python -m mpi_gd bench --out node.json
"""

    rows: int = field(
        default=2_000_000,
        metadata={"metavar": "N", "group": "the data", "help": "rows in all (default: 2000000)"},
    )
    columns: int = field(
        default=100,
        metadata={"metavar": "N", "group": "the data", "help": "columns (default: 100)"},
    )
    dtype: Literal["float64", "float32"] = field(
        default="float64",
        metadata={"group": "the data", "help": "type of the numbers (default: float64)"},
    )
    loss: str = field(
        default="logistic",
        metadata={"metavar": "KIND", "group": "the data", "help": "the loss (default: logistic)"},
    )
    repeat: int = field(
        default=7,
        metadata={"metavar": "N", "group": "output", "help": "times to measure (default: 7)"},
    )
    json: bool = field(default=False, metadata=_JSON)
    out: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "measure the rates that `forecast` works with, too, and write them",
        },
    )

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "repeat"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class ForecastOptions:
    """Say how long an iteration would take on more nodes, from rates that were measured."""

    command: ClassVar[str] = "forecast"
    examples: ClassVar[str] = """\
  mpirun -n 64 python -m mpi_gd bench --out node.json               (all ranks of a node)
  mpirun -n 8 -ppn 1 python -m mpi_gd bench --out network.json      (a rank on each of 8 nodes)
  python -m mpi_gd forecast node.json --network network.json --rows 1e9 --columns 100
  python -m mpi_gd forecast node.json --latency-us 25 --gigabytes 12.5 --nodes 1,100,1000
"""

    machine: str = field(
        metadata={
            "flag": "",
            "metavar": "FILE",
            "group": "the cluster",
            "help": "rates of a node, by bench --out with all its ranks",
        }
    )
    network: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "the cluster",
            "help": "rates by bench --out with one rank on each of several nodes: their messages",
        },
    )
    latency_us: float = field(
        default=25.0,
        metadata={
            "flag": "--latency-us",
            "metavar": "X",
            "group": "the cluster",
            "help": "without --network: microseconds of a message between nodes (default: 25)",
        },
    )
    gigabytes: float = field(
        default=12.5,
        metadata={
            "metavar": "X",
            "group": "the cluster",
            "help": "without --network: gigabytes per second between nodes (default: 12.5)",
        },
    )
    nodes: str = field(
        default="1,2,4,8,16,32,64,128,256,512,1000",
        metadata={
            "metavar": "N,N,...",
            "group": "the cluster",
            "help": "numbers of nodes (default: 1,2,4,...,512,1000)",
        },
    )
    ranks: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "the cluster",
            "help": "ranks on each node (default: as many as were measured)",
        },
    )
    rows: float = field(
        default=1e9, metadata={"metavar": "N", "group": "the data", "help": "rows (default: 1e9)"}
    )
    columns: int = field(
        default=100,
        metadata={"metavar": "N", "group": "the data", "help": "columns (default: 100)"},
    )
    stored: float = field(
        default=0.0,
        metadata={
            "metavar": "N",
            "group": "the data",
            "help": "numbers of a sparse row (default: 0, all are stored)",
        },
    )
    outputs: int = field(
        default=1,
        metadata={
            "metavar": "N",
            "group": "the data",
            "help": "outputs: the classes of a multinomial loss (default: 1)",
        },
    )
    solver: str = field(
        default="lbfgs",
        metadata={"metavar": "KIND", "group": "the solver", "help": "the solver (default: lbfgs)"},
    )
    json: bool = field(default=False, metadata=_JSON)

    def __post_init__(self) -> None:
        for name in ("rows", "columns", "outputs", "latency_us", "gigabytes"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*", self.nodes):
            raise ValueError(f"--nodes must be numbers of 1 or more, by commas, got {self.nodes!r}")


@dataclass(frozen=True)
class LaunchOptions:
    """Run a command under mpirun, stop it with a checkpoint, start it again after a crash."""

    command: ClassVar[str] = "launch"
    examples: ClassVar[str] = """\
  python -m mpi_gd launch train JOB.toml
  python -m mpi_gd launch --ranks 8 --max-restarts 3 train JOB.toml --out runs/first
  python -m mpi_gd launch --mpirun "mpirun --hostfile hosts" --ranks 64 train JOB.toml
  python -m mpi_gd launch --mpirun "srun --mpi=pmi2" --requeue train JOB.toml --out runs/first
"""

    words: tuple[str, ...] = field(
        metadata={
            "flag": "",
            "metavar": "COMMAND",
            "group": "what to run",
            "help": "train, predict, evaluate or bench, and its arguments",
        },
    )
    ranks: int = field(
        default=0,
        metadata={
            "metavar": "N",
            "group": "how to run it",
            "help": "ranks to start (default: as many as the Slurm job has tasks, else as there "
            "are cores here)",
        },
    )
    max_restarts: int = field(
        default=0,
        metadata={
            "flag": "--max-restarts",
            "metavar": "K",
            "group": "how to run it",
            "help": "times to start a training again, with --resume, after a crash; with "
            "--requeue: after crashes since the last new checkpoint (default: 0)",
        },
    )
    mpirun: str = field(
        default="",
        metadata={
            "metavar": "COMMAND",
            "group": "how to run it",
            "help": "what starts the ranks, with its options but for -n (default: the mpirun "
            "beside this Python, else the first one on PATH)",
        },
    )
    grace: float = field(
        default=60.0,
        metadata={
            "metavar": "SECONDS",
            "group": "how to run it",
            "help": "from the signal to stop until all is ended by force (default: 60)",
        },
    )

    requeue: bool = field(
        default=False,
        metadata={
            "group": "how to run it",
            "help": "in a Slurm job's batch script: put the job back into the queue when the "
            "training was stopped by USR1 or the time limit, or has crashed",
        },
    )

    def __post_init__(self) -> None:
        if self.ranks < 0:
            raise ValueError(f"--ranks must be 1 or more, got {self.ranks}")
        if self.max_restarts < 0:
            raise ValueError(f"--max-restarts must be 0 or more, got {self.max_restarts}")
        if not 0 <= self.grace < float("inf"):
            raise ValueError(f"--grace must be 0 seconds or more, got {self.grace}")


@dataclass(frozen=True)
class CollectOptions:
    """Compare the results of several runs, the best first."""

    command: ClassVar[str] = "collect"
    examples: ClassVar[str] = """\
  python -m mpi_gd collect runs/grid/*
  python -m mpi_gd collect --by auc --out grid.csv runs/grid/*
"""

    folders: tuple[str, ...] = field(
        metadata={
            "flag": "",
            "metavar": "FOLDER",
            "group": "input",
            "help": "folders of runs, after the options",
        },
    )
    by: str = field(
        default="",
        metadata={
            "metavar": "SCORE",
            "group": "output",
            "help": "the score to sort by (default: log_loss, deviance or rmse of the rows held "
            "out, else the objective)",
        },
    )
    out: str = field(
        default="",
        metadata={"metavar": "FILE", "group": "output", "help": "write the table as CSV, too"},
    )


@dataclass(frozen=True)
class SlurmOptions:
    """Write a Slurm batch script for a job, sized from its data; submit it if asked."""

    command: ClassVar[str] = "slurm"
    examples: ClassVar[str] = """\
  python -m mpi_gd slurm JOB.toml --nodes 4 --time 2:00:00 --script job.sbatch
  python -m mpi_gd slurm JOB.toml --nodes 4 --partition short --preemptible --submit
"""

    job: str = field(
        metadata={
            "flag": "",
            "metavar": "JOB.toml",
            "group": "the job",
            "help": "the job file",
        },
    )
    overrides: tuple[str, ...] = field(
        default=(),
        metadata={
            "flag": "--set",
            "metavar": "KEY=VALUE",
            "group": "the job",
            "help": "change a key of the job; may come several times",
        },
    )
    out: str = field(
        default="",
        metadata={
            "metavar": "FOLDER",
            "group": "the job",
            "help": "the run's folder (default: runs/NAME)",
        },
    )
    nodes: int = field(
        default=1,
        metadata={
            "metavar": "N",
            "group": "the allocation",
            "help": "nodes (default: 1)",
        },
    )
    time: str = field(
        default="1:00:00",
        metadata={
            "metavar": "H:MM:SS",
            "group": "the allocation",
            "help": "time limit, [DAYS-]H:MM:SS (default: 1:00:00)",
        },
    )
    ranks_per_node: int = field(
        default=0,
        metadata={
            "flag": "--ranks-per-node",
            "metavar": "R",
            "group": "the allocation",
            "help": "ranks on each node (default: its cores by sinfo, else 8)",
        },
    )
    threads: int = field(
        default=1,
        metadata={
            "metavar": "T",
            "group": "the allocation",
            "help": "threads of each rank (default: 1)",
        },
    )
    mem: str = field(
        default="",
        metadata={
            "metavar": "SIZE",
            "group": "the allocation",
            "help": "memory of each node, as in 8G (default: by the data)",
        },
    )
    partition: str = field(
        default="",
        metadata={
            "metavar": "NAME",
            "group": "the allocation",
            "help": "the partition",
        },
    )
    account: str = field(
        default="",
        metadata={
            "metavar": "NAME",
            "group": "the allocation",
            "help": "the account",
        },
    )
    preemptible: bool = field(
        default=False,
        metadata={
            "group": "the allocation",
            "help": "go on after preemption, time limits and crashes",
        },
    )
    launcher: Literal["mpirun", "srun"] = field(
        default="mpirun",
        metadata={
            "group": "the allocation",
            "help": "what starts the ranks (default: mpirun, which asks "
            "Slurm for the nodes; srun must fit the MPI)",
        },
    )
    script: str = field(
        default="",
        metadata={
            "metavar": "FILE",
            "group": "output",
            "help": "write the script here (default: print it)",
        },
    )
    submit: bool = field(
        default=False,
        metadata={
            "group": "output",
            "help": "give it to sbatch",
        },
    )

    def __post_init__(self) -> None:
        for name, least in (("nodes", 1), ("threads", 1), ("ranks_per_node", 0)):
            if getattr(self, name) < least:
                flag = name.replace("_", "-")
                raise ValueError(f"--{flag} must be 1 or more, got {getattr(self, name)}")
        # They stand in the script as they are.
        for name, pattern, wanted in (
            ("time", r"([0-9]+-)?[0-9]+:[0-5][0-9]:[0-5][0-9]", "H:MM:SS"),
            ("mem", r"([0-9]+[KMGT]?)?", "a size as 8G"),
            ("partition", r"[\w.,+-]*", "a name"),
            ("account", r"[\w.,+-]*", "a name"),
        ):
            if not re.fullmatch(pattern, getattr(self, name), re.ASCII):
                raise ValueError(f"--{name}: got {getattr(self, name)!r}, expected {wanted}")


Options = (
    TrainOptions
    | PredictOptions
    | EvaluateOptions
    | ExportOptions
    | BenchOptions
    | PathOptions
    | LaunchOptions
    | CollectOptions
    | ForecastOptions
    | SlurmOptions
)
