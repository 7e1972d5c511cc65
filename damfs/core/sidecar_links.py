"""Which file is a sidecar, and of which original: both name rules, and the command that keeps the answer.

`IMG_1.CR2.xmp` belongs to `IMG_1.CR2`. `IMG_1.xmp` belongs to the one file of that stem; of a RAW and its JPEG to the
RAW, of a clip and its sound to the clip. Names are pure; the command is applied like every command.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import assets, sidecars, stores
from damfs.catalog.database import Connection
from damfs.core.asset_names import split_ending
from damfs.core.commands import Execution
from damfs.core.media_types import media_of_name
from damfs.core.news import Seen, seen, tell
from damfs.model import AssetId, AssetState, Copy, CopyState, Media

ENDING = ".xmp"
RAW = frozenset(
    {
        "dng", "cr2", "cr3", "crw", "nef", "nrw", "arw", "srf", "sr2", "raf", "rw2", "orf", "pef", "x3f", "3fr", "iiq",
        "r3d", "braw",
    }
)  # fmt: skip
RANKS = {Media.VIDEO: 1, Media.IMAGE: 2, Media.AUDIO: 3, Media.OTHER: 4}


def is_sidecar_name(name: str | bytes) -> bool:
    text = name.decode("utf-8", "replace") if isinstance(name, bytes) else name
    return len(text) > len(ENDING) and text.lower().endswith(ENDING)


def spoken_of(sidecar: bytes, beside: list[bytes]) -> bytes | None:
    """Which of the files ``beside`` it, all of its stem, a sidecar of the second rule belongs to; None: it is not
    clear."""
    ranked = sorted((_rank(name), name) for name in beside if name != sidecar and not is_sidecar_name(name))
    if not ranked or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return None
    return ranked[0][1]


def _rank(name: bytes) -> int:
    text = name.decode("utf-8", "replace")
    ending = split_ending(text.lower())[1].removeprefix(".")
    return 0 if ending in RAW else RANKS[media_of_name(text)]


def sidecar_name(original: bytes, like: bytes) -> bytes:
    """What the sidecar called ``like`` is called beside a file called ``original``: by the same rule as now."""
    stem, ending = like[: -len(ENDING)], like[-len(ENDING) :]
    has_ending = split_ending(stem.decode("utf-8", "replace"))[1].lower()
    own = split_ending(original.decode("utf-8", "replace"))[1]
    if has_ending and has_ending == own.lower():
        return original + ending
    return (original[: -len(own.encode())] if own else original) + ending


def original_of(connection: Connection, sidecar: AssetId) -> AssetId | None:
    """The asset that a file called like a sidecar stands beside; None where there is none."""
    for copy in current_copies(connection, sidecar):
        if is_sidecar_name(copy.name):
            found = _beside(connection, copy)
            if found is not None:
                return found
    return None


def stands_beside(connection: Connection, sidecar: AssetId, original: AssetId) -> bool:
    return original_of(connection, sidecar) == original


def sidecars_beside(connection: Connection, original: AssetId) -> list[AssetId]:
    """Assets called like sidecars of one of its files, known as such or not."""
    found: dict[AssetId, None] = {}
    for copy in current_copies(connection, original):
        stem = split_ending(copy.name.decode("utf-8", "surrogateescape"))[0].encode("utf-8", "surrogateescape")
        for name in (copy.name, stem):
            for ending in (b".xmp", b".XMP"):
                there = stores.copy_at(connection, copy.folder, name + ending)
                if there is not None and there.state is CopyState.PRESENT:
                    found[there.asset] = None
    return list(found)


def current_copies(connection: Connection, asset: AssetId) -> list[Copy]:
    """Files with the bytes that the asset has now, trashed ones aside."""
    known = assets.asset(connection, asset)
    if known is None or known.state is not AssetState.PRESENT:
        return []
    copies = stores.copies_of_asset(connection, asset)
    return [copy for copy in copies if copy.blob == known.blob and copy.state is CopyState.PRESENT]


def _beside(connection: Connection, copy: Copy) -> AssetId | None:
    stem = copy.name[: -len(ENDING)]
    whole = stores.copy_at(connection, copy.folder, stem)
    if whole is not None and whole.state is CopyState.PRESENT and _is_shown(connection, whole):
        return whole.asset
    alike = [each for each in sidecars.copies_with_stem(connection, copy.folder, stem) if _is_shown(connection, each)]
    chosen = spoken_of(copy.name, [each.name for each in alike])
    return next((each.asset for each in alike if each.name == chosen), None)


def _is_shown(connection: Connection, copy: Copy) -> bool:
    """Not an earlier version, nor in the trash."""
    known = assets.asset(connection, copy.asset)
    return known is not None and known.state is AssetState.PRESENT and known.blob == copy.blob


@dataclass(frozen=True, slots=True)
class LinkSidecar:
    """Let the catalog know what a file called like a sidecar stands beside now. Answers with the original."""

    asset: AssetId

    def apply(self, x: Execution) -> AssetId | None:
        known, before = assets.asset(x.tx, self.asset), sidecars.of(x.tx, self.asset)
        if known is None or (known.state is not AssetState.PRESENT and before is not None):
            return None if before is None else before.original  # it comes back with its original
        original = original_of(x.tx, self.asset)
        if original is not None:
            self._take_day(x, original)
        if original == (None if before is None else before.original):
            return original
        was_seen = seen(x.tx, self.asset)
        if original is None:
            sidecars.unlink(x.tx, self.asset)
        else:
            sidecars.link(x.tx, self.asset, original)
        detail = {"original": original}
        tell(x.changes, "sidecar-linked", self.asset, _in_views(was_seen), detail=detail)
        return original

    def _take_day(self, x: Execution, original: AssetId) -> None:
        """It is of the day of its original: by-date/ has no directory for when sidecars were written."""
        day, own = assets.day_of(x.tx, original), assets.day_of(x.tx, self.asset)
        if day != own:
            before = seen(x.tx, self.asset)
            assets.set_day(x.tx, self.asset, day, None)
            tell(x.changes, "described", self.asset, before, seen(x.tx, self.asset))


def _in_views(shown: Seen) -> Seen:
    """All but the folders of its store, which go on showing it."""
    return shown._replace(facets=frozenset(each for each in shown.facets if not each.startswith("folder:")))
