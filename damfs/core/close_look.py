"""The program that looks closely at files that seem to be one: `python -m damfs.core.close_look`.

Reads a request as JSON from its input: ``{"memory": bytes of address space, "kept": [name, path], "others":
[[name, path, begins_ns]...]}``; ``begins_ns`` is about where in a film another begins, null for pictures. Prints a JSON
list of what speaks against each of the others, null for nothing. A hostile file may end it: then there is no answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from damfs.core.worker_process import Situation, settle_in

UNSURE = "it cannot be compared closely"


def answers(kept: tuple[str, str], others: Sequence[tuple[str, str, int | None]]) -> list[str | None]:
    """Imports codecs: only after the limits are set."""
    from damfs.core.processors import same_picture

    pictures = [(name, path) for name, path, begins in others if begins is None]
    looked_at = iter(same_picture.objections(kept, pictures) if pictures else ())
    return [next(looked_at) if begins is None else _film(kept, (name, path), begins) for name, path, begins in others]


def _film(kept: tuple[str, str], other: tuple[str, str], begins_ns: int) -> str | None:
    from damfs.core.processors import same_film

    films = [same_film.Film(name, Path(path)) for name, path in (kept, other)]
    try:
        return same_film.objection(films[0], films[1], begins_ns)
    except Exception:  # noqa: BLE001 - decoders raise anything; what cannot be decoded is no evidence
        return UNSURE


def main() -> None:
    asked = json.load(sys.stdin)
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Somebody waits for the end of `damfs dedupe`, and its limit of time is of wall-clock time.
    settle_in(Situation(parent=os.getppid(), memory_limit=asked["memory"], threads=1, gives_way=False))
    with answer:
        json.dump(answers(tuple(asked["kept"]), [tuple(each) for each in asked["others"]]), answer)


if __name__ == "__main__":
    main()
