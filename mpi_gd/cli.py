"""The command line: from arguments to options, without printing, leaving or heavy imports."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin, get_type_hints

from mpi_gd import __version__
from mpi_gd.options import COMMANDS, options_of

if TYPE_CHECKING:
    from mpi_gd.options import Options

__all__ = ["ParsedExit", "parse"]

_PROGRAM = "python -m mpi_gd"
_EXAMPLES = """\
  python -m mpi_gd                              a first training, on one rank
  mpirun -n 8 python -m mpi_gd                  on eight: the same model, byte for byte
  mpirun -n 8 python -m mpi_gd train JOB.toml   what a job file says
  python -m mpi_gd train --keys                 what a job file may say
"""
_EXIT_CODES = """\
exit codes:
  0   finished
  1   internal error
  2   a mistake in the arguments, the job, the data or a file
  3   diverged: the objective left the finite numbers
  4   ended without convergence, which stop.require_convergence asks for; the model is written
  75  stopped by a signal or a time limit, with a checkpoint: run again with --resume
"""


@dataclass(frozen=True)
class ParsedExit:
    """What to print and the exit code, where no command is to run."""

    text: str
    code: int
    to_stderr: bool


def parse(argv: Sequence[str]) -> Options | ParsedExit:
    """Return the options that the arguments ask for; without any, to train the embedded job."""
    if not argv:
        from mpi_gd.options import TrainOptions

        return TrainOptions()
    try:
        if argv[0] in COMMANDS:
            options = _parse_command(options_of(argv[0]), argv[1:])
            return _launched(options) if argv[0] == "launch" else options
        parser = _main_parser()
        parser.parse_known_args(argv[:1])
        parser.error(_no_command(argv[0]))
    except _Leave as leave:
        return leave.parsed


class _Leave(Exception):
    """Carries out of argparse what it would print before it exits."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.parsed = ParsedExit(text.rstrip("\n"), code, to_stderr=code != 0)


class _Parser(argparse.ArgumentParser):
    """A parser that neither prints nor exits."""

    def __init__(
        self, command: str, description: str | None, examples: str, usage: str | None = None
    ) -> None:
        super().__init__(
            prog=f"{_PROGRAM} {command}".rstrip(),
            usage=usage,
            description=description,
            epilog=f"examples:\n{examples}\n{_EXIT_CODES}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            argument_default=argparse.SUPPRESS,
            add_help=False,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Leave with a message in one line."""
        raise _Leave(f"mpi_gd: error: {message} (see: {self.prog} --help)", 2)


class _Show(argparse.Action):
    """An option that asks for a text and nothing else."""

    def __init__(self, text: Callable[[argparse.ArgumentParser], str], **settings: Any) -> None:
        super().__init__(**settings | {"dest": argparse.SUPPRESS, "nargs": 0})
        self._text = text

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Leave with the text."""
        raise _Leave(self._text(parser))


def _main_parser() -> _Parser:
    """Return the parser of what stands in place of a command: it has the overview."""
    parser = _Parser(
        "",
        "Train linear models with MPI and NumPy: the same bytes on any number of ranks.\n"
        "Without a command: train on the data that the package carries.",
        _EXAMPLES,
        usage=f"[mpirun -n RANKS] {_PROGRAM} [COMMAND ...]",
    )
    commands = parser.add_argument_group("commands (each has its own --help)")
    for command in COMMANDS:
        commands.add_argument(command, nargs="?", help=options_of(command).__doc__)
    shown = parser.add_argument_group("help")
    _add_help(shown)
    shown.add_argument(
        "--version", action=_Show, text=lambda _: f"mpi_gd {__version__}", help="show the version"
    )
    return parser


def _parse_command(options: type[Options], argv: Sequence[str]) -> Options:
    """Return a command's options."""
    parser = _Parser(options.command, options.__doc__, options.examples)
    hints = get_type_hints(options)
    groups: dict[str, Any] = {}
    for item in fields(options):
        group = item.metadata["group"]
        groups[group] = groups.get(group) or parser.add_argument_group(group)
        _add(groups[group], item, hints[item.name])
    shown = parser.add_argument_group("help")
    if options.command == "train":
        shown.add_argument("--keys", action=_Show, text=_keys, help="list the keys of a job file")
    if options.command == "tune":
        shown.add_argument("--keys", action=_Show, text=_tune_keys, help="list the keys of [tune]")
    _add_help(shown)
    namespace, unknown = parser.parse_known_args(argv)
    if unknown:
        # argparse has no public list of its options.
        parser.error(_unexpected(unknown[0], parser._option_string_actions))
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in vars(namespace).items()
    }
    try:
        return options(**given)
    except ValueError as error:
        parser.error(str(error))


