"""What people say of an asset, in the words of sidecars, and a program's words as commands.

Text that XML cannot hold, or gives back changed, is said without those characters; in the catalog it stays as it is.
Point reads; concurrency and crash rule of whoever asks.
"""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from damfs.catalog import change_feed, remarks, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.core.asset_names import clean_name
from damfs.core.commands import Command
from damfs.core.describing import LABEL, SetTags, TagPath, term_path
from damfs.core.sidecar_record import Edits, Said, merged_tags, stars_of
from damfs.model import AssetId, TagSource, Term
from damfs.storage.droppings import is_dropping

NONCHARACTERS = frozenset("\ufffe\uffff")
"""Of all code points that stand for nothing those that XML forbids."""


def said_of(connection: Connection, original: AssetId) -> Said:
    given = [tag.term for tag in vocabulary.taggings(connection, original) if tag.source is TagSource.PERSON]
    terms = [vocabulary.term_named(connection, name) for name in given]
    paths = [plain_path(term_path(connection, term.id)) for term in terms if term is not None]
    remark, label = remarks.remark(connection, original), remarks.attribute(connection, original, LABEL) or b""
    return Said(
        frozenset(path for path in paths if all(path)),
        stars_of(remark.rating),
        plain(label.decode("utf-8", "replace")),
        plain(remark.comment),
    )


def remark_of(connection: Connection, original: AssetId, sidecar: str) -> str:
    """One line if something is said of the original that no sidecar can hold; else ''."""
    texts = [remarks.remark(connection, original).comment]
    texts += [tag.term for tag in vocabulary.taggings(connection, original) if tag.source is TagSource.PERSON]
    if all(map(_is_fit, "".join(texts).replace("\r", "\n"))):
        return ""
    return f"{sidecar}: characters that no XML can hold were left out in it; the catalog keeps them"


def plain(text: str) -> str:
    """As XML gives it back: a line ends with a line feed; no control characters, halves of characters and what is none;
    no space around it. Pure."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(filter(_is_fit, lines)).strip()


def _is_fit(char: str) -> bool:
    return char in "\n\t" or (char not in NONCHARACTERS and unicodedata.category(char) not in {"Cc", "Cs"})


def plain_path(path: TagPath) -> TagPath:
    return tuple(map(plain, path))


def with_present_names(connection: Connection, change: Edits) -> Edits:
    """The terms that were taken away, as they are called now: they may have been renamed or merged since the sidecar
    was read. Not those that it says still, by another name. May scan the feed: for a reader thread."""
    said = {term.id for term in (_present(connection, name) for name in change.named - change.removed) if term}
    found = {name: _present(connection, name) for name in change.removed}
    removed = {name if term is None else plain(term.name): term for name, term in found.items()}
    return replace(
        change, removed=frozenset(name for name, term in removed.items() if term is None or term.id not in said)
    )


def _present(connection: Connection, name: str) -> Term | None:
    known = term_names.resolve(connection, name)
    if known is None:
        later = (term_names.resolve(connection, each) for each in change_feed.list_later_names(connection, name))
        known = next(filter(None, later), None)
    return known


def retag(connection: Connection, id_: AssetId, change: Edits) -> list[Command[object]]:
    """What a program added is a person's word from now on, also where a machine had said so before."""
    there = [term_path(connection, term.id) for term in vocabulary.tagged_terms(connection, id_)]
    ours: dict[TagPath, list[TagPath]] = {}
    for path in there:
        ours.setdefault(plain_path(path), []).append(path)

    def real(paths: frozenset[TagPath] | tuple[TagPath, ...]) -> tuple[TagPath, ...]:
        """With the characters that the sidecar could not hold."""
        found = (each for path in sorted(paths) for each in ours.get(path) or [tuple(map(clean_name, path))])
        return tuple(path for path in found if not any(map(is_dropping, path)))

    known = {name: path for path in ours for name in path[-1:]}
    stated = frozenset(path if len(path) > 1 else known.get(path[0], path) for path in change.added)
    wanted = real(merged_tags(ours, change))
    return [SetTags(id_, wanted, real(stated), defines=True)]
