"""Which assets are meant by words like ``tag:beach`` or ``type:video``: all of them must hold.

The one seam for queries: what it answers is a predicate, so that a richer language takes its place here. Point reads
for the words; listing scans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from damfs.catalog import term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.predicates import (
    CapturedIn,
    Everything,
    Failed,
    HasTag,
    InInbox,
    OfMedia,
    Predicate,
    Untagged,
    all_of,
)
from damfs.errors import NotFound, Refused
from damfs.model import Media

STATES: Mapping[str, Predicate] = {"inbox": InInbox(), "untagged": Untagged(), "failed": Failed()}


def predicate_of(connection: Connection, words: Sequence[str]) -> Predicate:
    """Raises Refused for a word that means nothing, NotFound for a term that there is not."""
    return all_of([_of_word(connection, word) for word in words] or [Everything()])


def _of_word(connection: Connection, word: str) -> Predicate:
    if word == "*":
        return Everything()
    kind, colon, value = word.partition(":")
    if not colon or kind not in KINDS or not value:
        raise Refused(
            f'"{word}" is neither a file nor a question; ask like tag:beach, date:2026-11, type:video, is:inbox or *'
        )
    return KINDS[kind](connection, value)


def _tag(connection: Connection, value: str) -> Predicate:
    term = term_names.resolve(connection, value)
    if term is None:
        raise NotFound(f'no term "{value}"; `damfs tags LIBRARY` lists the terms')
    return HasTag(term.id, term.name, tuple(vocabulary.with_narrower(connection, term.id)))


def _media(_: Connection, value: str) -> Predicate:
    if value not in set(Media):
        raise NotFound(f'no type "{value}"; there are: {", ".join(Media)}')
    return OfMedia(Media(value))


def _state(_: Connection, value: str) -> Predicate:
    if value not in STATES:
        raise NotFound(f'"is:{value}" means nothing; there are: {", ".join(f"is:{name}" for name in STATES)}')
    return STATES[value]


KINDS: Mapping[str, Callable[[Connection, str], Predicate]] = {
    "tag": _tag,
    "date": lambda _, value: CapturedIn(value),
    "type": _media,
    "is": _state,
}
