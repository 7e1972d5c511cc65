"""Where the words of a text begin, as the full-text index cannot tell by itself: in names written in one piece, and in
scripts that put no spaces between words.

Pure. Texts and the words of a query go through `spread` alike, so that any part of a Japanese title is a phrase of it.
"""

from __future__ import annotations

import re
import unicodedata

VERSION = 2
"""Goes up when other words come of the same text: then the index is filled again (see `full_text.renew`)."""

UNSPACED = re.compile(
    "(["
    "\u0e00-\u0e7f\u0e80-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"  # Hangul: has spaces, but particles cling to the words
    "\u3005-\u3007\u3031-\u3035\u303b\u3040-\u30ff\u31f0-\u31ff\u3100-\u312f\u31a0-\u31bf"  # kana, bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff"  # Han
    "])"
)


def spread(text: str) -> str:
    """Each letter of such a script as a word of its own; wide, narrow and joined forms as the plain ones."""
    if text.isascii():
        return text
    return UNSPACED.sub(r" \1 ", unicodedata.normalize("NFKC", text))


def is_unspaced(text: str) -> bool:
    return not text.isascii() and UNSPACED.search(text) is not None


def name_words(name: str) -> str:
    """A name, and where it is written like ``redCarAtDusk`` or ``IMG2041``, its words as well."""
    apart = "".join(
        f" {char}" if _begins(name[at - 1], char, name[at + 1 : at + 2]) else char
        for at, char in enumerate(name[1:], start=1)
    )
    whole = name[:1] + apart
    return name if whole == name else f"{name}\n{whole}"


def _begins(before: str, char: str, after: str) -> bool:
    """A letter or digit that begins a word inside a run of them."""
    if not (before.isalnum() and char.isalnum()):
        return False
    if before.isdecimal() != char.isdecimal():
        return True
    return char.isupper() and (before.islower() or after.islower())
