"""What can be asked for on the command line: one dataclass a command, one field an argument.

A field's metadata is what the command line makes an argument of: `help`, the `group` it is listed
in, `metavar` for what stands in place of a value, and `flag` where that is not --NAME; a field
with an empty flag is given by position. `command` names the class's command and its module, here
and in commands/; `needs_world` is False where it starts no MPI.

A command's class is loaded when it is asked for: thousands of ranks start at once.
"""

from __future__ import annotations

# A type checker reads this; Python, whose constant is False here, imports nothing.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mpi_gd.options.bench import BenchOptions
    from mpi_gd.options.collect import CollectOptions
    from mpi_gd.options.convert import ConvertOptions
    from mpi_gd.options.evaluate import EvaluateOptions
    from mpi_gd.options.export import ExportOptions
    from mpi_gd.options.forecast import ForecastOptions
    from mpi_gd.options.generate import GenerateOptions
    from mpi_gd.options.inspect import InspectOptions
    from mpi_gd.options.launch import LaunchOptions
    from mpi_gd.options.path import PathOptions
    from mpi_gd.options.predict import PredictOptions
    from mpi_gd.options.report import ReportOptions
    from mpi_gd.options.slurm import SlurmOptions
    from mpi_gd.options.sweep import SweepOptions
    from mpi_gd.options.train import TrainOptions
    from mpi_gd.options.tune import TuneOptions

    Options = (
        TrainOptions
        | TuneOptions
        | PredictOptions
        | EvaluateOptions
        | ExportOptions
        | BenchOptions
        | PathOptions
        | LaunchOptions
        | CollectOptions
        | ForecastOptions
        | ReportOptions
        | SlurmOptions
        | ConvertOptions
        | GenerateOptions
        | InspectOptions
        | SweepOptions
    )

__all__ = [
    "COMMANDS",
    "BenchOptions",
    "CollectOptions",
    "ConvertOptions",
    "EvaluateOptions",
    "ExportOptions",
    "ForecastOptions",
    "GenerateOptions",
    "InspectOptions",
    "LaunchOptions",
    "Options",
    "PathOptions",
    "PredictOptions",
    "ReportOptions",
    "SlurmOptions",
    "SweepOptions",
    "TrainOptions",
    "TuneOptions",
    "options_of",
]

COMMANDS = (
    "train",
    "predict",
    "evaluate",
    "export",
    "path",
    "inspect",
    "convert",
    "generate",
    "tune",
    "sweep",
    "bench",
    "forecast",
    "launch",
    "collect",
    "report",
    "slurm",
)
"""In the order in which --help lists them."""


def options_of(command: str) -> type[Options]:
    """Return the class of one of the `COMMANDS`."""
    import importlib

    module = importlib.import_module(f"mpi_gd.options.{command}")
    found: type[Options] = getattr(module, f"{command.capitalize()}Options")
    return found


def __getattr__(name: str) -> object:
    """Load a command's class, or all of them, when it is asked for."""
    if name == "Options":
        import functools
        import operator

        return functools.reduce(operator.or_, map(options_of, COMMANDS))
    command = name.removesuffix("Options").lower()
    if command in COMMANDS and name == f"{command.capitalize()}Options":
        return options_of(command)
    raise AttributeError(f"module 'mpi_gd.options' has no attribute {name!r}")
