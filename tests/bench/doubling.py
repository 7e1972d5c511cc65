"""How surely near duplicates are found: precision and recall, over edits of pictures and clips and for each of them.

No model is used: what is found by the built-in descriptor alone is found on every machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from damfs.catalog import assets, derived, duplicates, stores
from damfs.core.library import Library, make_library, open_library
from damfs.core.near_duplicates import Looks, clip_marks, find_near, looks_of_facts
from damfs.core.processors.fingerprint import clip_facts, picture_facts
from damfs.core.processors.look import look
from damfs.core.processors.processor import LOOK_MODEL
from damfs.model import BlobId, Digest, Media
from tests.bench.edits import CLIP_EDITS, EDITS, edited_clip, film, pictures
from tests.bench.figure import Figure, figure
from tests.bench.ground import Ground

FILM_S = 12.0
SHOTS = 3
NOBODY = BlobId(0)


@dataclass(slots=True)
class Tally:
    """``right``: queries that found what they are a copy of. ``found``: everything that was found."""

    asked: int = 0
    right: int = 0
    found: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.asked, self.right, self.found = (
            self.asked + other.asked,
            self.right + other.right,
            self.found + other.found,
        )
        self.seconds += other.seconds

    def plain(self) -> dict[str, float]:
        return {"recall": round(self.right / self.asked, 3), "precision": round(self.right / max(1, self.found), 3)}


def measure(ground: Ground) -> Iterator[Figure]:
    """Edits of some of the pictures (films) are looked for among all of them."""
    many, asked = ground.size.alike
    shown, what = pictures(many)
    with tempfile.TemporaryDirectory(dir=ground.directory) as directory:
        make_library(Path(directory) / "library")
        with open_library(Path(directory) / "library") as library:
            ground.say(f"duplicates: {len(shown)} {what} …")
            yield from _figures("pictures", _pictures(library, shown, asked), {"among": len(shown), "of": what})
            films = [shown[start : start + SHOTS] for start in range(0, len(shown) - SHOTS + 1, SHOTS)]
            ground.say(f"duplicates: {len(films)} films …")
            found = _films(library, films[: 2 * asked], asked, Path(directory))
            yield from _figures("films", found, {"among": len(films[: 2 * asked]), "of": what})


def _figures(name: str, tallies: Mapping[str, Tally], detail: Mapping[str, object]) -> Iterator[Figure]:
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    each = {edit: tally.plain() for edit, tally in tallies.items()}
    shares = total.plain()
    yield figure(f"alike-{name}-recall", "share", [shares["recall"]], None, {**detail, "by_edit": each})
    yield figure(f"alike-{name}-precision", "share", [shares["precision"]], None, {**detail, "asked": total.asked})
    yield figure(f"alike-{name}-seconds", "s", total.seconds, None, {"what": "to compare one with all"})


def _pictures(library: Library, shown: list[Image.Image], asked: int) -> dict[str, Tally]:
    blobs = [_added(library, f"{number}.jpg", Media.IMAGE, _looked_at(each)) for number, each in enumerate(shown)]
    tallies = {edit: Tally() for edit in EDITS}
    for name, edit in EDITS.items():
        for picture, blob in zip(shown[:asked], blobs, strict=False):
            _ask(library, _looked_at(edit(picture)), blob, tallies[name])
    return tallies


def _films(library: Library, films: list[list[Image.Image]], asked: int, directory: Path) -> dict[str, Tally]:
    paths = [film(directory / f"{number}.mp4", shots, FILM_S) for number, shots in enumerate(films)]
    blobs = [_added(library, path.name, Media.VIDEO, _watched(path, FILM_S)) for path in paths]
    tallies = {edit: Tally() for edit in CLIP_EDITS}
    for name, (begin, end, _, _) in CLIP_EDITS.items():
        for path, blob in list(zip(paths, blobs, strict=True))[:asked]:
            edited = edited_clip(path, directory / "edited.mp4", name)
            _ask(library, _watched(edited, FILM_S * (end - begin)), blob, tallies[name])
    return tallies


def _looked_at(picture: Image.Image) -> Looks:
    facts = looks_of_facts(NOBODY, msgspec.json.encode(picture_facts(picture.copy())).decode())
    assert facts is not None
    return Looks(NOBODY, facts.small, facts.turned, None, ((LOOK_MODEL, look(picture).astype("<f4")),))


def _watched(path: Path, seconds: float) -> Looks:
    facts = looks_of_facts(NOBODY, msgspec.json.encode(clip_facts(path, path.name, round(seconds * 1e9))).decode())
    assert facts is not None
    return facts


def _added(library: Library, name: str, media: Media, looks: Looks) -> BlobId:
    """An asset that looks like that, in the library."""
    with library.db.transaction() as tx:
        blob = stores.ensure_blob(tx, Digest(blake2b(name.encode(), digest_size=32).digest()), 1)
        assets.insert_present(tx, name, media, blob, 1, 1, 0o644, "2024-07-15", 1)
        derived.set_facts(tx, blob, "fingerprint", _facts(looks))
        duplicates.set_clip_marks(tx, blob, clip_marks(looks))
        for model, vector in looks.vectors:
            derived.set_embedding(tx, blob, model, None, np.asarray(vector, "<f4").tobytes())
    return blob


def _facts(looks: Looks) -> dict[str, object]:
    from base64 import b64encode

    if looks.clip is not None:
        times = [int(each) for each in looks.clip.times_ms]
        return {"marks": b64encode(looks.clip.marks.tobytes()).decode(), "times_ms": times}
    assert looks.small is not None
    return {"small": b64encode(looks.small.tobytes()).decode(), "width": looks.small.shape[1]}


def _ask(library: Library, looks: Looks, wanted: BlobId, tally: Tally) -> None:
    began = time.perf_counter()
    found = find_near(library.db.writer, library.vectors, looks)
    tally.seconds.append(time.perf_counter() - began)
    tally.asked += 1
    tally.found += len(found)
    tally.right += any(near.other == wanted for near in found)