def _launched(options: Options) -> Options | ParsedExit:
    """Return the options of `launch`, or what is to be said of the command that it is to run."""
    from mpi_gd.options import LaunchOptions

    if not isinstance(options, LaunchOptions):
        return options
    if options.words[0] == options.command:
        raise _Leave(f"mpi_gd: error: {options.command} cannot run itself", 2)
    inner = parse(options.words)
    return inner if isinstance(inner, ParsedExit) else options


def _add(group: argparse._ArgumentGroup, item: Field[Any], hint: Any) -> None:
    """Make an argument of a field, by its type and its metadata."""
    flag = item.metadata.get("flag", f"--{item.name}")
    settings: dict[str, Any] = {"help": item.metadata["help"]}
    if flag:
        settings["dest"] = item.name
    elif item.default is not MISSING:
        settings["nargs"] = "?"
    if hint is bool:
        settings["action"] = "store_true"
    elif get_origin(hint) is Literal:
        settings["choices"] = get_args(hint)
    else:
        settings["metavar"] = item.metadata["metavar"]
        settings["type"] = {int: _whole_number, float: _number}.get(hint, _text)
        if get_origin(hint) is tuple:
            # By position: a word and all that follows it, options too.
            settings |= {"action": "append"} if flag else {"nargs": argparse.PARSER}
    group.add_argument(flag or item.name, **settings)


def _add_help(group: argparse._ArgumentGroup) -> None:
    """Add --help."""
    text = argparse.ArgumentParser.format_help
    group.add_argument("-h", "--help", action=_Show, text=text, help="show this and stop")


def _keys(_: argparse.ArgumentParser) -> str:
    """Return the reference of the keys; this alone loads NumPy."""
    from mpi_gd.config import describe_keys

    return describe_keys()


def _tune_keys(_: argparse.ArgumentParser) -> str:
    """Return the reference of the table [tune]."""
    from mpi_gd.config.tune import describe_tune

    return describe_tune()


def _text(value: str) -> str:
    """Return a text that is not empty, as that of a shell variable without a value would be."""
    if not value:
        raise argparse.ArgumentTypeError("got an empty text, expected a value")
    return value


def _whole_number(value: str) -> int:
    """Return an integer; raises what argparse prints."""
    try:
        return int(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {value!r}, expected a whole number") from None


def _number(value: str) -> float:
    """Return a number; raises what argparse prints."""
    try:
        return float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"got {value!r}, expected a number") from None


def _unexpected(word: str, known: Iterable[str]) -> str:
    """Say that an argument is none, and what was meant."""
    if not word.startswith("-"):
        advice = f"; did you mean --set {word}?" if "=" in word and "--set" in known else ""
        return f"unexpected argument {word!r}{advice}"
    near = _nearest(word.partition("=")[0], known)
    return f"unknown option {word!r}" + (f"; did you mean {near}?" if near else "")


def _no_command(word: str) -> str:
    """Say that a word is no command, and what was meant."""
    if word.startswith("-"):
        return f"unknown option {word!r} before a command; did you mean: {_PROGRAM} train {word}"
    if word.endswith(".toml"):
        return f"unknown command {word!r}; did you mean: {_PROGRAM} train {word}"
    near = _nearest(word, COMMANDS)
    guess = f" did you mean {near!r}?" if near else ""
    return f"unknown command {word!r};{guess} there are {', '.join(COMMANDS)}"


def _nearest(word: str, known: Iterable[str]) -> str:
    """Return what a word is most like; empty if like none."""
    # Ranks whose words are right need not load it.
    import difflib

    return next(iter(difflib.get_close_matches(word, known, n=1)), "")
