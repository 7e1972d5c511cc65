"""Names of assets and terms: made fit to be shown as a file name anywhere. Pure."""

from __future__ import annotations

import unicodedata

NAME_LIMIT = 255
"""Bytes of UTF-8, as file systems count."""


def clean_name(raw: str | bytes) -> str:
    """NFC; '/', NUL and control characters become '_', undecodable bytes U+FFFD; at most 255 bytes, ending kept."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    text = text.encode("utf-8", "replace").decode("utf-8")
    text = unicodedata.normalize("NFC", text)
    text = "".join("_" if char == "/" or unicodedata.category(char) == "Cc" else char for char in text)
    if text in {"", ".", ".."}:
        text = "_" + text
    stem, ending = split_ending(text)
    return fit(stem, NAME_LIMIT - len(ending.encode())) + ending


def split_ending(name: str) -> tuple[str, str]:
    """('clip', '.mov'); the ending is '' when it is unreasonably long or the name is all ending."""
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or len(ending.encode()) > 32:
        return name, ""
    return stem, "." + ending


def fit(text: str, limit: int) -> str:
    """Cut to ``limit`` bytes of UTF-8 on a character boundary."""
    return text.encode()[:limit].decode("utf-8", "ignore")
