"""Small data sets and jobs for whole-program tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mpi_gd.losses import LOSSES

__all__ = ["Workplace"]

N_ROWS, N_COLUMNS = 4321, 7


class Workplace:
    """A folder with data, in which jobs are written and run."""

    def __init__(self, folder: Path) -> None:
        """Write X.npy, y.npy (numbers) and label.npy (-1 and 1)."""
        self.folder = folder
        rng = np.random.default_rng(5)
        self.x = rng.normal(size=(N_ROWS, N_COLUMNS)) * 10.0 ** np.arange(-3, N_COLUMNS - 3) + 2.0
        z = (self.x / 10.0 ** np.arange(-3, N_COLUMNS - 3)) @ rng.normal(size=N_COLUMNS)
        self.y = z + rng.normal(size=N_ROWS)
        self.label = np.where(self.y > np.median(self.y), 1.0, -1.0)
        for name in ("x", "y", "label"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    def job(self, text: str = "", *, loss: str = "logistic", data: str = "") -> str:
        """Write job.toml; return its path."""
        target = "label" if LOSSES[loss]().is_classifier else "y"
        path = self.folder / "job.toml"
        path.write_text(
            f'[data]\npath = "x.npy"\ntarget = "{target}.npy"\n{data}\n'
            f'[loss]\nkind = "{loss}"\n[penalty]\nkind = "l2"\nalpha = 1e-3\n{text}\n'
        )
        return str(path)

    def model(self, out: str) -> bytes:
        """Return the bytes of a run's model."""
        return (self.folder / out / "model.npz").read_bytes()


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """Return a folder with data."""
    return Workplace(tmp_path)


@pytest.fixture
def program(workplace: Workplace, launch: Callable[..., object]) -> Callable[..., object]:
    """Run the program in the workplace: `program(ranks, *arguments)`."""

    def run(n: int, *args: str, **options: object) -> object:
        return launch(n, ["-m", "mpi_gd", *args], cwd=workplace.folder, **options)

    return run
