"""Names of assets and terms: made fit to be shown as a file name anywhere. Pure.

Names of files in stores may hold bytes that are no UTF-8, as surrogates (see os.fsdecode); names of assets never do.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath

NAME_LIMIT = 255
"""Bytes of UTF-8, as file systems count."""
ENDING_LIMIT = 32


def clean_name(raw: str | bytes) -> str:
    """NFC; '/', NUL and control characters become '_', undecodable bytes U+FFFD; at most 255 bytes, ending kept."""
    text = raw.decode("utf-8", "surrogateescape") if isinstance(raw, bytes) else raw
    if text.isascii() and text.isprintable() and "/" not in text and 2 < len(text) <= NAME_LIMIT:
        return text  # as nearly all names are, each of which is cleaned many times
    text = unicodedata.normalize("NFC", "".join(_fit_char(char) for char in text))
    if text in {"", ".", ".."}:
        text = "_" + text
    stem, ending = split_ending(text)
    return fit(stem, NAME_LIMIT - size_of(ending)) + ending


def _fit_char(char: str) -> str:
    if char == "/":
        return "_"
    return {"Cc": "_", "Cs": "\ufffd"}.get(unicodedata.category(char), char)


def split_ending(name: str) -> tuple[str, str]:
    """('clip', '.mov'); the ending is '' when it is unreasonably long or the name is all ending."""
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or size_of(ending) > ENDING_LIMIT:
        return name, ""
    return stem, "." + ending


def proxy_name(original: bytes, key: str) -> str:
    """What the proxy of a file is called: the file's name with the ending of the proxy's key."""
    stem = split_ending(original.decode("utf-8", "surrogateescape"))[0]
    ending = PurePosixPath(key).suffix
    return fit(stem, NAME_LIMIT - size_of(ending)) + ending


def size_of(name: str) -> int:
    """In bytes, as file systems count."""
    return len(name.encode("utf-8", "surrogateescape"))


def fit(text: str, limit: int) -> str:
    """Cut to ``limit`` bytes on a character boundary."""
    text = text[:limit]
    while size_of(text) > limit:
        text = text[:-1]
    return text


def is_text(name: str) -> bool:
    """Whether the catalog can hold it: the name of a file may have bytes that are no UTF-8."""
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)
