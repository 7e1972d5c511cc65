"""Reasons that programs cannot show are kept for people: few, each once, the last one last."""

from __future__ import annotations

from damfs.core.refusals import KEPT, SECOND_NS, Refusals


def told(refusals: Refusals) -> list[str]:
    return [line[len("2026-11-22 22:00:00  ") :] for line in refusals.text().splitlines()]


def test_what_is_said_again_takes_one_line_and_comes_last() -> None:
    refusals = Refusals()
    assert refusals.text() == ""
    for number, words in enumerate(("mkdir: no", "rename: no", "mkdir: no")):
        refusals.add(words, number * SECOND_NS)
    assert told(refusals) == ["rename: no", "mkdir: no (2 times)"]


def test_the_oldest_go_and_names_cannot_make_lines() -> None:
    refusals = Refusals()
    for number in range(KEPT + 5):
        refusals.add(f"mkdir: a\nb\udcff\x1b {number}", 0)
    assert len(told(refusals)) == KEPT
    assert (
        told(refusals)[-1]
        == f"mkdir: a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} {KEPT + 4}"
    )
