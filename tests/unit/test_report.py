"""What the root prints and writes."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mpi_gd import report as module
from mpi_gd.report import Progress, Report, choose_progress, keep_metrics


def record(iteration: int, criterion: float = 0.5) -> dict[str, Any]:
    """Return a record as the trainer makes it."""
    return {
        "iteration": iteration,
        "rows": 3_000_000 * (iteration + 1),
        "objective": 0.123456789012,
        "criterion": criterion,
        "elapsed_seconds": 1.5,
    }


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, to be set."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def play(path: Path, progress: Progress, clock: list[float], seconds: float) -> None:
    """Report 100 iterations that take so long together, and converge."""
    report = Report(path, progress, 1e-8)
    report.say("begin")
    for iteration in range(100):
        report.step(record(iteration, 0.5 * 0.9**iteration))
        clock[0] += seconds / 100
    report.close(record(99, 1e-5))


@pytest.mark.parametrize("progress", ["live", "lines", "none"])
def test_every_iteration_is_a_line_of_json(
    tmp_path: Path, progress: Progress, clock: list[float]
) -> None:
    path = tmp_path / "metrics.jsonl"
    play(path, progress, clock, 10)
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(100))


def test_lines_are_few_and_short(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    play(tmp_path / "m", "lines", clock, 20)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "begin"
    # At 0, 5, 10 and 15 seconds, and the last.
    assert len(lines) == 6
    assert all(len(line) < 100 and line.isprintable() for line in lines)
    assert "objective 0.123456789" in lines[1] and "gradient 5.0e-01" in lines[1]
    assert "rows/s" in lines[1] and "left" not in lines[1] and "left" in lines[2]


def test_a_live_line_is_written_over(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    play(tmp_path / "m", "live", clock, 2)
    text = capsys.readouterr().out
    assert text.startswith("begin\n") and text.endswith("\x1b[K\n")
    assert text.count("\n") == 2
    # Ten a second.
    assert 15 <= text.count("\r") <= 22


def test_a_word_between_does_not_spoil_the_live_line(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    report = Report(tmp_path / "m", "live", 1e-8)
    report.step(record(0))
    report.say("hello")
    report.close(None)
    assert capsys.readouterr().out.endswith("\x1b[K\nhello\n")


def test_none_prints_nothing(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    play(tmp_path / "m", "none", clock, 100)
    assert capsys.readouterr().out == ""


def test_the_time_left_is_that_of_the_rate(
    tmp_path: Path, clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """A digit in 10 seconds, and 5 digits to go."""
    report = Report(tmp_path / "m", "lines", 1e-8)
    for iteration in range(4):
        report.step(record(iteration, 10.0**-iteration))
        clock[0] += 10
    report.close(None)
    assert capsys.readouterr().out.splitlines()[-1].endswith("rows/s  about 50 s left")


@pytest.mark.parametrize("criteria", [[1, 1, 1, 1], [1, 2, 4, 8], [0.0, 0.0, 0.0], [1e-9] * 4])
def test_no_time_left_where_none_can_be_told(
    tmp_path: Path,
    clock: list[float],
    capsys: pytest.CaptureFixture[str],
    criteria: list[float],
) -> None:
    report = Report(tmp_path / "m", "lines", 1e-8)
    for iteration, criterion in enumerate(criteria):
        report.step(record(iteration, criterion))
        clock[0] += 10
    report.close(None)
    assert "left" not in capsys.readouterr().out


def test_the_file_is_readable_while_training_goes_on(tmp_path: Path, clock: list[float]) -> None:
    report = Report(tmp_path / "m", "none", 1e-8)
    report.step(record(0))
    clock[0] += 2
    report.step(record(1))
    assert len((tmp_path / "m").read_text().splitlines()) == 2
    report.close(None)


def test_a_second_part_is_appended(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "m"
    for part in ([0, 1, 2, 3], [2, 3, 4]):
        keep_metrics(path, part[0] - 1)
        report = Report(path, "none", 1e-8)
        for iteration in part:
            report.step(record(iteration))
        report.close(None)
    kept = [json.loads(line)["iteration"] for line in path.read_text().splitlines()]
    assert kept == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "tail",
    ['{"iteration": 2, "obj', "\n", "", "{}\n", "7\n", "null\n", "\0\0\0", '{"iteration": null}\n'],
)
def test_what_a_killed_program_leaves_is_dropped(tmp_path: Path, tail: str) -> None:
    path = tmp_path / "m"
    path.write_text('{"iteration": 0}\n{"iteration": 1}\n' + tail)
    keep_metrics(path, 5)
    assert path.read_text() == '{"iteration": 0}\n{"iteration": 1}\n'


def test_bytes_that_are_no_text_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "m"
    path.write_bytes(b'{"iteration": 0}\n\xff\xfe\x80')
    keep_metrics(path, 5)
    assert path.read_bytes() == b'{"iteration": 0}\n'


def test_all_is_dropped_where_training_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "m"
    keep_metrics(path, -1)
    assert not path.exists()
    path.write_text('{"iteration": 0}\n')
    keep_metrics(path, -1)
    assert path.read_text() == ""


@pytest.mark.parametrize("wanted", ["live", "lines", "none"])
def test_what_is_wanted_is_chosen(wanted: Progress) -> None:
    assert choose_progress(wanted) == wanted


@pytest.mark.parametrize("is_terminal", [True, False])
def test_auto_looks_at_the_terminal(monkeypatch: pytest.MonkeyPatch, is_terminal: bool) -> None:
    for name in module._LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal)
    assert choose_progress("auto") == ("live" if is_terminal else "lines")


@pytest.mark.parametrize("has_terminal", [True, False])
def test_auto_under_a_launcher_asks_the_launcher(
    monkeypatch: pytest.MonkeyPatch, has_terminal: bool
) -> None:
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: not has_terminal)
    monkeypatch.setattr(module, "_launcher_has_terminal", lambda: has_terminal)
    assert choose_progress("auto") == ("live" if has_terminal else "lines")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (2.5e6, "2.5M"), (3e9, "3G")]
)
def test_rates_are_short(number: float, text: str) -> None:
    assert module._short(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1 s"), (98, "98 s"), (120, "2 min"), (7200, "2.0 h")]
)
def test_durations_have_a_sensible_unit(seconds: float, text: str) -> None:
    assert module._duration(seconds) == text


def test_a_full_disk_keeps_nothing_back_for_ever(
    tmp_path: Path,
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Half a line is taken back, what waits is written when there is room again."""
    path = tmp_path / "m"
    report = Report(path, "none", 0.0)
    write = os.write

    def full(descriptor: int, data: Any) -> int:
        if len(data) > 10:
            return write(descriptor, bytes(data[:10]))
        raise OSError(errno.ENOSPC, "No space left on device")

    for iteration in range(30):
        report.step(record(iteration))
        clock[0] += 2.0
        monkeypatch.setattr("mpi_gd.report.os.write", full if 10 <= iteration < 20 else write)
        lines = path.read_text().splitlines() if path.exists() else []
        assert [json.loads(line)["iteration"] for line in lines] == list(range(len(lines)))
    report.close(None)
    lines = path.read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == list(range(30))
    warnings = capsys.readouterr().err
    assert warnings.count("no space left on device; the training goes on") == 1
    assert warnings.count("written again") == 1


def test_an_output_that_nobody_reads_falls_silent(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from mpi_gd.report import Report\n"
        f"report = Report(Path({str(tmp_path / 'm')!r}), 'lines', 0.0)\n"
        "sys.stdin.read()\n"
        "for _ in range(3): report.say('x' * 10000)\n"
        "report.close(None)\n"
        "sys.exit(7)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], **pipes)  # type: ignore[call-overload]
    process.stdout.close()
    process.stdin.close()
    assert process.wait(60) == 7
    assert process.stderr.read() == b""
    process.stderr.close()


def test_records_that_are_given_up_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_MOST_WAITING", 5)
    report = Report(tmp_path / "gone" / "m", "none", 0.0, 0.0)
    for iteration in range(8):
        report.step(record(iteration))
    report.close(None)
    assert capsys.readouterr().err.splitlines()[1:] == [
        f"mpi_gd: warning: {tmp_path}/gone/m: the records of 8 iterations could not be written"
    ]


def test_a_history_that_cannot_be_read_ends_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m").mkdir()
    keep_metrics(tmp_path / "m", 5)
    assert "m: cannot read: is a directory; the training goes on" in capsys.readouterr().err
