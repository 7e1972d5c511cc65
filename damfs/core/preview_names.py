"""What the previews of a file are called beside each other: the whole name of the file and what the preview is. Pure.

The whole name, so that ``a.mov`` and ``a.jpg`` of one folder do not meet. Names are bytes, as the store's file system
has them.
"""

from __future__ import annotations

import os
import re

from damfs.core.asset_names import NAME_LIMIT, fit
from damfs.model import CopyId, RenditionKind

CUES = (RenditionKind.SPRITE, "vtt")
ENDINGS = {
    (RenditionKind.POSTER, "jpeg"): b".poster.jpg",
    (RenditionKind.CONTACT_SHEET, "jpeg"): b".sheet.jpg",
    (RenditionKind.SPRITE, "jpeg"): b".sprite.jpg",
    CUES: b".vtt",
    (RenditionKind.WAVEFORM, "png"): b".waveform.png",
}
"""By kind and profile of the rendition; no ending is the end of another."""
KINDS = frozenset(kind for kind, _ in ENDINGS)
MARK = re.compile(rb"~([1-9][0-9]{0,17})")


def preview_name(original: bytes, copy: CopyId, ending: bytes) -> bytes:
    """A name that would be too long is cut and carries the number of the copy."""
    if len(original) + len(ending) <= NAME_LIMIT:
        return original + ending
    mark = b"~%d" % copy + ending
    return os.fsencode(fit(os.fsdecode(original), NAME_LIMIT - len(mark))) + mark


def parts(name: bytes) -> tuple[bytes, bytes] | None:
    """The name of the file and the ending; None where no preview is called so."""
    for ending in ENDINGS.values():
        if name.endswith(ending) and len(name) > len(ending):
            return name.removesuffix(ending), ending
    return None


def marked(original: bytes) -> CopyId | None:
    """The copy whose number a name that was cut carries."""
    match = MARK.search(original, max(0, original.rfind(b"~")))
    return None if match is None or match.end() != len(original) else CopyId(int(match[1]))
