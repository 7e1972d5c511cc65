"""What can be done to a library's metadata: verbs, as frozen values, applied together in one transaction.

`Library.execute` is the one door. ``apply`` runs on the loop inside the transaction: it checks, changes and records,
awaits nothing and touches no file. An error it raises undoes the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from zoneinfo import ZoneInfo

from damfs.catalog import (
    assets,
    folders,
    job_table,
    predicates,
    proposals,
    rewrites,
    stores,
    term_names,
    trash,
    vocabulary,
)
from damfs.catalog.change_feed import Recorder
from damfs.catalog.database import Connection
from damfs.catalog.proposals import NOBODY, Origin
from damfs.core.asset_names import clean_name
from damfs.core.media_types import media_of_name
from damfs.core.news import Seen, seen, seen_destination, seen_new, tell
from damfs.core.term_news import name_of, refuse_taken, tag_facets, tell_carriers, tell_namesakes
from damfs.errors import Conflict, NotEmpty, NotFound, Refused
from damfs.model import Asset, AssetId, AssetState, BlobId, Facts, Media, StoreId, StoreKind, TagSource, Term, TermId
from damfs.storage.droppings import is_dropping, is_temporary

R_co = TypeVar("R_co", covariant=True)


class JobPlanner(Protocol):
    """What commands ask of `Planner`, inside their transaction."""

    def plan_jobs(self, tx: Connection, blob: BlobId, at_ns: int) -> None:
        """Enqueue what is now due for a blob."""

    def plan_arrived(self, tx: Connection, arrived: Sequence[tuple[BlobId, str, Media, int]], at_ns: int) -> None:
        """The same for blobs that are new, each with the name, media and size of its only asset."""

    def forget_vocabulary(self) -> None:
        """The terms changed: what was remembered of them is stale."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What a command may use while it is applied."""

    tx: Connection
    changes: Recorder
    planner: JobPlanner
    today: str
    """The wall-clock day in the library's zone."""
    zone: ZoneInfo | None = None
    """Of capture times that carry none; None: this machine's."""
    open_vocabulary: bool = True
    """Whether a term can be defined by using it."""

    @property
    def at_ns(self) -> int:
        return self.changes.at_ns


class Command(Protocol, Generic[R_co]):
    """Something to do; ``apply`` answers with what the caller wants to know of it, or None."""

    def apply(self, x: Execution) -> R_co: ...


def known(x: Execution, id_: AssetId) -> Asset:
    found = assets.asset(x.tx, id_)
    if found is None:
        raise NotFound(f"no asset {id_}")
    return found


def known_term(x: Execution, id_: TermId) -> Term:
    found = vocabulary.term(x.tx, id_)
    if found is None:
        raise NotFound(f"no term {id_}")
    return found


def fit_name(raw: str) -> str:
    """A clean name that a person may give. Raises Refused for those that no place would show."""
    name = clean_name(raw)
    if is_dropping(name):
        raise Refused(f'"{name}" is a name that desktops leave behind; choose another one')
    return name


@dataclass(frozen=True, slots=True)
class AddStore:
    name: str
    kind: StoreKind
    root: str

    def apply(self, x: Execution) -> StoreId:
        if stores.store_named(x.tx, self.name) is not None:
            raise Conflict(f'there is a store named "{self.name}" already; choose another with --name')
        store = stores.add_store(x.tx, self.name, self.kind, self.root, x.at_ns)
        x.changes.record("store-added", {predicates.STORES_FACET}, detail={"store": self.name})
        return store


@dataclass(frozen=True, slots=True)
class SetOnline:
    store: StoreId
    online: bool

    def apply(self, x: Execution) -> None:
        stores.set_online(x.tx, self.store, self.online)
        if self.online:
            job_table.hasten(x.tx, x.at_ns)
        kind = "came-online" if self.online else "went-offline"
        x.changes.record(kind, {predicates.STORES_FACET}, detail={"store": self.store})


@dataclass(frozen=True, slots=True)
class Receive:
    """An asset from its first byte: its inode is final from here on."""

    name: str
    mode: int
    triaged: bool

    def apply(self, x: Execution) -> AssetId:
        name = clean_name(self.name)
        media = media_of_name(name)
        id_ = assets.insert_receiving(x.tx, name, media, self.mode, x.today, x.at_ns, triaged=self.triaged)
        tell(x.changes, "receiving", id_, seen_new(name, media, x.today, triaged=self.triaged))
        return id_


