"""Extended attributes: what desktops say of a file (tags, rating, comment), what damfs says (user.damfs.*), and what
other programs keep there.

Loop's thread: point reads, one small transaction a change. Crash rule: none, a change is there or not. Nothing here
answers ENOSYS: the kernel would stop asking for the life of the mount. user.damfs.* is told by name and not listed, so
that programs which copy attributes do not carry it away and back.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
from pyfuse3 import ENOATTR, FUSEError

from damfs.catalog import derived, proposals, remarks, stores, vocabulary
from damfs.core.commands import Command
from damfs.core.conformance_reports import reports_of
from damfs.core.describing import (
    HIGHEST_RATING,
    RemoveAttribute,
    SetAttribute,
    SetComment,
    SetRating,
    SetTags,
    parsed_tags,
    tags_text,
)
from damfs.core.library import Library
from damfs.core.search_answer import Told
from damfs.errors import NotFound, Refused
from damfs.model import Asset, AssetId, AssetState, RenditionId, TagSource
from damfs.presentation.fuse.answers import stale_if_gone
from damfs.presentation.fuse.draft_files import ACTOR
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.views.view import Place, Thing, ThingKind

CAPABILITY = b"security.capability"
"""The kernel asks for it on every write."""
KEPT = b"user."
OURS = b"user.damfs."
TAGS = b"user.xdg.tags"


@dataclass(frozen=True, slots=True)
class Said:
    """An attribute that means something to damfs. ``read`` answers b'' when there is nothing to say."""

    read: Callable[[Library, AssetId], bytes]
    write: Callable[[AssetId, bytes], Command[None]]
    """Raises ValueError for what cannot be meant."""


SAID = {
    TAGS: Said(
        lambda library, asset: tags_text(library.db.writer, asset).encode(),
        lambda asset, value: SetTags(asset, parsed_tags(value.decode())),
    ),
    b"user.baloo.rating": Said(
        lambda library, asset: _number(remarks.remark(library.db.writer, asset).rating),
        lambda asset, value: SetRating(asset, _rating(value)),
    ),
    b"user.xdg.comment": Said(
        lambda library, asset: remarks.remark(library.db.writer, asset).comment.encode(),
        lambda asset, value: SetComment(asset, value.decode()),
    ),
}
OF_ASSETS: dict[bytes, Callable[[Library, Asset], bytes]] = {
    b"user.damfs.id": lambda _, asset: str(asset.id).encode(),
    b"user.damfs.digest": lambda library, asset: (
        b"" if asset.blob is None else stores.digest_of(library.db.writer, asset.blob).hex().encode()
    ),
    b"user.damfs.state": lambda _, asset: asset.state.encode(),
    b"user.damfs.media": lambda _, asset: asset.media.encode(),
    b"user.damfs.conformance": lambda library, asset: (
        b"" if asset.blob is None else _json(reports_of(library.db.writer, asset.blob))
    ),
    b"user.damfs.suggested": lambda library, asset: _suggested(library, asset).encode(),
    b"user.damfs.tags": lambda library, asset: _tags(library, asset).encode(),
}


OF_ANSWERS: dict[bytes, Callable[[Told], bytes]] = {
    b"user.damfs.score": lambda told: f"{told.score:.4f}".encode(),
    b"user.damfs.why": lambda told: told.why.encode(),
    b"user.damfs.space": lambda told: told.space.encode(),
}
"""Of the search, or the neighbours, that showed the asset last: the kernel does not say by which name it asks."""


OF_CUTS = frozenset({b"cut", b"method", b"frames", b"encoded_frames", b"why"})
"""What pieces and frames tell of how they were made."""


@dataclass(frozen=True, slots=True)
class ExtendedAttributes:
    library: Library
    inodes: Inodes

    def _node(self, inode: int) -> Thing | Place:
        """Raises ESTALE when it is gone."""
        with stale_if_gone():
            return self.inodes.node(inode)

    def get(self, inode: int, name: bytes) -> bytes:
        if name == CAPABILITY:
            raise FUSEError(ENOATTR)
        if not name.startswith(KEPT):  # "not supported" lets `ls` stop asking
            raise FUSEError(errno.EOPNOTSUPP)
        with stale_if_gone():
            value = self._value(self._node(inode), name)
        if not value and value is not None and (name in SAID or name.startswith(OURS)):
            value = None
        if value is None:
            raise FUSEError(ENOATTR)
        return value

    def _value(self, node: Thing | Place, name: bytes) -> bytes | None:
        if not isinstance(node, Thing) or node.kind is ThingKind.TEXT:
            return None
        if node.kind is ThingKind.RENDITION:
            return self._of_rendition(RenditionId(node.id), name)
        if node.kind is not ThingKind.ASSET:
            return None
        if name in SAID:
            return SAID[name].read(self.library, AssetId(node.id))
        if name in OF_ANSWERS:
            told = self.library.shown.told(self.library.db.writer, AssetId(node.id))
            return None if told is None else OF_ANSWERS[name](told)
        if name in OF_ASSETS:
            return OF_ASSETS[name](self.library, self.library.known(AssetId(node.id)))
        return remarks.attribute(self.library.db.writer, AssetId(node.id), name)

    def _of_rendition(self, id_: RenditionId, name: bytes) -> bytes | None:
        """What it is and of which bytes it was made."""
        if not name.startswith(OURS):
            return None
        connection = self.library.db.writer
        rendition = derived.rendition(connection, id_)
        if rendition is None:
            raise NotFound(f"no rendition {id_}")
        told = {b"kind": rendition.kind, b"profile": rendition.profile}
        if name == OURS + b"original":
            return stores.digest_of(connection, rendition.blob).hex().encode()
        if name.removeprefix(OURS) in OF_CUTS:
            return str(derived.detail_of(connection, id_).get(name.removeprefix(OURS).decode(), "")).encode()
        if name == OURS + b"conformance":
            return _json(derived.proxy_reports(connection, rendition.blob).get(rendition.profile, {}))
        said = told.get(name.removeprefix(OURS))
        return None if said is None else said.encode()

    def names(self, inode: int) -> list[bytes]:
        """Those that have a value, but for damfs's own; of what is being received not its tags either: its place gave
        them, and `rsync -X` takes away what it finds and its source has not, from under its own feet."""
        node = self._node(inode)
        if not isinstance(node, Thing) or node.kind is not ThingKind.ASSET:
            return []
        id_ = AssetId(node.id)
        with stale_if_gone():
            arrives = self.library.known(id_).state is AssetState.RECEIVING
        said = [name for name, each in SAID.items() if each.read(self.library, id_) and not (arrives and name == TAGS)]
        return said + remarks.attribute_names(self.library.db.writer, id_)

    def set(self, inode: int, name: bytes, value: bytes) -> None:
        """Raises Refused, NoSpace; EOPNOTSUPP where nothing is kept, EINVAL for what cannot be meant."""
        asset = self._writable(self._node(inode), name)
        if name in SAID:
            try:
                self._do(SAID[name].write(asset, value))
            except ValueError:
                raise FUSEError(errno.EINVAL) from None
        else:
            self._do(SetAttribute(asset, name, value))

    def remove(self, inode: int, name: bytes) -> None:
        asset = self._writable(self._node(inode), name)
        self.get(inode, name)
        if name in SAID:
            self._do(SAID[name].write(asset, b""))
        else:
            self._do(RemoveAttribute(asset, name))

    def _writable(self, node: Thing | Place, name: bytes) -> AssetId:
        if name.startswith(OURS):
            raise Refused("user.damfs.* is what damfs says; it cannot be set")
        if not isinstance(node, Thing) or node.kind is not ThingKind.ASSET or not name.startswith(KEPT):
            raise FUSEError(errno.EOPNOTSUPP)
        return AssetId(node.id)

    def _do(self, command: Command[None]) -> None:
        with stale_if_gone():
            self.library.execute([command], ACTOR)


def _json(found: Mapping[str, object]) -> bytes:
    """b'' for nothing."""
    return msgspec.json.encode(found) if found else b""


def _suggested(library: Library, asset: Asset) -> str:
    """``beach 0.83 (auto_tag/2, conse-minilm-1)`` a line, surest first."""
    found = proposals.of_asset(library.db.writer, asset.id)
    return "\n".join(f"{each.term} {each.confidence:.2f}{_by(each.processor, each.model)}" for each in found)


def _tags(library: Library, asset: Asset) -> str:
    """``beach person`` or ``sea model 0.91 (auto_tag/2, conse-minilm-1)`` a line."""
    lines = []
    for each in vocabulary.taggings(library.db.writer, asset.id):
        sure = "" if each.source is TagSource.PERSON else f" {each.confidence:.2f}{_by(each.processor, each.model)}"
        lines.append(f"{each.term} {each.source}{sure}")
    return "\n".join(lines)


def _by(processor: str, model: str) -> str:
    names = ", ".join(filter(None, (processor, model)))
    return f" ({names})" if names else ""


def _number(value: int) -> bytes:
    return str(value).encode() if value else b""


def _rating(value: bytes) -> int:
    """Raises ValueError for anything but a number from 0 to 10; b'' is 0."""
    if value and not (value.isdigit() and int(value) <= HIGHEST_RATING):
        raise ValueError(value)
    return int(value or b"0")
