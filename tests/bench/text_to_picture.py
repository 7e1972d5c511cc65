"""Whether words find the picture that they describe: captioned photographs of Debian's tuxpaint-stamps-default.

Each English caption is asked of all pictures, as a search does it; recall@10 is the share of captions whose own picture
is among the ten nearest. The model is the one of the environment variable DAMFS_BENCH_MODEL, else the default one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.catalog.embedder import Embedder, load_embedder, photo_of
from tests.bench.figure import Figure, figure
from tests.bench.ground import BenchFailed, Ground

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

STAMPS = Path("/usr/share/tuxpaint/stamps")
MODEL = "DAMFS_BENCH_MODEL"
AT = (1, 5, 10)
DRAWN = frozenset({"symbols", "cartoon", "flags", "roadsigns"})
"""Folders of letters, drawings and signs: no photographs."""


def measure(ground: Ground) -> Iterator[Figure]:
    import numpy as np

    pairs = captioned(STAMPS)
    if not pairs:
        raise BenchFailed(f"there are no pictures below {STAMPS}; apt-get install tuxpaint-stamps-default")
    name = os.environ.get(MODEL, "default")
    embedder = load_embedder(name, 0)
    if embedder.meeting_model is None:
        raise BenchFailed(f"the model {name} compares no words with pictures")
    ground.say(f"text-to-picture: {len(pairs)} captioned pictures, model {name} …")
    pictures = _pictures(embedder, [path for path, _ in pairs])
    words = embedder.embed_texts([photo_of(caption) for _, caption in pairs])
    scores = words @ pictures.T
    own = np.diag(scores)[:, None]
    ranks = (scores > own).sum(axis=1)
    recall = {f"recall_at_{at}": float((ranks < at).mean()) for at in AT}
    detail = {**recall, "pictures": len(pairs), "median_rank": float(np.median(ranks)) + 1, "space": embedder.id}
    yield figure("text-to-picture", "recall@10", [recall["recall_at_10"]], {"chance": [10 / len(pairs)]}, detail)


def captioned(folder: Path) -> list[tuple[Path, str]]:
    """Pictures with their English captions: the first line of the text file beside each. One for each caption."""
    found: dict[str, Path] = {}
    for picture in sorted(folder.rglob("*.png")):
        text = picture.with_suffix(".txt")
        if text.is_file() and DRAWN.isdisjoint(picture.relative_to(folder).parts):
            caption = text.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip().rstrip(".!")
            if caption:
                found.setdefault(caption, picture)
    return [(path, caption) for caption, path in found.items()]


def _pictures(embedder: Embedder, paths: list[Path]) -> NDArray[np.float32]:
    import numpy as np

    assert embedder.meeting_model is not None
    made = []
    for path in paths:
        (vectors,) = embedder.embed_pictures([on_white(path)])
        made.append(vectors[embedder.meeting_model])
    return np.stack(made)


def on_white(path: Path) -> Image:
    """As a preview shows a picture with a transparent background."""
    from PIL import Image

    with Image.open(path) as opened:
        cut_out = opened.convert("RGBA")
    white = Image.new("RGBA", cut_out.size, "white")
    return Image.alpha_composite(white, cut_out).convert("RGB")