@dataclass(frozen=True, slots=True)
class ReceiveInto:
    """Receive, and make the new asset enter the place it was created in, in the same transaction."""

    receive: Receive
    enter: Callable[[AssetId], Sequence[Command[object]]] | None

    def apply(self, x: Execution) -> AssetId:
        id_ = self.receive.apply(x)
        for command in self.enter(id_) if self.enter is not None else ():
            command.apply(x)
        return id_


@dataclass(frozen=True, slots=True)
class Abandon:
    """Forget an asset that is still being received: its name was removed before it was whole."""

    asset: AssetId

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if asset.state is not AssetState.RECEIVING:
            raise Refused(f"{asset.name} has arrived and cannot be abandoned")
        before = seen(x.tx, self.asset)
        assets.delete(x.tx, self.asset)
        tell(x.changes, "abandoned", self.asset, before)


@dataclass(frozen=True, slots=True)
class AddTag:
    asset: AssetId
    term: TermId
    source: TagSource = TagSource.PERSON
    confidence: float = 1.0
    origin: Origin = NOBODY

    def apply(self, x: Execution) -> None:
        asset, term = known(x, self.asset), known_term(x, self.term)
        was_untagged = not vocabulary.terms_of(x.tx, self.asset)
        before = [each for each in vocabulary.taggings(x.tx, self.asset) if each.term == term.name]
        attached = vocabulary.attach(x.tx, self.asset, self.term, self.source, self.confidence, x.at_ns, self.origin)
        if not attached.changed:
            return
        touched = tag_facets(x.tx, self.term) | ({predicates.UNTAGGED_FACET} if was_untagged else frozenset())
        detail: Facts = {"term": term.name, "before": before}
        if attached.proposal is not None:
            touched |= predicates.proposed_facets(self.term)
            detail = {**detail, "proposed": attached.proposal}
        x.changes.record("tagged", touched, asset=self.asset, names=(asset.name,), detail=detail)


@dataclass(frozen=True, slots=True)
class RemoveTag:
    """Untag from the term and from every narrower one: the asset leaves the place. ``alone``: from that very term."""

    asset: AssetId
    term: TermId
    alone: bool = False

    def apply(self, x: Execution) -> None:
        asset, term = known(x, self.asset), known_term(x, self.term)
        before, taggings = vocabulary.terms_of(x.tx, self.asset), vocabulary.taggings(x.tx, self.asset)
        meant = (self.term,) if self.alone else vocabulary.carried_below(x.tx, self.asset, self.term)
        judged = proposals.judged_among(x.tx, [self.asset], meant)
        proposals.judge_taken_away(x.tx, self.asset, meant, x.at_ns)
        if not vocabulary.detach(x.tx, self.asset, meant):
            return
        left = vocabulary.taggings(x.tx, self.asset)
        gone = [each for each in taggings if each not in left]
        detail: Facts = {"term": term.name, "before": gone, "judged": judged}
        after = vocabulary.terms_of(x.tx, self.asset)
        touched = {predicates.tag_facet(each) for each in before - after}
        if not after:
            touched.add(predicates.UNTAGGED_FACET)
        x.changes.record("untagged", touched, asset=self.asset, names=(asset.name,), detail=detail)


@dataclass(frozen=True, slots=True)
class DefineTerm:
    name: str
    broader: TermId | None = None

    def apply(self, x: Execution) -> TermId:
        name = fit_name(self.name)
        refuse_taken(x.tx, name)
        if self.broader is not None:
            known_term(x, self.broader)
        term = vocabulary.define(x.tx, name, self.broader, x.at_ns)
        x.planner.forget_vocabulary()
        x.changes.record("term-defined", {predicates.narrower_facet(self.broader)}, names=(name,))
        tell_namesakes(x.tx, x.changes, name)
        return term


@dataclass(frozen=True, slots=True)
class RenameTerm:
    """Another name, another broader term, or both."""

    term: TermId
    name: str
    broader: TermId | None

    def apply(self, x: Execution) -> None:
        term, name = known_term(x, self.term), fit_name(self.name)
        refuse_taken(x.tx, name, self.term)
        above = None if self.broader is None else known_term(x, self.broader).id
        if above is not None and self.term in vocabulary.with_broader(x.tx, above):
            raise Refused(f'"{term.name}" cannot become narrower than itself')
        before = tag_facets(x.tx, self.term)
        labels = [label for label in term_names.labels(x.tx, self.term) if label.name == name]
        term_names.remove_label(x.tx, self.term, name)
        vocabulary.rename(x.tx, self.term, name)
        vocabulary.move(x.tx, self.term, self.broader)
        x.planner.forget_vocabulary()
        lists = {predicates.narrower_facet(term.broader), predicates.narrower_facet(self.broader)}
        detail: Facts = {"broader": name_of(x.tx, term.broader), "labels": labels}
        x.changes.record("term-renamed", lists, names=(term.name, name), detail=detail)
        tell_carriers(x.tx, x.changes, self.term, before ^ tag_facets(x.tx, self.term))
        if name != term.name:
            tell_namesakes(x.tx, x.changes, term.name)
            tell_namesakes(x.tx, x.changes, name)


