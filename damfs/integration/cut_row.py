"""What is answered of a piece or a frame that was cut. Pure."""

from __future__ import annotations

from msgspec import Struct


class CutRow(Struct, frozen=True):
    """What is answered of a piece or a frame. ``file``: where it lies; ``cut``: what was really cut; ``method``:
    "copied", "smart" (``encoded_frames`` of ``frames`` were encoded anew) or "encoded", ``why`` where
    that is not what was wanted. ``errors``: what could not be decoded of the clip; there is silence, or a frame is
    missing, in its place."""

    asset: int
    asset_name: str
    name: str
    kind: str
    file: str
    size: int
    cut: str
    method: str
    frames: int = 0
    encoded_frames: int = 0
    why: str = ""
    errors: int = 0
