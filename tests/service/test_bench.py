"""The bench itself, in a tiny size: every figure of the issue is measured and printed. No timing is asserted."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import GROUPS, main
from tests.bench.figure import SIZES, Figure, figure, in_turns, percentile
from tests.bench.ground import open_ground
from tests.bench.page_cache import cached_share, forget_content

ROOT = Path(__file__).parent.parent.parent
NAMES = {name for _, names in GROUPS.values() for name in names}
OF_THE_ISSUE = {
    "lookup-uncached",
    "lookup-cached",
    "list-long-few",
    "list-long-many",
    "read-cached",
    "read-uncached",
    "scan-small",
    "scan-large",
    "ingest",
    "notice-gone",
    "memory-idle",
    "memory-many",
    "start-many",
    "read-plain",
    "write-large",
    "stat-busy",
    "untag-many",
    "search-listing",
    "full-text",
    "previews-clip",
    "previews-stills",
    "probe",
}


def test_every_figure_of_the_issue_has_a_group() -> None:
    assert NAMES >= OF_THE_ISSUE


@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", [name for name in GROUPS if name != "peer" or shutil.which("tmsu")])
def test_every_figure_is_printed_as_json_with_a_positive_value(group: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.bench", "--size", "tiny", "--directory", str(tmp_path), "--only", group]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = {line["figure"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert figures.keys() == set(GROUPS[group][1])
    for line in figures.values():
        assert {"value", "unit", "beside", "ratio", "runs", "spread", "detail"} <= line.keys()
        assert line["value"] > 0
        assert line["spread"]["min"] <= line["value"] <= line["spread"]["max"]
        assert all(value > 0 for value in line["beside"].values())
    assert list(tmp_path.iterdir()) == []


def test_a_group_or_a_figure_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--size", "tiny", "--directory", str(tmp_path), "--only", "scan-small"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert line["figure"] == "scan-small"
    assert line["unit"] == "files/s"


def test_what_cannot_be_measured_is_told_and_leaves_nothing_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.scanning._digest", lambda path: b"the same")
    assert main(["--size", "tiny", "--directory", str(tmp_path), "--only", "scan"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "holds the same bytes twice" in said.err
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_the_median_beside_the_median_of_the_other_side() -> None:
    made = figure("x", "s", [3.0, 1.0, 2.0], {"other": [4.0, 4.0, 8.0]}, {"entries": 7})
    assert json.loads(made.line()) == {
        "figure": "x",
        "value": 2.0,
        "unit": "s",
        "beside": {"other": 4.0},
        "ratio": 0.5,
        "runs": 3,
        "spread": {"min": 1.0, "max": 3.0},
        "detail": {"entries": 7},
    }


def test_a_figure_without_another_side_has_no_ratio() -> None:
    assert json.loads(Figure("x", 1.0, "s", 1, (1.0, 1.0)).line())["ratio"] is None


def test_sides_are_measured_in_turns() -> None:
    order: list[str] = []

    def side(name: str) -> float:
        order.append(name)
        return float(len(order))

    assert in_turns(2, {"a": lambda: side("a"), "b": lambda: side("b")}) == {"a": [1.0, 3.0], "b": [2.0, 4.0]}
    assert order == ["a", "b", "a", "b"]


def test_percentiles_are_measured_values() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51.0
    assert percentile(values, 0.99) == 99.0
    assert percentile([1.0], 0.99) == 1.0


def test_content_that_was_forgotten_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1_000_000)
    assert cached_share(path) == 1.0
    forget_content(path)
    assert cached_share(path) < 0.01


def test_the_ground_goes_away_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        fail_while_mounted(tmp_path)
    assert list(tmp_path.iterdir()) == []


def fail_while_mounted(directory: Path) -> None:
    with open_ground(SIZES["tiny"], directory) as ground, ground.mounted(ground.library()) as daemon:
        assert (daemon.mountpoint / "inbox").is_dir()
        raise RuntimeError("on purpose")
