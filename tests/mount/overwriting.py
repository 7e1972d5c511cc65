"""Ways in which programs write over a file. Blocks."""

from __future__ import annotations

import os
from pathlib import Path


def overwritten(path: Path, how: str, old: bytes, new: bytes) -> bytes:
    """Write over a file; what is in it now."""
    match how:
        case "truncate":
            path.write_bytes(new)
            return new
        case "append":
            with path.open("ab") as file:
                file.write(new)
            return old + new
        case "middle":
            with path.open("r+b") as file:
                file.seek(len(old) // 2)
                file.write(new)
            return old[: len(old) // 2] + new + old[len(old) // 2 + len(new) :]
        case "shorten":
            os.truncate(path, len(old) // 2)
            return old[: len(old) // 2]
        case _:
            path.open("r+b").close()
            return old
