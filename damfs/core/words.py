"""What people call some bytes and say of them, whatever assets have them: what a vector of words is made of.

Point reads, inside a transaction or not. Changes nothing.
"""

from __future__ import annotations

import re

from damfs.catalog import assets, remarks, stores, vocabulary
from damfs.catalog.database import Connection
from damfs.model import Asset, AssetState, BlobId, CopyState

CAMERA_WORDS = frozenset({"img", "dsc", "dscn", "dscf", "mvi", "mov", "vid", "gopr", "gh", "gx", "dji", "pxl", "rec"})
"""What cameras and recorders put before a number: it says nothing about what is shown."""
WORD = re.compile(r"[^\W\d_]+")
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def words_of(connection: Connection, blob: BlobId) -> tuple[str, ...]:
    """Phrases, each once: the words of names and folders, then terms, then comments."""
    present = [asset for asset in assets.of_blob(connection, blob) if asset.state is AssetState.PRESENT]
    phrases = [words_of_name(asset.name) for asset in present]
    phrases += [words_of_text(folder) for asset in present for folder in _folders(connection, asset)]
    for asset in present:
        phrases += [term.name for term in vocabulary.tagged_terms(connection, asset.id)]
    phrases += [" ".join(remarks.remark(connection, asset.id).comment.split()) for asset in present]
    return tuple(phrase for phrase in dict.fromkeys(phrases) if phrase)


def _folders(connection: Connection, asset: Asset) -> list[str]:
    keys = [
        stores.key_of(connection, copy.folder, copy.name)
        for copy in stores.copies_of_asset(connection, asset.id)
        if copy.state is not CopyState.MISSING
    ]
    return [part.decode("utf-8", "replace") for key in keys for part in key.split(b"/")[:-1]]


def words_of_name(name: str) -> str:
    """The words of a file name: "IMG_12 red-CarAtDusk.mov" is "red Car At Dusk"."""
    return words_of_text(name.rpartition(".")[0] or name)


def words_of_text(text: str) -> str:
    return " ".join(word for word in WORD.findall(CAMEL.sub(" ", text)) if _says_something(word))


def _says_something(word: str) -> bool:
    """One Latin letter is a counter (``take_b``); one Han character is a word."""
    return word.lower() not in CAMERA_WORDS and not (len(word) == 1 and word.isascii())
