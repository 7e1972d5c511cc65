"""What old catalogs of a library still tell: the one that was lost, and where that has gaps the newest backup.

Blocks, writes nothing. The first source that knows an asset has the word; tags of a catalog with gaps are completed
from the backup, so that one which was taken away since may come back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from damfs.catalog.old_rows import (
    OldAsset,
    OldAttribute,
    OldBlob,
    OldPlainTagging,
    OldRemark,
    OldRewrite,
    OldSearch,
    OldStore,
    OldTagging,
    OldTerm,
)
from damfs.catalog.remarks import SILENT, Remark
from damfs.catalog.salvage import Salvage
from damfs.catalog.vocabulary import GivenTag
from damfs.core.backups import newest_first
from damfs.core.old_notes import Noted, brought_up, completed, is_of, noted_in, together
from damfs.core.old_terms import Judged, SaidOfTerm, judged, said_of_terms
from damfs.core.restoring import KnownAsset, Place
from damfs.core.store_notes import StoreNotes
from damfs.model import AssetState, Digest

DIGEST_SIZE = 32
TOLD = (
    "store",
    "folder",
    "blob",
    "asset",
    "copy",
    "version",
    "term",
    "tagging",
    "remark",
    "attribute",
    "term_label",
    "term_note",
    "term_detail",
    "term_relation",
    "judgement",
    "saved_search",
)
"""Tables whose gaps are worth a look into a backup; what was derived can be made again."""
DERIVED = ("blob", "fact", "rendition", "embedding", "job")
NUMBERED = ("asset", "version", "folder", "rendition", "change")
"""Tables whose ids others know: inode numbers."""

Tags = dict[int, list[GivenTag]]
Attributes = dict[int, list[tuple[bytes, bytes]]]


@dataclass(slots=True)
class Learnt:
    """Ids are the old ones, the same in a catalog and its backups."""

    sources: list[str] = field(default_factory=list)
    library_id: str | None = None
    made_ns: str | None = None
    stores: dict[str, OldStore] = field(default_factory=dict)
    terms: dict[str, str | None] = field(default_factory=dict)
    """Name to that of the broader term; broader ones first."""
    searches: dict[str, None] = field(default_factory=dict)
    """Those that were kept."""
    said: dict[str, SaidOfTerm] = field(default_factory=dict)
    """Of terms, by their names."""
    judged: Judged = field(default_factory=dict)
    assets: dict[int, KnownAsset] = field(default_factory=dict)
    receiving: dict[int, OldAsset] = field(default_factory=dict)
    arrived: set[int] = field(default_factory=set)
    """Ids of all assets that are known to have arrived."""
    rewriting: dict[int, int] = field(default_factory=dict)
    """Those that were being written again, with whether their last close was seen."""
    noted: Noted = field(default_factory=Noted)
    """What the files do not say, of the notes of the store where no catalog could be read without gaps."""
    from_notes: bool = False
    old_versions: int = 0
    """Earlier ones, as far as anything knows of them."""
    highest: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    """By source and table."""
    derived_from: Path | None = None
    """A catalog that tells without gaps what was derived."""


@contextmanager
def salvaged(path: Path) -> Iterator[Salvage]:
    with closing(Salvage(path)) as old:
        yield old


def learn(catalog: Path, backups: Path, notes: StoreNotes, asides: Sequence[StoreNotes] = ()) -> Learnt:
    """From the catalog and, where that has gaps, from the notes of the store and the newest backup that can be read.
    ``asides``: notes that an older catalog found when it came back."""
    learnt = Learnt()
    whole = catalog.is_file() and _learn_from(learnt, catalog)
    for backup in newest_first(backups) if not whole else ():
        if _learn_from(learnt, backup):
            break
    learnt.terms = _broader_first(learnt.terms)
    _compare(learnt, notes, whole=whole and not _is_older(learnt, notes))
    for aside in asides:
        if aside.library == learnt.library_id:
            learnt.noted = completed(learnt.noted, aside, learnt.assets)
    learnt.old_versions = sum(len(note.versions) - 1 for note in learnt.noted.assets.values())
    return learnt


def _is_older(learnt: Learnt, notes: StoreNotes) -> bool:
    """Whether the catalog is a backup that was brought back."""
    return notes.library == learnt.library_id and notes.seq > learnt.highest.get("change", 0)


def _compare(learnt: Learnt, notes: StoreNotes, *, whole: bool) -> None:
    learnt.library_id = learnt.library_id or notes.library
    learnt.from_notes = not whole and notes.library is not None
    learnt.noted = together(learnt.noted, notes, whole=whole)
    for id_, known in learnt.assets.items() if learnt.from_notes else ():
        note = learnt.noted.assets.get(id_)
        if note is None or is_of(known, note):
            learnt.assets[id_] = brought_up(known, note)


def _learn_from(learnt: Learnt, path: Path) -> bool:
    """Whether all that matters could be read."""
    with salvaged(path) as old:
        before = len(learnt.assets), len(learnt.terms), len(learnt.stores)
        learnt.library_id = learnt.library_id or old.property_value("library-id")
        learnt.made_ns = learnt.made_ns or old.property_value("made-ns")
        for store in old.each(OldStore):
            learnt.stores.setdefault(store.name, store)
        tags = _tags(learnt, old)
        _assets(learnt, old, tags)
        learnt.searches |= {row.query: None for row in (old.each(OldSearch) if old.has("saved_search") else ())}
        for table in NUMBERED:
            learnt.highest[table] = max(learnt.highest.get(table, 0), old.highest(table))
        if before != (len(learnt.assets), len(learnt.terms), len(learnt.stores)):
            learnt.sources.append(path.name)
        whole = not any(old.lost[table] for table in TOLD)
        learnt.lost.update({f"{table} of {path.name}": number for table, number in sorted(old.lost.items()) if number})
    if learnt.derived_from is None and _is_whole(path):
        learnt.derived_from = path
    return whole


def _is_whole(path: Path) -> bool:
    """Whether everything derived can be read: half of it would look as if the rest did not exist."""
    with salvaged(path) as old:
        for _ in old.derived():
            pass
        return old.highest("blob") > 0 and not any(old.lost[table] for table in DERIVED)


def _tags(learnt: Learnt, old: Salvage) -> Tags:
    terms = {term.id: term for term in old.each(OldTerm)}
    for term in terms.values():
        above = None if term.broader is None else terms.get(term.broader)
        learnt.terms.setdefault(term.name, None if above is None else above.name)
    names = {id_: term.name for id_, term in terms.items()}
    learnt.said = {**said_of_terms(old, names), **learnt.said}
    learnt.judged = {**judged(old, names), **learnt.judged}
    tags: Tags = defaultdict(list)
    plain = old.has("tagging") and not old.has_column("tagging", "model")
    rows: Iterator[OldTagging | OldPlainTagging] = old.each(OldPlainTagging) if plain else old.each(OldTagging)
    for row in rows:
        if row.term in terms:
            given = GivenTag(terms[row.term].name, row.source, row.confidence, row.processor, row.model)
            tags[row.asset].append(given)
    return tags


def _assets(learnt: Learnt, old: Salvage, tags: Tags) -> None:
    blobs = {blob.id: blob for blob in old.each(OldBlob) if len(blob.digest) == DIGEST_SIZE}
    rows, tree = list(old.each(OldAsset)), old.tree()
    remarks, attributes = _remarks(old)
    noted = noted_in(old, rows, blobs, tree)
    learnt.noted = Noted({**noted.assets, **learnt.noted.assets}, {**noted.folders, **learnt.noted.folders})
    for rewrite in old.each(OldRewrite):
        learnt.rewriting.setdefault(rewrite.asset, rewrite.closed)
    if old.lost["rewrite"] < 0:  # schema 1 had no such table
        del old.lost["rewrite"]
    for row in rows:
        if row.state is AssetState.RECEIVING and row.id not in learnt.arrived:
            learnt.receiving.setdefault(row.id, row)
        elif row.state is not AssetState.RECEIVING and row.blob in blobs:
            learnt.arrived.add(row.id)
            lie = [Place(each.store, each.key) for each in tree.files.get(row.id, []) if each.blob == row.blob]
            new = KnownAsset(
                row, Digest(blobs[row.blob].digest), lie, tags.get(row.id, []),
                remarks.get(row.id, SILENT), attributes.get(row.id, []), learnt.judged.get(row.id, []),
            )  # fmt: skip
            learnt.assets[row.id] = _together(learnt.assets.get(row.id), new)


def _remarks(old: Salvage) -> tuple[dict[int, Remark], Attributes]:
    """A catalog of schema 1 has none: nothing is lost there."""
    remarks, attributes = dict[int, Remark](), Attributes()
    for row in old.each(OldRemark) if old.has("remark") else ():
        remarks[row.asset] = Remark(row.rating, row.comment)
    for one in old.each(OldAttribute) if old.has("attribute") else ():
        attributes.setdefault(one.asset, []).append((one.name, one.value))
    return remarks, attributes


def _together(known: KnownAsset | None, new: KnownAsset) -> KnownAsset:
    """What an earlier source said, completed."""
    if known is None:
        return new
    names = {tag.term for tag in known.tags}
    tags = [*known.tags, *(tag for tag in new.tags if tag.term not in names)]
    return replace(
        known, places=known.places or new.places, tags=tags,
        remark=new.remark if known.remark == SILENT else known.remark, attributes=known.attributes or new.attributes,
    )  # fmt: skip


def _broader_first(terms: dict[str, str | None]) -> dict[str, str | None]:
    """A term after its broader one; one in a circle, or whose broader term is lost, becomes a top term."""
    ordered: dict[str, str | None] = {}

    def place(name: str, above: frozenset[str]) -> None:
        broader = terms[name]
        if name in ordered:
            return
        if broader is None or broader not in terms or broader in above:
            ordered[name] = None
            return
        place(broader, above | {name})
        ordered[name] = broader

    for name in terms:
        place(name, frozenset({name}))
    return ordered
