"""Which formats of vocabulary files there are, and reading and writing one. Blocks."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from damfs.core.concepts import Concept, Vocabulary, checked
from damfs.errors import BadVocabulary
from damfs.integration.vocabulary_files import keyword_lists, table

SIZE_LIMIT = 64 << 20
SEEN = 1000
"""Bytes that tell which encoding it is."""


@dataclass(frozen=True, slots=True)
class Format:
    read: Callable[[str, str], list[Concept]]
    write: Callable[[Sequence[Concept], str], str]
    endings: tuple[str, ...]


def _read_skos(text: str, file: str) -> list[Concept]:
    from damfs.integration.vocabulary_files import skos  # rdflib takes half a second to import

    return skos.read(text, file)


def _write_skos(concepts: Sequence[Concept], file: str) -> str:
    from damfs.integration.vocabulary_files import skos

    return skos.write(concepts, file)


FORMATS = {
    "skos": Format(_read_skos, _write_skos, (".ttl", ".skos", ".turtle")),
    "lightroom": Format(keyword_lists.read_lightroom, keyword_lists.write_lightroom, (".txt",)),
    "paths": Format(keyword_lists.read_paths, keyword_lists.write_paths, (".list", ".paths")),
    "csv": Format(table.read, table.write, (".csv", ".tsv")),
}


def read_file(path: Path, kind: str = "") -> Vocabulary:
    """The vocabulary in a file, in the format that is named or that its ending says. Raises BadVocabulary."""
    text = _decoded(path)
    kind = kind or _kind_of(path, text)
    found = FORMATS[kind].read(text, str(path))
    if not found:
        raise BadVocabulary(f"{path}: there are no terms in it")
    return checked(found, str(path))


def _kind_of(path: Path, text: str = "") -> str:
    """By its ending. A text of paths is told from a Lightroom list by its first lines: those have slashes, no tabs."""
    ending = path.suffix.casefold()
    found = next((name for name, each in FORMATS.items() if ending in each.endings), None)
    if found is None:
        raise BadVocabulary(f"{path}: which format? name it with --format: {', '.join(FORMATS)}")
    if found == "lightroom" and text and "\t" not in text and any(mark in text for mark in keyword_lists.SEPARATORS):
        return "paths"
    return found


def kind_for_writing(path: Path, kind: str) -> str:
    """Raises BadVocabulary when neither says it."""
    return kind or _kind_of(path)


def _decoded(path: Path) -> str:
    """UTF-8, or UTF-16 with its mark. Raises BadVocabulary."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise BadVocabulary(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > SIZE_LIMIT:
        raise BadVocabulary(f"{path} is larger than {SIZE_LIMIT >> 20} MB; this is no vocabulary")
    if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and _seems_utf_16(data[:SEEN]):
        raise BadVocabulary(f"{path}, line 1: this seems to be UTF-16 without its mark; save it as UTF-8")
    utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        code = "UTF-16" if utf_16 else "UTF-8"
        raise BadVocabulary(
            f"{path}, line {line}: no {code} text (byte 0x{data[error.start]:02x}); save it as UTF-8"
        ) from None
    if "\0" in text:
        raise BadVocabulary(f"{path}, line {text.count(chr(10), 0, text.index(chr(0))) + 1}: no text (a zero byte)")
    return text


def _seems_utf_16(data: bytes) -> bool:
    """Every other byte of Latin text is a zero then."""
    return len(data) >= 4 and max(data[::2].count(0), data[1::2].count(0)) * 4 > len(data)