@dataclass(frozen=True, slots=True)
class RemoveTerm:
    term: TermId

    def apply(self, x: Execution) -> None:
        term = known_term(x, self.term)
        if vocabulary.in_use(x.tx, self.term):
            raise NotEmpty(f'the term "{term.name}" is in use; untag its assets and remove narrower terms first')
        said = term_names.described(x.tx, self.term)
        detail: Facts = {"broader": name_of(x.tx, term.broader), "said": said}
        vocabulary.remove(x.tx, self.term)
        x.planner.forget_vocabulary()
        x.changes.record("term-removed", {predicates.narrower_facet(term.broader)}, names=(term.name,), detail=detail)
        tell_namesakes(x.tx, x.changes, term.name)


@dataclass(frozen=True, slots=True)
class Rename:
    """``with_file``: its file is given that name at the same time, which an undo of rows alone cannot take back."""

    asset: AssetId
    name: str
    with_file: bool = False

    def apply(self, x: Execution) -> None:
        asset, name = known(x, self.asset), fit_name(self.name)
        if asset.name == name:
            return
        before = seen_destination(x.tx, self.asset)
        assets.set_name(x.tx, self.asset, name)
        if asset.state is AssetState.RECEIVING:
            assets.set_media(x.tx, self.asset, media_of_name(name))
            folders.rename_destination(x.tx, self.asset, name.encode())
        elif asset.blob is not None and is_temporary(asset.name):
            x.planner.plan_jobs(x.tx, asset.blob, x.at_ns)
        touched = assets.facets(x.tx, self.asset) | {predicates.media_facet(asset.media)}
        own = Seen(touched, frozenset({asset.name, name}))
        detail: Facts = {"before": asset.name, "name": name, "with_file": self.with_file}
        tell(x.changes, "renamed", self.asset, own, before, seen_destination(x.tx, self.asset), detail=detail)


@dataclass(frozen=True, slots=True)
class Triage:
    """Leave the inbox."""

    asset: AssetId

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if asset.triaged:
            return
        assets.set_triaged(x.tx, self.asset)
        x.changes.record("triaged", {predicates.INBOX_FACET}, asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class Trash:
    """Into the trash, out of every other view; the bytes are kept. Its files are moved aside by `core.trashing`."""

    asset: AssetId
    place: str = ""
    """Path in the mount at which it was removed."""

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if asset.state is not AssetState.PRESENT:
            raise Refused(f"{asset.name} is {asset.state} and cannot be trashed")
        assets.set_state(x.tx, self.asset, AssetState.TRASHED)
        trash.put(x.tx, self.asset, x.at_ns, self.place)
        tell(x.changes, "trashed", self.asset, seen(x.tx, self.asset))


@dataclass(frozen=True, slots=True)
class SetTimes:
    """Of the bytes that whoever sets them sees: those of the next version, where one is being written."""

    asset: AssetId
    mtime_ns: int

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if not rewrites.set_mtime(x.tx, self.asset, self.mtime_ns):
            assets.set_mtime(x.tx, self.asset, self.mtime_ns)
        x.changes.record("times-set", frozenset(), asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class SetSize:
    """So much of a file that is being received is durably there."""

    asset: AssetId
    size: int

    def apply(self, x: Execution) -> None:
        assets.set_size(x.tx, self.asset, self.size)


@dataclass(frozen=True, slots=True)
class SetClosed:
    """The last close of a file being received was seen (it is whole now), or it was opened again to write."""

    asset: AssetId
    closed: bool
    size: int

    def apply(self, x: Execution) -> None:
        assets.set_closed(x.tx, self.asset, self.closed)
        assets.set_size(x.tx, self.asset, self.size)


@dataclass(frozen=True, slots=True)
class SetMode:
    """Permission bits, kept for each asset."""

    asset: AssetId
    mode: int

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        assets.set_mode(x.tx, self.asset, self.mode & 0o7777)
        x.changes.record("mode-set", frozenset(), asset=self.asset, names=(asset.name,))
