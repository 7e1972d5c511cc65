"""Which blobs look like one: candidates by vectors and marks, each looked at closely before it counts.

Blocks (tens of milliseconds a candidate); for reader threads. The cost for one blob does not grow with the library:
a fixed number of candidates, found by index. Holds nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from damfs.catalog import assets, derived, duplicates
from damfs.catalog.database import Connection
from damfs.catalog.duplicates import Near
from damfs.catalog.embedder import EFFICIENTNET
from damfs.core.nearest import Nearest
from damfs.core.processors.processor import LOOK_MODEL
from damfs.core.similar import OWN_PICTURES
from damfs.model import BlobId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from damfs.core.alignment import Fit, Prepared
    from damfs.core.sequences import Overlap
    from damfs.core.sequences import Sequence as Clip

PROCESSOR = "fingerprint"
MARK: Final = "2"
"""Version of the comparison: another one compares everything again."""
CANDIDATES, TURNED_CANDIDATES, CLIPS = 10, 3, 20
FLOORS = {LOOK_MODEL: 0.5, EFFICIENTNET: 0.4}
"""Likeness below which a candidate is not worth looking at; of a person's own model `OWN_FLOOR`."""
OWN_FLOOR = 0.6
BURST = 0.8
"""Correlation of whole pictures below which they are two of one scene. Above it they may be so as well: thumbnails do
not show closed eyes, so nothing is moved for it alone (see `close_looks`)."""
WHOLE = 0.9
"""Share of a picture that counts as all of it."""
BITS = 128


@dataclass(frozen=True, slots=True)
class Looks:
    """What is known of how a blob looks."""

    blob: BlobId
    small: NDArray[np.uint8] | None
    turned: NDArray[np.float32] | None
    """The built-in descriptor of the picture mirrored and turned."""
    clip: Clip | None
    vectors: tuple[tuple[str, NDArray[np.float32]], ...] = ()


def looks_of(connection: Connection, blob: BlobId) -> Looks | None:
    """None where no fingerprint was taken, or it makes no sense."""
    import numpy as np

    text = duplicates.fingerprint(connection, blob, PROCESSOR)
    found = None if text is None else looks_of_facts(blob, text)
    if found is None or found.clip is not None:
        return found
    models = [model for model in derived.models_of(connection, blob) if _floor(model) is not None]
    rows = [(model, derived.vector_of(connection, blob, model)) for model in models]
    vectors = tuple((model, np.frombuffer(row, dtype="<f4")) for model, row in rows if row is not None)
    return Looks(blob, found.small, found.turned, None, vectors)


def looks_of_facts(blob: BlobId, text: str) -> Looks | None:
    """Pure. Facts may come from anywhere: what does not fit together is None."""
    import numpy as np

    from damfs.core.sequences import sequence

    try:
        facts = msgspec.json.decode(text, type=_Facts)
        small = np.frombuffer(base64.b64decode(facts.small), np.uint8).reshape(-1, max(1, facts.width))
        turned = np.frombuffer(base64.b64decode(facts.turned), "<f2").astype(np.float32).reshape(4, -1)
        clip = sequence(base64.b64decode(facts.marks), facts.times_ms) if facts.marks else None
    except (ValueError, msgspec.MsgspecError):
        return None
    return Looks(blob, small if min(small.shape) >= 4 else None, turned, clip)


class _Facts(msgspec.Struct):
    width: int = 1
    small: str = ""
    turned: str = ""
    marks: str = ""
    times_ms: list[int] = []


def find_near(connection: Connection, nearest: Nearest, own: Looks) -> list[Near]:
    """All that look like it, nearest first."""
    if own.clip is not None:
        found = [near for blob in _like_clips(connection, own) if (near := _compared_clips(connection, own, blob))]
    else:
        found = [
            near for blob in _like_pictures(connection, nearest, own) if (near := _compared(connection, own, blob))
        ]
    return sorted(found, key=lambda near: (near.distance, near.other))


def _like_clips(connection: Connection, own: Looks) -> list[BlobId]:
    from damfs.core.sequences import band_values

    assert own.clip is not None
    return duplicates.blobs_with_marks(connection, band_values(own.clip), own.blob, CLIPS)


def _like_pictures(connection: Connection, nearest: Nearest, own: Looks) -> list[BlobId]:
    wanted = [(model, vector, CANDIDATES) for model, vector in own.vectors]
    if own.turned is not None:
        wanted += [(LOOK_MODEL, vector, TURNED_CANDIDATES) for vector in own.turned if vector.any()]
    found: dict[BlobId, None] = {}
    for model, vector, count in wanted:
        floor = _floor(model)
        for hit in nearest.nearest(connection, model, vector, count + 1):
            asset = assets.asset(connection, hit.asset)
            if asset is not None and asset.blob not in {None, own.blob} and hit.score >= (floor or 1):
                assert asset.blob is not None
                found[asset.blob] = None
    return list(found)


def _floor(model: str) -> float | None:
    """None for models that know words, and not pictures."""
    return OWN_FLOOR if model.endswith(OWN_PICTURES) else FLOORS.get(model)


def _compared(connection: Connection, own: Looks, blob: BlobId) -> Near | None:
    from damfs.core.alignment import fit

    text = duplicates.fingerprint(connection, blob, PROCESSOR)
    other = None if text is None else looks_of_facts(blob, text)
    if other is None or other.small is None or own.small is None or other.clip is not None:
        return None
    found = fit(
        _prepared(own.blob, own.small.tobytes(), own.small.shape[1]),
        _prepared(blob, other.small.tobytes(), other.small.shape[1]),
    )
    return None if found is None else Near(blob, round(1 - found.correlation, 3), picture_reason(found))


@lru_cache(maxsize=64)
def _prepared(blob: BlobId, small: bytes, width: int) -> Prepared:  # the id only tells the cache's entries apart
    import numpy as np

    from damfs.core.alignment import prepare

    return prepare(np.frombuffer(small, np.uint8).reshape(-1, width))


def picture_reason(found: Fit) -> str:
    if found.share < WHOLE:
        words = f"one shows {found.share:.0%} of the other"
    elif found.correlation < BURST:
        words = "much the same view"
    else:
        words = "the same picture"
    return f"{words}, {found.turn}" if found.turn else words


def _compared_clips(connection: Connection, own: Looks, blob: BlobId) -> Near | None:
    from damfs.core.sequences import overlap

    text = duplicates.fingerprint(connection, blob, PROCESSOR)
    other = None if text is None else looks_of_facts(blob, text)
    if other is None or other.clip is None or own.clip is None:
        return None
    ordered = (own.clip, other.clip) if own.blob < blob else (other.clip, own.clip)
    found = overlap(*ordered)
    return None if found is None else Near(blob, round(found.bits / BITS * 2, 3), clip_reason(found))


def clip_reason(found: Overlap) -> str:
    """``share`` is of the shorter one."""
    if not found.is_placed:
        return "the same film, or another take of the same view: too little moves to tell"
    what = "the same film" if found.share >= WHOLE else f"{found.share:.0%} of the same film"
    seconds = abs(found.offset_ms) / 1000
    return what if seconds < 1 else f"{what}, one begins {seconds:.1f} s into the other"


def clip_marks(own: Looks) -> Sequence[int]:
    """What others find it by."""
    from damfs.core.sequences import BAND_MOMENTS, band_values

    return [] if own.clip is None else band_values(own.clip, BAND_MOMENTS)
