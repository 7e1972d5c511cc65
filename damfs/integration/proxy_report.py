"""What is answered of a video by each profile: plain data for the wire. Pure."""

from __future__ import annotations

from msgspec import Struct


class ProxyRow(Struct, frozen=True):
    """``state``: made, running, waiting, failed, needless, none; of a camera's copy (profile "camera"): made, refused,
    waiting. ``instead``: the profile that took its place."""

    profile: str
    state: str
    shown: bool
    """Whether proxies/ shows it."""
    file: str = ""
    size: int = 0
    reason: str = ""
    instead: str = ""
    report: dict[str, object] = {}  # msgspec copies it


class ProxyReport(Struct, frozen=True):
    name: str
    rows: tuple[ProxyRow, ...]
    copy_of: str = ""
    """The clip that it is a camera's small copy of."""
