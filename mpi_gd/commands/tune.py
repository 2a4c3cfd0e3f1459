"""Choose keys of a job by validation: try candidates, rank them, train the best on all rows."""

from __future__ import annotations

from pathlib import Path

from mpi_gd import pulse
from mpi_gd.comm import World
from mpi_gd.commands.folder import RunFolder, choose_folder, lock_folder
from mpi_gd.commands.jobs import read_shared_text, require_same_job, resolved
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.lost import ending
from mpi_gd.commands.results import check_test_data
from mpi_gd.commands.search import EXIT_STOPPED, Search, told
from mpi_gd.commands.setup import read
from mpi_gd.commands.strengths import Stopped
from mpi_gd.commands.surroundings import look_around
from mpi_gd.commands.trial_rows import first_values, make_plans
from mpi_gd.config import dump_job
from mpi_gd.config.tune import SearchJob, parse_search
from mpi_gd.errors import JobError, MpiGdError
from mpi_gd.evaluation import METRICS
from mpi_gd.options import TuneOptions
from mpi_gd.selection.table import require_parquet
from mpi_gd.status import STATUS_NAME, read_status, write_status
from mpi_gd.trainer import Ballot

__all__ = ["run"]

_SEARCH = "search.toml"


def run(world: World, options: TuneOptions) -> int:
    """Search as the job says, and train the best; collective. Return the exit code."""
    kept = Kept()
    try:
        return _run(world, options, kept)
    except MpiGdError as error:
        if world.is_root and not options.check:
            folder = kept.folder.path if kept.folder and kept.has_begun else None
            write_status(folder, "failed", error.exit_code, message=str(error), ranks=world.size)
        raise


def _run(world: World, options: TuneOptions, kept: Kept) -> int:
    """Do it, with errors that pass."""
    pulse.start(world, ending(world, kept))
    look_around(world, options.progress)
    path = Path(options.job)
    search = _read_search(world, path, options)
    job = search.job(first_values(search))
    reading = read(world, job, path.parent)
    make_plans(world, reading, search.tune, job, 1.0)
    check_test_data(world, job, reading, path.parent)
    if options.check:
        if world.is_root:
            print(f"{path}: the search and its data are good: {told(search, reading)}")
        return 0
    text = resolved(job, path.parent) + "\n" + search.dump()
    folder, code = _take_folder(world, text, options, job.name, kept)
    if code is not None:
        return code
    begun = Search(world, search, path.parent, reading, options, kept, folder)
    try:
        return begun.refit(*begun.search())
    except Stopped:
        return _stop(world, folder, begun.ballot)


def _read_search(world: World, path: Path, options: TuneOptions) -> SearchJob:
    """Read the job and its search on the root, parse them on all ranks; collective."""
    text = read_shared_text(world, path)
    with world.phase("parsing the job"):
        search = parse_search(text, str(path), options.overrides)
        metric = search.tune.metric
        if metric != "loss" and metric not in METRICS:
            raise JobError(
                f'tune.metric: got {metric!r}, expected "loss" or one of {", ".join(METRICS)}'
            )
        if search.tune.results == "parquet":
            require_parquet()
    require_same_job(world, dump_job(search.job(first_values(search))) + search.dump())
    return search


def _take_folder(
    world: World, text: str, options: TuneOptions, name: str, kept: Kept
) -> tuple[RunFolder, int | None]:
    """Return the run's folder, and the exit code of a search that has finished before."""
    folder, kept.resumes = choose_folder(world, name, options, text)
    kept.folder = folder
    ended = ""
    with world.phase("making the run's folder", by_root=True):
        if world.is_root:
            lock_folder(folder.path)
            before, old = read_status(folder.path), folder.path / _SEARCH
            is_same = old.exists() and old.read_text(encoding="utf-8") == text
            if kept.resumes and before.get("state") == "finished" and is_same:
                ended = str(before.get("exit_code") or 0) if folder.model.exists() else ""
    ended = world.bcast_text(ended)
    if ended:
        if world.is_root:
            print(f"This search has finished before: the model is {folder.model}", flush=True)
        return folder, int(ended)
    kept.has_begun = True
    with world.phase("writing the search", by_root=True):
        if world.is_root:
            write_status(folder.path, "running", ranks=world.size)
            (folder.path / STATUS_NAME).touch()
            folder.write_text(_SEARCH, text)
            if not kept.resumes:
                folder.write_text("job.toml", text)
    return folder, None


def _stop(world: World, folder: RunFolder, ballot: Ballot) -> int:
    """Say that the search can go on."""
    if world.is_root:
        message = f"the finished candidates are in {folder.path}"
        print(f"Stopped: {message}. Go on with --resume.", flush=True)
        by = "stop.max_seconds" if ballot.is_late else ""
        write_status(
            folder.path,
            "stopped",
            EXIT_STOPPED,
            message=message,
            ranks=world.size,
            stopped_by=by,
        )
    return EXIT_STOPPED
