"""How video editors find a proxy by themselves: one row of a table for each, and the names made of it.

Pure. A proxy is encoded once and only *named* for an editor: all of them open it by its content, whatever its ending
says. Where the rules come from is said in damfs/docs/decisions.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.core.asset_names import NAME_LIMIT, fit, size_of, split_ending

SHARES = (25, 50, 75, 100)
"""Sizes of proxies that Blender knows, in percent of the original."""
SHARE_TOLERANCE = 2.0
"""Blender takes the size by the name: one that is further off would be shown smaller or larger than the original."""


@dataclass(frozen=True, slots=True)
class Editor:
    name: str
    file: str
    """What a proxy is called: ``{stem}`` is of the original's name, ``{ending}`` of the proxy's own."""
    directory: str = ""
    """Beside the originals, for their proxies; '': they lie among the originals themselves."""
    each_apart: bool = False
    """Whether each original has a directory of its own in there, called as its file is."""
    by_hash: bool = False
    """Whether ``directory`` is one for all originals, beside the stores, where a proxy is called by ``{hash}``."""

    @property
    def by_stem(self) -> bool:
        return "{stem}" in self.file

    def named(self, original: str, ending: str) -> str:
        """The name of the proxy of a file, where the file's own tells it."""
        head, _, tail = self.file.format(stem="\0", ending=ending).partition("\0")
        stem = split_ending(original)[0]
        return head + fit(stem, NAME_LIMIT - size_of(head + tail)) + tail

    def stem_of(self, proxy: str) -> str | None:
        """The stem of the originals that a proxy of this name may belong to; None: it is no such name."""
        mark = self.file.partition("{stem}")[2].partition("{ending}")[0]
        stem = split_ending(proxy)[0] if "{ending}" in self.file else proxy
        return stem.removesuffix(mark) if stem.endswith(mark) else None


EDITORS = (
    Editor("resolve", "{stem}{ending}", directory="Proxy"),
    Editor("premiere", "{stem}_Proxy{ending}", directory="Proxies"),
    Editor("kdenlive", "{stem}.LRF"),
    Editor("shotcut", "{hash}.mp4", directory="proxies", by_hash=True),
    Editor("blender", "proxy_{share}.avi", directory="BL_proxy", each_apart=True),
)
"""Inode numbers hold the position of an editor: new ones go to the end."""


def share_of(height: int | None, original: int | None) -> int | None:
    """How large a proxy is, in the steps that Blender knows; half where it is not known, None where none fits."""
    if not height or not original:
        return 50
    nearest = min(SHARES, key=lambda share: abs(share - 100 * height / original))
    return nearest if abs(nearest - 100 * height / original) <= SHARE_TOLERANCE else None


def names_by_stem(original: str, ending: str) -> set[str]:
    """What editors call the proxy of a file after its own name. Beside others of that stem it may be qualified."""
    return {editor.named(original, ending) for editor in EDITORS if editor.by_stem}


def names_as_they_are(original: str, digest: str | None) -> set[str]:
    """Every other name that leads to the proxy of a file, directories included."""
    names = {editor.directory for editor in EDITORS if editor.directory}
    for editor in EDITORS:
        if editor.each_apart:
            names |= {original, *(editor.file.format(share=share) for share in SHARES)}
        elif editor.by_hash and digest is not None:
            names.add(editor.file.format(hash=digest))
    return names
