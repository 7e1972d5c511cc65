"""How well terms are found for pictures that were never tagged: shares of right answers, and how often a suggestion is
right, on the captioned pictures of Debian's tuxpaint-stamps-default.

What a picture shows says the folder it is in. The rule is the product's own (`Judge`, its scale); beside it stands the
margin between the best and the second term alone. Without the package, or in the tiny size, nothing is measured.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from damfs.catalog.embedder import CONSE, PICTURE_BATCH, load_embedder
from damfs.core.processors.auto_tag import Judge, Phrased, phrased
from tests.bench.figure import SIZES, Figure, figure
from tests.bench.ground import Ground

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAMPS = Path("/usr/share/tuxpaint/stamps")
SHOWS = {
    "animals/birds": "bird", "animals/insects": "insect", "animals/fish": "fish", "animals/mammals": "mammal",
    "food/fruit": "fruit", "food/vegetables": "vegetable", "food/nuts": "nut", "plants/flowers": "flower",
    "plants/trees": "tree", "plants/mushrooms": "mushroom", "town/roadsigns": "road sign", "household/tools": "tool",
    "clothes/hats": "hat", "clothes": "clothing", "sports": "sport", "hobbies/music": "musical instrument",
    "vehicles": "vehicle", "military/vehicles": "vehicle", "space/planets": "planet", "symbols/money": "money",
    "symbols/chess": "chess piece", "seasonal/christmas": "christmas decoration", "household/dishes": "tableware",
    "town/flags": "flag", "naturalforces": "weather",
}  # fmt: skip
"""Folder to what its pictures show; the longest that fits counts. Folders of drawings are left out."""
ALSO = {"hat": {"clothing"}}
DECOYS = (
    "insurance", "meeting", "wedding", "beach", "sunset", "mountain", "city street", "office", "portrait of a person",
    "river", "kitchen", "concert", "document", "computer", "phone", "book", "baby", "crowd", "building", "bridge",
    "desert", "bag", "forest",
)  # fmt: skip
"""Terms that none of the pictures shows: most of a real vocabulary is of that kind."""
FEW, MANY = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14), (15, 20, 26, 40)
VOCABULARIES, AT_ONCE = 60, 40
"""For each number of terms, and pictures shown to each."""
FLOOR, LEAST_MARGIN = 0.65, 0.10
"""Of the margin alone."""
ALONE = "the margin alone"


@dataclass(frozen=True, slots=True)
class Shown:
    picture: NDArray[np.float32]
    caption: str
    term: str

    @property
    def right(self) -> set[str]:
        return {self.term, *ALSO.get(self.term, ())}


@dataclass(slots=True)
class Tally:
    proposed: int = 0
    right: int = 0
    findable: int = 0
    """Pictures whose term was in the vocabulary."""
    by_size: dict[int, tuple[int, int]] = field(default_factory=dict)

    def add(self, size: int, answer: str | None, shown: Shown) -> None:
        proposed, right = self.by_size.get(size, (0, 0))
        self.by_size[size] = proposed + (answer is not None), right + (answer in shown.right)
        self.proposed += answer is not None
        self.right += answer in shown.right

    def precision(self) -> float:
        return self.right / max(self.proposed, 1)


def measure(ground: Ground) -> Iterator[Figure]:
    if ground.size is SIZES["tiny"] or not STAMPS.is_dir():
        ground.say("zeroshot: not measured (tiny, or no tuxpaint-stamps-default)")
        return
    ground.say("zeroshot …")
    judge = Judge(load_embedder("default", 0))
    shown = list(pictures(judge))
    terms = [phrased(name) for name in sorted({each.term for each in shown})]
    yield from shares(judge, shown, terms)
    every = [*terms, *map(phrased, DECOYS)]
    for name, sizes in (("zeroshot-few", FEW), ("zeroshot-many", MANY)):
        yield suggestions(name, judge, shown, every, sizes)


def stamps() -> Iterator[tuple[Path, str, str]]:
    """Picture, caption, and what it shows."""
    for path in sorted(STAMPS.rglob("*.png")):
        below = path.relative_to(STAMPS).as_posix()
        folder = max((each for each in SHOWS if below.startswith(each + "/")), key=len, default=None)
        caption = path.with_suffix(".txt")
        if folder is None or not caption.exists() or any(word in below for word in ("cartoon", "_mirror", "_flip")):
            continue
        first = caption.read_text(errors="replace").partition("\n")[0].strip()
        if first:
            yield path, first[0].lower() + first[1:].rstrip("."), SHOWS[folder]


def pictures(judge: Judge) -> Iterator[Shown]:
    every = list(stamps())
    for start in range(0, len(every), PICTURE_BATCH):
        batch = every[start : start + PICTURE_BATCH]
        made = judge.embedder.embed_pictures([on_white(path) for path, _, _ in batch])
        for vectors, (_, caption, term) in zip(made, batch, strict=True):
            yield Shown(vectors[CONSE], caption, term)


def on_white(path: Path) -> Image.Image:
    with Image.open(path) as image:
        cut_out = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", cut_out.size, "white"), cut_out).convert("RGB")


def shares(judge: Judge, shown: Sequence[Shown], terms: Sequence[Phrased]) -> Iterator[Figure]:
    """How often the right one of all terms is first, for captions and for pictures."""
    import numpy as np

    phrases = judge.embedder.embed_texts([term.phrase for term in terms])
    captions = judge.embedder.embed_texts([f"a photo of {each.caption}" for each in shown])
    names = [term.name for term in terms]
    most = max(sum(each.term == name for each in shown) for name in names) / len(shown)
    for what, vectors in (("caption", captions), ("picture", np.stack([each.picture for each in shown]))):
        ranked = np.argsort(-(vectors @ phrases.T), axis=1)
        top = {
            count: sum(
                bool(each.right & {names[term] for term in order[:count]})
                for each, order in zip(shown, ranked, strict=True)
            )
            / len(shown)
            for count in (1, 3)
        }
        detail = {"top3": top[3], "pictures": len(shown), "terms": len(terms)}
        yield figure(f"zeroshot-{what}", "share right", [top[1]], {"always the most frequent": [most]}, detail)


def suggestions(
    name: str, judge: Judge, shown: Sequence[Shown], terms: Sequence[Phrased], sizes: Sequence[int]
) -> Figure:
    """Of what is suggested in random vocabularies the share that is right."""
    chance = random.Random(11)
    rules: Mapping[str, Callable[[Shown, Sequence[Phrased]], str | None]] = {
        "scale": lambda each, terms: by_scale(judge, each, terms),
        ALONE: lambda each, terms: by_margin(judge, each, terms),
    }
    tallies = {rule: Tally() for rule in rules}
    for size in sizes:
        for _ in range(VOCABULARIES):
            vocabulary = chance.sample(terms, size)
            names = {term.name for term in vocabulary}
            for each in chance.sample(shown, AT_ONCE):
                for rule, ask in rules.items():
                    tallies[rule].add(size, ask(each, vocabulary), each)
                    tallies[rule].findable += bool(each.right & names)
    own, alone = tallies["scale"], tallies[ALONE]
    detail = {
        "suggested": own.proposed, "found": own.right / max(own.findable, 1),
        "found alone": alone.right / max(alone.findable, 1),
        "by size": {str(size): f"{right}/{all_}" for size, (all_, right) in own.by_size.items()},
    }  # fmt: skip
    return figure(name, "share right", [own.precision()], {ALONE: [alone.precision()]}, detail)


def by_scale(judge: Judge, shown: Shown, terms: Sequence[Phrased]) -> str | None:
    similarities = judge.similarities(shown.picture, terms)
    best, seen = judge.judged(shown.picture, similarities, terms)
    return terms[best].name if judge.scale.is_sure(seen) else None


def by_margin(judge: Judge, shown: Shown, terms: Sequence[Phrased]) -> str | None:
    similarities = judge.similarities(shown.picture, terms)
    first, second, *_ = [*sorted(similarities, reverse=True), FLOOR]
    return terms[similarities.index(first)].name if first - max(second, FLOOR) >= LEAST_MARGIN else None
