"""What tells one model from another: the files of its directory, before and after it was loaded.

Blocks: the digest reads all weights, the stamp looks at names, sizes and times only. Holds nothing.
"""

from __future__ import annotations

from pathlib import Path

from blake3 import blake3

SUFFIXES = frozenset({".safetensors", ".bin", ".pt", ".pth", ".onnx", ".json", ".txt", ".model"})
"""Of weights, and of what says how they are used: another pooling or vocabulary makes other vectors."""
MOST = 1_000
"""Files of a directory that are looked at: a model has some twenty, a home directory given by mistake any number."""

Stamp = tuple[tuple[str, int, int], ...]


def directory_of(name: str) -> Path | None:
    """Where a model lies that is named by its path; None: it is no directory."""
    path = Path(name).expanduser()
    return path if path.is_dir() else None


def stamp(name: str) -> Stamp:
    """Another one when the files of a directory changed; () for what is none."""
    directory = directory_of(name)
    if directory is None:
        return ()
    states = [(file, file.stat()) for file in _files(directory)]
    return tuple((str(file.relative_to(directory)), state.st_size, state.st_mtime_ns) for file, state in states)


def digest(directory: Path) -> str:
    found = blake3()
    for file in _files(directory):
        found.update(str(file.relative_to(directory)).encode("utf-8", "surrogateescape"))
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                found.update(block)
    return found.hexdigest()[:12]


def _files(directory: Path) -> list[Path]:
    found: list[Path] = []
    for file in directory.rglob("*"):
        if file.suffix in SUFFIXES and file.is_file():
            found.append(file)
        if len(found) >= MOST:
            break
    return sorted(found)
