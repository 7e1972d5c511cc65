"""The name rule: how assets of one place are called so that every name is unique there. Pure.

The asset with the lowest id keeps its name; others that clash are shown as ``stem~id.ext``, the id in base 32. The
qualified form resolves in every place for ever, the bare one is a courtesy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set

from damfs.core.asset_names import NAME_LIMIT, fit, size_of, split_ending
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
    return fit(stem, NAME_LIMIT - size_of(mark)) + mark


def qualifiers(name: str) -> list[AssetId]:
    """The ids that a name may carry, if it has the form of a qualified one: before the ending, or at the very end."""
    if "~" not in name:
        return []
    found = [decode_id(text.rpartition("~")[2]) for text in (split_ending(name)[0], name)]
    return [id_ for id_ in dict.fromkeys(found) if id_ is not None]


def shown_names(ids: Sequence[AssetId], names: Sequence[str], directories: Set[str] = frozenset()) -> list[str]:
    """What each asset of a place is called there. The ids ascend; one may come again with another name.

    ``directories``: names that lead to a directory there, which no file may have.
    """
    if len(set(names)) == len(names) and directories.isdisjoint(names) and not any("~" in name for name in names):
        return list(names)
    names_of: dict[AssetId, list[str]] = defaultdict(list)
    for id_, name in zip(ids, names, strict=True):
        names_of[id_].append(name)
    taken = set(directories)
    shown = []
    for id_, name in zip(ids, names, strict=True):
        bare = name not in taken and not _is_another(name, id_, names_of)
        taken.add(name)
        shown.append(name if bare else qualified(name, id_))
    return shown


def _is_another(name: str, id_: AssetId, names_of: Mapping[AssetId, Sequence[str]]) -> bool:
    """Whether the name is, letter for letter, the qualified form of another asset of the place."""
    return any(
        name == qualified(other_name, other)
        for other in qualifiers(name)
        if other != id_
        for other_name in names_of.get(other, ())
    )


def resolvable(items: Sequence[tuple[AssetId, str]]) -> dict[str, int]:
    """Positions of ranked assets by every name that leads to them: bare, before qualified, before listed (later ones
    win)."""
    total = len(items)
    found = {name: position for position, (_, name) in reversed(list(enumerate(items)))}
    found |= {qualified(name, id_): position for position, (id_, name) in enumerate(items)}
    return found | {ranked(position + 1, total, name): position for position, (_, name) in enumerate(items)}


def ranked(position: int, total: int, name: str) -> str:
    """``01 clip.mov``: as many digits as the listing needs, at least two."""
    digits = max(2, len(str(total)))
    stem, ending = split_ending(name)
    mark = f"{position:0{digits}d} "
    return mark + fit(stem, NAME_LIMIT - len(mark) - size_of(ending)) + ending
