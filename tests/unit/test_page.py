"""Reports: one page of a run, whole and safe, whatever the run has come to."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from mpi_gd.cli import parse
from mpi_gd.comm import SerialWorld
from mpi_gd.commands import report, train
from mpi_gd.errors import FileError
from mpi_gd.options import ReportOptions, TrainOptions

VOID = {"meta", "br", "hr", "img", "link", "input"}
# The page's own colours of lines.
BLUE = np.array([0x00, 0x72, 0xB2]) / 255.0


class Checker(HTMLParser):
    """Notes what is open, and what would need another file."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            is_inside = (value or "").startswith("#")
            if name in ("src", "href", "xlink:href") and not is_inside:
                self.outside.append(f"{name}={value}")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == [] and checker.outside == []
    assert "script" not in checker.tags
    return checker


def trained(folder: Path, loss: str, *overrides: str, name: str = "x") -> Path:
    """Train on some rows; return the run's folder."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(900, 3))
    z = x @ [1.0, -0.5, 0.2] + 0.7 * rng.normal(size=900)
    y = {
        "squared": z,
        "logistic": (z > 0) * 1.0,
        "multinomial": np.digitize(z, [-0.5, 0.5]) * 1.0,
        "poisson": np.floor(np.exp(z)),
    }[loss]
    lines = [
        f"{name},b,c,y",
        *(",".join(map(repr, row)) for row in np.column_stack([x, y]).tolist()),
    ]
    (folder / "rows.csv").write_text("\n".join(lines) + "\n")
    job = folder / "job.toml"
    job.write_text(
        '[data]\npath = "rows.csv"\ntarget = "y"\ntest_fraction = 0.3\n'
        f'[loss]\nkind = "{loss}"\n# <script>alert(1)</script>\n'
    )
    out = folder / f"run-{loss}"
    options = TrainOptions(job=str(job), out=str(out), overrides=overrides, progress="none")
    assert train.run(SerialWorld(), options) == 0
    return out


def page_of(*folders: Path, out: str = "") -> str:
    assert report.run(ReportOptions(tuple(map(str, folders)), out)) == 0
    return Path(out or folders[0] / "report.html").read_text(encoding="utf-8")


EXPECTED = {
    "logistic": ["ROC curve", "Precision and recall", "confusion", "intervals"],
    "multinomial": ["confusion", "Calibration", "intervals"],
    "squared": ["Residuals by prediction", "intervals"],
    "poisson": ["Residuals by prediction", "Calibration, in bins of equal weight"],
}


@pytest.mark.parametrize("loss", EXPECTED)
def test_a_page_has_what_the_run_has(loss: str, tmp_path: Path) -> None:
    folder = trained(tmp_path, loss)
    page = page_of(folder)
    checker = checked(page)
    summary = json.loads((folder / "summary.json").read_text())
    for text in [*EXPECTED[loss], f"{summary['objective']:.6g}", "Convergence", "computing"]:
        assert text in page
    assert checker.tags.count("svg") >= 6
    assert page_of(folder) == page, "the same run has the same page"


def test_names_that_are_markup_stay_text(tmp_path: Path) -> None:
    checked(page_of(trained(tmp_path, "squared", name="<b>&amp;$x_1$")))


def test_several_runs_are_beside_each_other(tmp_path: Path) -> None:
    one, two = trained(tmp_path, "squared"), trained(tmp_path, "poisson", "stop.max_iter=50")
    page = page_of(one, two, out=str(tmp_path / "both.html"))
    checked(page)
    assert "1: run-squared" in page and "2: run-poisson" in page


def test_a_run_that_was_killed_has_a_page_too(tmp_path: Path) -> None:
    folder = trained(tmp_path, "logistic")
    for name in ("summary.json", "model.npz", "status.json"):
        (folder / name).unlink()
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 7, "quest')
    page = page_of(folder)
    checked(page)
    assert "Convergence" in page and "Coefficients" not in page


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"no job\.toml"):
        report.run(ReportOptions((str(tmp_path),)))
    folder = trained(tmp_path, "squared")
    (folder / "summary.json").write_text("[1]")
    with pytest.raises(FileError, match="expected an object"):
        report.run(ReportOptions((str(folder),)))
    assert parse(["report", "--out", "p.html", "a", "b"]) == ReportOptions(("a", "b"), "p.html")


def test_a_browser_shows_it(tmp_path: Path) -> None:
    browser: Any = shutil.which("chromium")
    if not browser:
        assert not os.environ.get("MPI_GD_TESTS_NEED_BROWSER"), "there is no chromium"
        pytest.skip("there is no chromium")
    page_of(trained(tmp_path, "logistic"), out=str(tmp_path / "page.html"))
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update --disable-sync"
    flags += f" --user-data-dir={tmp_path}/profile --window-size=1100,3000 --hide-scrollbars"
    for wanted in (f"--screenshot={tmp_path}/page.png", "--dump-dom"):
        done = subprocess.run(
            [browser, *flags.split(), wanted, f"file://{tmp_path}/page.html"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert len(re.findall("<svg", done.stdout)) >= 8
    picture = imread(tmp_path / "page.png")[..., :3]
    # Lines are drawn above one another all the way down: the convergence first, the curves last.
    rows = np.flatnonzero((np.abs(picture - BLUE).max(axis=2) < 0.02).any(axis=1))
    assert rows.size > 300 and rows[-1] - rows[0] > 1000
