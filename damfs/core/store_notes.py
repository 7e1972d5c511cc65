"""What a store keeps for the day its catalog is lost, as lines of `.damfs-notes` in it: a line an asset, or a folder.

The last line of a subject counts; one that says nothing takes back what was said before. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from damfs.catalog.standing import AssetNote, FolderNote
from damfs.model import AssetId, FolderId

ABOUT = (
    "What damfs knows of the files in this folder that they do not say themselves: earlier versions, former places of"
    " what is in the trash, permissions. `damfs rebuild` reads it when the catalog is lost."
)


@dataclass(frozen=True, slots=True)
class Line:
    """Of one asset or folder, or of the file itself: what it is, and up to which change all is said."""

    asset: AssetId | None = None
    folder: FolderId | None = None
    says: AssetNote | None = None
    sets: FolderNote | None = None
    library: str | None = None
    about: str | None = None
    seq: int | None = None


_decoder = msgspec.json.Decoder(Line)


@dataclass(slots=True)
class StoreNotes:
    library: str | None = None
    seq: int = -1
    """Up to which change of the catalog they say all."""
    assets: dict[AssetId, AssetNote] = field(default_factory=dict)
    folders: dict[FolderId, FolderNote] = field(default_factory=dict)
    begun: bool = False
    """Whether the first line is there: else there may be more to say than they do."""
    damaged: int = 0
    """Lines that could not be read."""


def first_line(library: str) -> bytes:
    return _encoded(Line(library=library, about=ABOUT))


def end_line(library: str, seq: int) -> bytes:
    """Everything up to that change of the catalog of that library is said above."""
    return _encoded(Line(library=library, seq=seq))


def out_of_step() -> bytes:
    """No catalog is at that change: everything is to be said anew."""
    return _encoded(Line(seq=-1))


def asset_line(id_: AssetId, note: AssetNote | None) -> bytes:
    return _encoded(Line(asset=id_, says=note))


def folder_line(id_: FolderId, note: FolderNote | None) -> bytes:
    return _encoded(Line(folder=id_, sets=note))


def _encoded(line: Line) -> bytes:
    return msgspec.json.encode({name: value for name, value in _fields(line) if value is not None})


def _fields(line: Line) -> list[tuple[str, object]]:
    return [(name, getattr(line, name)) for name in Line.__slots__]


def parsed(lines: Iterable[bytes], damaged: int = 0) -> StoreNotes:
    """A line that says what this version of damfs does not understand counts as damaged."""
    notes = StoreNotes(damaged=damaged)
    for text in lines:
        try:
            line = _decoder.decode(text)
        except msgspec.MsgspecError:
            notes.damaged += 1
            continue
        _take(notes, line)
    return notes


def _take(notes: StoreNotes, line: Line) -> None:
    notes.library = line.library or notes.library
    notes.seq = notes.seq if line.seq is None else line.seq
    notes.begun = notes.begun or line.about is not None
    if line.asset is not None:
        notes.assets.pop(line.asset, None)
        if line.says is not None:
            notes.assets[line.asset] = line.says
    if line.folder is not None:
        notes.folders.pop(line.folder, None)
        if line.sets is not None:
            notes.folders[line.folder] = line.sets
