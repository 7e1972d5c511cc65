"""What a sidecar says, as data; what a program changed of it; and what damfs wants it to say. Pure.

Three parties: the sidecar as it was when both were last in step (`base`), the sidecar now, and the catalog, which is
the truth. Only what a program changed since goes into the catalog; then the sidecar is made to say what that says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")
TagPath = tuple[str, ...]
"""A term with the broader ones above it, broadest first."""

REJECTED = -1
PRIVATE = "darktable"
"""Root of the tags in which darktable keeps notes of its own."""


@dataclass(frozen=True, slots=True)
class SidecarRecord:
    """The three lists of tags that programs know, and what there is one of."""

    subjects: tuple[str, ...] = ()
    """dc:subject, flat."""
    hierarchical: tuple[TagPath, ...] = ()
    """lr:hierarchicalSubject."""
    tags_list: tuple[TagPath, ...] = ()
    """digiKam:TagsList."""
    stars: int | None = None
    """xmp:Rating: 0..5, or REJECTED."""
    label: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What the catalog says of an asset, in the words of sidecars. ``stars``: 0 is not rated."""

    tags: frozenset[TagPath] = frozenset()
    stars: int = 0
    label: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Edits:
    """What a program changed of a sidecar. None: not touched."""

    added: frozenset[TagPath] = frozenset()
    removed: frozenset[str] = frozenset()
    """Names of terms that were taken away."""
    stars: int | None = None
    label: str | None = None
    description: str | None = None
    named: frozenset[str] = field(default=frozenset(), compare=False)
    """Names of all terms that the sidecar says now."""


def stars_of(rating: int) -> int:
    """Of a rating of 0..10, two for each star: half a star counts as a whole one."""
    return (rating + 1) // 2


def edits(base: SidecarRecord, now: SidecarRecord) -> Edits:
    """The base of a sidecar that was never read is an empty record: all that it says was added then."""
    lists = [pair for pair in _lists(base, now) if not _was_dropped(pair, now)]
    added = frozenset(path for before, after in lists for path in after - before)
    added = frozenset(path for path in added if not _is_implied(path, added | _paths(now)))
    gone = {path[-1] for before, after in lists for path in before - after}
    return Edits(
        added,
        frozenset(gone - {path[-1] for path in added} - _steps_above(_paths(now))),
        None if max(0, now.stars or 0) == max(0, base.stars or 0) else max(0, now.stars or 0),
        None if now.label == base.label else now.label,
        None if now.description == base.description else now.description,
        frozenset(name for path in _paths(now) for name in path),
    )


def merged_tags(tags: Iterable[TagPath], change: Edits) -> tuple[TagPath, ...]:
    """The tags of the catalog with the edits of a sidecar: what only one of them added or removed is done."""
    kept = {path for path in tags if path[-1] not in change.removed}
    names = {path[-1] for path in kept}
    return tuple(sorted(kept | {path for path in change.added if len(path) > 1 or path[0] not in names}))


def wanted(said: Said, there: SidecarRecord) -> SidecarRecord:
    """What the sidecar is to say: the catalog's word, and what damfs does not judge (notes of programs, a rejection,
    the names of broader terms in the flat list). Entries keep their order."""
    paths = sorted(said.tags)
    names = [path[-1] for path in paths]
    above = {name for path in paths for name in path[:-1]}
    flat = [name for name in there.subjects if name in names or name in above or _is_private((name,))]
    stars = there.stars if max(0, there.stars or 0) == said.stars else said.stars
    return SidecarRecord(
        _with(flat, names),
        _with([path for path in there.hierarchical if path in said.tags or _is_private(path)], _without(paths, "|")),
        _with([path for path in there.tags_list if path in said.tags or _is_private(path)], paths),
        stars,
        said.label,
        said.description,
    )


def says_anything(record: SidecarRecord) -> bool:
    return record != SidecarRecord(stars=record.stars) or bool(record.stars)


def _lists(base: SidecarRecord, now: SidecarRecord) -> list[tuple[set[TagPath], set[TagPath]]]:
    """Each list before and after, the flat one as paths of one step."""
    pairs = (
        (_flat(base.subjects), _flat(now.subjects)),
        (base.hierarchical, now.hierarchical),
        (base.tags_list, now.tags_list),
    )
    return [
        ({path for path in before if not _is_private(path)}, {path for path in after if not _is_private(path)})
        for before, after in pairs
    ]


def _was_dropped(pair: tuple[set[TagPath], set[TagPath]], now: SidecarRecord) -> bool:
    """Whether a list went away as a whole by a program that does not know it, and not by a person who took all tags
    away: it held several while another list is there, or dc:subject, which each program knows, still names them."""
    before, after = pair
    if not before or after:
        return False
    named = {path[-1] for path in before}
    return (len(before) > 1 and bool(_paths(now))) or named <= set(now.subjects)


def _paths(record: SidecarRecord) -> set[TagPath]:
    return {*_flat(record.subjects), *record.hierarchical, *record.tags_list}


def _flat(names: Sequence[str]) -> tuple[TagPath, ...]:
    return tuple((name,) for name in names)


def _is_implied(path: TagPath, paths: Iterable[TagPath]) -> bool:
    """Whether a flat tag is only a step of a longer path."""
    return len(path) == 1 and any(len(other) > 1 and path[0] in other for other in paths)


def _steps_above(paths: Iterable[TagPath]) -> set[str]:
    return {name for path in paths for name in path[:-1]}


def _is_private(path: TagPath) -> bool:
    return path[0].split("|", 1)[0] == PRIVATE


def _without(paths: Iterable[TagPath], separator: str) -> list[TagPath]:
    """Those that can be said where this character separates the steps."""
    return [path for path in paths if not any(separator in step for step in path)]


def _with(kept: Sequence[T], more: Iterable[T]) -> tuple[T, ...]:
    return (*kept, *(each for each in dict.fromkeys(more) if each not in kept))
