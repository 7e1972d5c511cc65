"""clips/<asset>/ and frames/<asset>/: pieces and single frames of clips, called by their times.

Asking for a name makes the file; listings show what was made. Only assets that have some are listed; any other clip is
reachable by name. Point reads; `list` scans what was made.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from damfs.catalog import assets, derived, predicates
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Everything
from damfs.core.asset_names import is_text
from damfs.core.on_demand import ENDINGS, Wanted
from damfs.core.spans import length_of, moment_of, span_of, time_name
from damfs.errors import NotEmpty
from damfs.model import Asset, AssetId, BlobId, Facet, Media, Rendition, RenditionId, RenditionKind
from damfs.presentation.views.facet import find
from damfs.presentation.views.names import qualified
from damfs.presentation.views.view import (
    READ_DIRECTORY,
    READ_FILE,
    WRITE_DIRECTORY,
    Commands,
    Entry,
    Place,
    Thing,
    ThingKind,
    View,
)

WHY = ".txt"


class Cuts(View):
    """*MUST* set ``kind`` and ``media``, and say which names have a meaning for a clip of some length."""

    raw_names = True
    indexed = True
    kind: ClassVar[RenditionKind]
    media: ClassVar[frozenset[Media]]

    example: ClassVar[str]
    """What is wanted, and how to name it."""

    @abstractmethod
    def least_of(self, name: str) -> int | None:
        """How long a clip has to be that has this, in milliseconds; None for a name that means nothing."""

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not is_text(name):
            return None
        if place.id is None:
            asset = find(connection, Everything(), name)
            fits = asset is not None and asset.media in self.media
            return self._directory(name, asset.id) if fits and asset is not None else None
        blob, ending = self._blob(connection, place), ENDINGS[self.kind]
        if blob is not None and name.endswith(WHY):
            return self._why(blob, name)
        if blob is None or not name.endswith(ending):
            return None
        found = derived.rendition_of(connection, blob, self.kind, name.removesuffix(ending))
        return None if found is None else cut_entry(found)

    def _why(self, blob: BlobId, name: str) -> Entry | None:
        """The text that says why a piece could not be made, beside where it would be."""
        profile = name.removesuffix(WHY).removesuffix(ENDINGS[self.kind])
        text = self.library.not_made.get((blob, self.kind, profile))
        if text is None or name != profile + ENDINGS[self.kind] + WHY:
            return None
        said = f"{name.removesuffix(WHY)} could not be made: {text}\n"
        thing = Thing(ThingKind.TEXT, self.library.complaints.add(said))
        return Entry(name, thing, len(said.encode("utf-8", "backslashreplace")), self.library.made_ns, READ_FILE)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            return [
                self._directory(name if bare and "~" not in name else qualified(name, id_), id_)
                for id_, name, bare in derived.list_with(connection, self.kind)
            ]
        blob = self._blob(connection, place)
        if blob is None:
            return []
        failed = [profile for of, kind, profile in list(self.library.not_made) if (of, kind) == (blob, self.kind)]
        whys = [self._why(blob, profile + ENDINGS[self.kind] + WHY) for profile in failed]
        made = [cut_entry(row) for row in derived.list_of_kind(connection, blob, self.kind)]
        return [*made, *(why for why in whys if why is not None)]

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = self.lookup(connection, place, name)
        if entry is None or isinstance(entry.node, Thing) or entry.node.id is None:
            return entry
        return entry if self.list(connection, entry.node) else None

    def wanted(self, connection: Connection, place: Place, name: str) -> Wanted | None:
        asset = self._asset(connection, place)
        if asset is None or asset.blob is None:
            return None
        length = derived.facts_by(connection, asset.blob, "probe").get("duration_ns")
        least_ms = self.least_of(name)
        if isinstance(length, int) and least_ms is not None and least_ms <= length_of(length):
            return Wanted(asset.id, asset.blob, self.kind, name.removesuffix(ENDINGS[self.kind]))
        if name.endswith(ENDINGS[self.kind]):
            self._explain(name, asset, length, means=least_ms is not None)
        return None

    def _explain(self, name: str, asset: Asset, length: object, *, means: bool) -> None:
        """Programs are told only that it is not there. ``means``: whether the name is one of a piece or frame."""
        if not means:
            why = f"{name} is no {self.example}"
        elif isinstance(length, int):
            ends = time_name(length_of(length)).replace("-", ":")
            why = f"{name} cannot be there: {asset.name} ends at {ends}; name times up to that"
        else:
            why = f"{name} cannot be there yet: {asset.name} was not looked at, or has no duration"
        self.library.refusals.add(f"lookup: {why}", self.library.clock())

    def discards(self, entry: Entry) -> RenditionId | None:
        return RenditionId(entry.node.id) if isinstance(entry.node, Thing) and entry.node.id else None

    def remove_dir(self, connection: Connection, place: Place, name: str) -> Commands:
        """An empty one is shown nowhere; it is there again when somebody asks for a piece."""
        entry = self.lookup(connection, place, name)
        if place.id is not None or entry is None or isinstance(entry.node, Thing):
            raise self.refusal(place)
        if self.list(connection, entry.node):
            raise NotEmpty(f"{name} holds pieces; remove them first")
        return ()

    def mode(self, place: Place) -> int:
        return WRITE_DIRECTORY  # what was made can be removed

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        if place.id is None:
            return ()
        asset = assets.asset(connection, AssetId(place.id))
        return None if asset is None else (qualified(asset.name, asset.id),)

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if place.id is None:
            return frozenset({predicates.ALL_FACET, predicates.CUTS_FACET})
        return frozenset({predicates.cuts_facet(AssetId(place.id))})

    def _asset(self, connection: Connection, place: Place) -> Asset | None:
        return None if place.id is None else assets.asset(connection, AssetId(place.id))

    def _blob(self, connection: Connection, place: Place) -> BlobId | None:
        asset = self._asset(connection, place)
        return None if asset is None else asset.blob

    def _directory(self, name: str, asset: AssetId) -> Entry:
        return Entry(name, self.place_of(asset), 0, 0, READ_DIRECTORY)


class Clips(Cuts):
    """``00-01-12.000_00-01-20.500.mov``, and with ``_exact`` before the ending."""

    name = "clips"
    place_kind = 41
    kind = RenditionKind.CLIP
    media = frozenset({Media.VIDEO, Media.AUDIO})
    example = "piece: name it like 00-00-01.000_00-00-02.500.mov, the end later than the beginning"

    def least_of(self, name: str) -> int | None:
        span = span_of(name)
        return None if span is None else span.least_ms


class Frames(Cuts):
    """``00-01-12.040.jpg``."""

    name = "frames"
    place_kind = 42
    kind = RenditionKind.FRAME
    media = frozenset({Media.VIDEO})

    example = "frame: name it like 00-00-01.000.jpg"

    def least_of(self, name: str) -> int | None:
        at_ms = moment_of(name)
        return None if at_ms is None else at_ms + 1


def cut_entry(row: Rendition) -> Entry:
    return Entry(row.profile + ENDINGS[row.kind], Thing(ThingKind.RENDITION, row.id), row.size, row.made_ns, READ_FILE)
