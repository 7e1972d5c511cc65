"""Which processor made a rendition, so that it can be made again when its file is lost. Pure.

What the kind does not tell stands in the rendition's detail: plug-ins make what they like.
"""

from __future__ import annotations

from damfs.model import Facts, RenditionKind

MAKERS = {RenditionKind.POSTER: "preview", RenditionKind.THUMBNAIL: "preview", RenditionKind.PROXY: "proxy"} | {
    RenditionKind.CONTACT_SHEET: "sheet", RenditionKind.SPRITE: "sprite", RenditionKind.WAVEFORM: "waveform",
}  # fmt: skip
"""Which processor makes a kind of rendition, where nothing else is said."""
FURTHER = "proxy-"
"""A proxy of another profile than `proxy` made is of the processor that is called like the profile, behind this."""
MADE_BY = "made_by"


def signed(detail: Facts, kind: RenditionKind, profile: str, processor: str) -> Facts:
    """The detail to be stored: with the name of its maker, where the kind does not tell it."""
    usual = {MAKERS.get(kind), FURTHER + profile} if kind is RenditionKind.PROXY else {MAKERS.get(kind)}
    return detail if processor in usual else {**detail, MADE_BY: processor}


def maker(kind: RenditionKind, profile: str, by_proxy: object, detail: Facts) -> str | None:
    """``by_proxy``: the profile that `proxy` itself made of those bytes. None: nobody knows."""
    named = detail.get(MADE_BY)
    if isinstance(named, str):
        return named
    if kind is RenditionKind.PROXY and profile != by_proxy:
        return FURTHER + profile
    return MAKERS.get(kind)
