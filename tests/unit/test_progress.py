"""What a person sees of a long command on a terminal: how far it is, how fast, and how long it will take."""

from __future__ import annotations

import functools
import io
import re

import pytest
import rich.console

from damfs.integration import progress
from damfs.integration.wire import Progress

LEFT = r"\d+:\d\d:\d\d"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    seen = io.StringIO()
    console = functools.partial(rich.console.Console, file=seen, force_terminal=True, width=120)
    monkeypatch.setattr("rich.console.Console", lambda **_: console())
    return seen


@pytest.mark.parametrize(
    ("unit", "words", "rate"),
    [
        ("files", r"h264: 3 of 4 files", r"[\d,.]+ files/s"),
        ("frames", r"h264: 3 of 4 frames", r"[\d,.]+ frames/s"),
        ("%", r"h264: 3 %", r"[\d,.]+ %/s"),
    ],
)
def test_a_bar_says_how_far_how_fast_and_how_long(terminal: io.StringIO, unit: str, words: str, rate: str) -> None:
    with progress.shown(quiet=False) as report:
        for done in range(4):
            report(Progress("h264", done, 4, unit=unit))
    assert re.search(rf"{words}.*{rate}.*{LEFT}", plain(terminal))


def test_where_bytes_are_known_they_tell_the_rate(terminal: io.StringIO) -> None:
    with progress.shown(quiet=False) as report:
        for done in range(4):
            report(Progress("h264", done, 4, done * 10_000_000_000, 40_000_000_000))
    assert re.search(rf"h264: 3 of 4 files.* [\d,]+ MB/s.*{LEFT}", plain(terminal))


def test_where_nobody_looks_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown(quiet=False) as report:
        report(Progress("h264", 1, 4))
    assert capsys.readouterr() == ("", "")


def plain(terminal: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
