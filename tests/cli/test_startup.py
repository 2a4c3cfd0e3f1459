"""What a rank that is not the root loads for a whole training, under a real mpirun."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.launch import Completed

pytestmark = pytest.mark.one_mpi

# Heavy, or what the root alone, the launcher or another command is to do.
NOT_FOR_ALL = {
    *"difflib hypothesis matplotlib pandas pyarrow pytest rich scipy sklearn".split(),
    *"subprocess mpi_gd.commands.bench mpi_gd.commands.collect mpi_gd.commands.launch".split(),
    *"mpi_gd.commands.mpirun mpi_gd.commands.predict mpi_gd.commands.requeue".split(),
    *"mpi_gd.commands.slurm".split(),
}
# A training needs little more than its modules: the job, the data, what Python finds out of itself.
MOST_OTHER_FILES = 60


def test_a_rank_that_is_not_the_root_loads_little(
    workplace: Any, launch: Callable[..., Completed]
) -> None:
    told = workplace.folder / "loaded.json"
    job = workplace.job(data="test_fraction = 0.2\nstandardize = true")
    args = ["-m", "tests.startup", "train", job, "--out", str(workplace.folder / "run"), "--force"]
    # The first run may find modules that were never compiled, and then opens more.
    env = {"MPI_GD_TEST_LOADED": str(told), "PYTHONDONTWRITEBYTECODE": ""}
    for _ in range(2):
        done = launch(3, args, env=env, timeout=100)
        assert done.rc == 0, done.text
    print(done.out.splitlines()[-1])
    loaded = json.loads(told.read_text())
    modules = {*loaded["own"], *loaded["others"]}
    assert "mpi_gd.commands.train" in modules and "numpy" in modules
    assert not {name for name in modules if name in NOT_FOR_ALL}
    assert loaded["opened"] <= len(modules) + MOST_OTHER_FILES
