"""The name rule: how assets of one place are called so that every name is unique there. Pure.

The asset with the lowest id keeps its name; others that clash are shown as ``stem~id.ext``, the id in base 32. The
qualified form resolves in every place for ever, the bare one is a courtesy.
"""

from __future__ import annotations

from collections.abc import Sequence

from damfs.core.asset_names import NAME_LIMIT, fit, split_ending
from damfs.model import AssetId

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u, which people misread."""
VALUES = {char: value for value, char in enumerate(ALPHABET)}
ID_LIMIT = 12


def encode_id(id_: int) -> str:
    digits = ""
    while id_ or not digits:
        id_, digit = divmod(id_, 32)
        digits = ALPHABET[digit] + digits
    return digits


def decode_id(text: str) -> AssetId | None:
    """The id; None when the text is not just how `encode_id` writes one."""
    if not 0 < len(text) <= ID_LIMIT or text[0] == "0" or any(char not in VALUES for char in text):
        return None
    value = 0
    for char in text:
        value = value * 32 + VALUES[char]
    return AssetId(value) if value < 1 << 56 else None


def qualified(name: str, id_: AssetId) -> str:
    """``clip.mov`` with id 37 is ``clip~15.mov``; the stem is cut so that it fits in 255 bytes."""
    stem, ending = split_ending(name)
    mark = f"~{encode_id(id_)}{ending}"
    return fit(stem, NAME_LIMIT - len(mark.encode())) + mark


def qualifier(name: str) -> AssetId | None:
    """The id that a name carries, if it has the form of a qualified one."""
    if "~" not in name:
        return None
    stem, _ = split_ending(name)
    found = decode_id(stem.rpartition("~")[2])
    return found if found is not None else decode_id(name.rpartition("~")[2])


def shown_names(ids: Sequence[AssetId], names: Sequence[str]) -> list[str]:
    """What each asset of a place is called there. The ids ascend."""
    if len(set(names)) == len(names) and not any("~" in name for name in names):
        return list(names)
    by_id = dict(zip(ids, names, strict=True))
    taken: set[str] = set()
    shown = []
    for id_, name in by_id.items():
        bare = name not in taken and not _is_another(name, id_, by_id)
        taken.add(name)
        shown.append(name if bare else qualified(name, id_))
    return shown


def _is_another(name: str, id_: AssetId, by_id: dict[AssetId, str]) -> bool:
    """Whether the name is, letter for letter, the qualified form of another asset of the place."""
    other = qualifier(name)
    return other is not None and other != id_ and other in by_id and qualified(by_id[other], other) == name


def ranked(position: int, total: int, name: str) -> str:
    """``01 clip.mov``: as many digits as the listing needs, at least two."""
    digits = max(2, len(str(total)))
    stem, ending = split_ending(name)
    mark = f"{position:0{digits}d} "
    return mark + fit(stem, NAME_LIMIT - len(mark) - len(ending.encode())) + ending
