"""Attempts with a graphics card that go wrong: what `proxy.ATTEMPT` is replaced by. They run in a process of their own,
which finds them by name."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from av.video.frame import VideoFrame

from damfs.core.processors import proxy, transcode
from damfs.core.processors.profiles import Encoder, Profile
from damfs.core.processors.proxy import Made
from damfs.core.processors.proxy_plan import SizeRule

FAULTY_FRAME = 4
Attempt = Callable[[Encoder, Path, Path, str, Profile, SizeRule, str], Made]


def _with(fault: Callable[[], bool]) -> Attempt:
    """``fault`` happens at one frame; it says whether that is encoded all the same."""

    def attempt(
        encoder: Encoder, source: Path, out: Path, name: str, profile: Profile, rule: SizeRule, device: str
    ) -> Made:
        encode = transcode.PictureTrack.encode
        seen = 0

        def faulty(track: transcode.PictureTrack, frame: VideoFrame, at: int, duration: int) -> None:
            nonlocal seen
            seen += 1
            if seen != FAULTY_FRAME or fault():
                encode(track, frame, at, duration)

        transcode.PictureTrack.encode = faulty  # type: ignore[method-assign,assignment]  # in this process only
        return proxy.made_by(encoder, source, out, name, profile, rule, device)

    return attempt


def _die() -> bool:
    os.kill(os.getpid(), signal.SIGKILL)
    return False


def _hang() -> bool:
    threading.Event().wait()
    return False


def dies(encoder: Encoder, source: Path, out: Path, name: str, profile: Profile, rule: SizeRule, device: str) -> Made:
    return _with(_die)(encoder, source, out, name, profile, rule, device)


def hangs(encoder: Encoder, source: Path, out: Path, name: str, profile: Profile, rule: SizeRule, device: str) -> Made:
    return _with(_hang)(encoder, source, out, name, profile, rule, device)


def drops(encoder: Encoder, source: Path, out: Path, name: str, profile: Profile, rule: SizeRule, device: str) -> Made:
    """A frame too few, and nothing is said of it."""
    return _with(lambda: False)(encoder, source, out, name, profile, rule, device)
