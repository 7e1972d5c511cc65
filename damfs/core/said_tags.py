"""Which terms an asset carries and who says so, and what is only proposed: for whoever wants to know why.

Point reads; changes nothing.
"""

from __future__ import annotations

from msgspec import Struct

from damfs.catalog import proposals, vocabulary
from damfs.catalog.database import Connection
from damfs.core.describing import term_path
from damfs.model import AssetId, TagSource


class SaidTag(Struct, frozen=True):
    """``path``: the term below its broader ones. ``processor`` and ``version``: '' and 0 of what a person says."""

    term: str
    path: tuple[str, ...]
    source: str
    """person, rule, model; suggested: a person has not judged it yet."""
    confidence: float
    processor: str = ""
    version: int = 0
    model: str = ""


SUGGESTED = "suggested"


def said_tags(connection: Connection, asset: AssetId) -> list[SaidTag]:
    """Tags by name, then suggestions, surest first."""
    found = [
        _told(connection, each.term, str(each.source), each.confidence, each.processor, each.model)
        for each in vocabulary.taggings(connection, asset)
    ]
    return found + [
        _told(connection, each.term, SUGGESTED, each.confidence, each.processor, each.model)
        for each in proposals.of_asset(connection, asset)
    ]


def _told(connection: Connection, name: str, source: str, confidence: float, processor: str, model: str) -> SaidTag:
    term = vocabulary.term_named(connection, name)
    path = (name,) if term is None else term_path(connection, term.id)
    of, _, version = processor.partition("/")
    return SaidTag(name, path, source, confidence, of, int(version) if version.isdigit() else 0, model)


def as_text(tags: list[SaidTag]) -> str:
    width = max((len(each.term) for each in tags), default=0)
    return "".join(f"{each.term:<{width}}  {_by(each)}\n" for each in tags)


def _by(tag: SaidTag) -> str:
    """``person``, ``model 0.91, auto_tag/2, conse-minilm-1 (below place)``."""
    below = f"  (below {'/'.join(tag.path[:-1])})" if len(tag.path) > 1 else ""
    if tag.source == TagSource.PERSON:
        return tag.source + below
    by = f"{tag.processor}/{tag.version}" if tag.version else tag.processor
    return ", ".join(filter(None, (f"{tag.source} {tag.confidence:.2f}", by, tag.model))) + below
