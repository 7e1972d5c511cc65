"""exiftool: what only ExifTool reads: maker notes, RAW, R3D, camera XML, XMP. Declines where it is not installed.

One exiftool process for each worker, kept open between files; it ends with its worker, and is ended when a file takes
too long. Fields it finds fill those that the probe left open.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import json
import os
import select
import shutil
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar

from damfs.core.processors import capture
from damfs.core.processors.processor import Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Media

PROGRAM = shutil.which("exiftool")
TAGS = (
    "Make", "Model", "DeviceManufacturer", "DeviceModelName", "LensModel", "LensID", "SerialNumber", "DeviceSerialNo",
    "ISO#", "ExposureTime#", "FNumber#", "FocalLength#", "GPSLatitude#", "GPSLongitude#", "GPSAltitude#",
    "DateTimeOriginal", "OffsetTimeOriginal", "Title", "Description", "ImageDescription", "Creator", "Artist",
    "Copyright", "Rights", "ReelName", "TapeName", "Subject", "Keywords", "Headline", "Credit", "Event",
)  # fmt: skip
TEXTS = {
    "camera_make": ("Make", "DeviceManufacturer"),
    "camera_model": ("Model", "DeviceModelName"),
    "lens": ("LensModel", "LensID"),
    "serial": ("SerialNumber", "DeviceSerialNo"),
    "reel": ("ReelName", "TapeName"),
    "title": ("Title",),
    "description": ("Description", "ImageDescription"),
    "artist": ("Creator", "Artist"),
    "copyright": ("Copyright", "Rights"),
    "headline": ("Headline",),
    "credit": ("Credit",),
    "event": ("Event",),
}
LISTS = {"keywords": ("Subject", "Keywords")}
"""Of each the values of all its tags: programs write keywords into XMP and into IPTC."""
LISTED = 200
NUMBERS = {"iso": "ISO", "exposure_s": "ExposureTime", "aperture": "FNumber", "focal_mm": "FocalLength"}
TEXT_LIMIT = 2000
ANSWER_S = 30.0
ANSWER_BYTES = 4 << 20
READY = b"{ready}\n"
UNKNOWN = ("unknown", "n/a", "----", "none")
_DIE_WITH_PARENT = 1
_libc = ctypes.CDLL(None)


class ExifTool(Processor):
    """Keeps its `Tool` between files."""

    name: ClassVar[str] = "exiftool"
    version: ClassVar[int] = 3 if PROGRAM else 1  # who installs it later has the files read
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 35
    timeout_s: ClassVar[float] = 60.0

    def __init__(self) -> None:
        self._tool: Tool | None = None

    def accepts(self, subject: Subject) -> bool:
        wanted = subject.settings.get("exiftool") is not False
        return wanted and PROGRAM is not None and subject.media is not Media.OTHER

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        plain_name = out / ("source" + PurePosixPath(subject.name).suffix.encode("ascii", "ignore").decode()[:16])
        if not plain_name.suffix[1:].isalnum():
            plain_name = out / "source"
        plain_name.symlink_to(source.absolute())  # names of files may hold what ends an argument
        tool = self._running()
        try:
            told = tool.tags(plain_name)
        except TooMuch as error:
            tool.end()
            raise BadMedia(f"{capture.plain(subject.name)}: exiftool {error}; its other facts are kept") from None
        finally:
            plain_name.unlink()
        return Output(facts=facts_of(told, subject.facts.get("probe", {})))

    def _running(self) -> Tool:
        if self._tool is None or not self._tool.runs():
            self._tool = Tool()
            weakref.finalize(self, self._tool.end)
        return self._tool


class TooMuch(Exception):
    """An answer that is too long, or took too long."""


class Tool:
    """A process of exiftool that waits for files."""

    def __init__(self) -> None:
        assert PROGRAM is not None, "accepts was asked"
        self._process = subprocess.Popen(
            [PROGRAM, "-config", "", "-stay_open", "True", "-@", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            preexec_fn=functools.partial(die_with, os.getpid()),
        )

    def runs(self) -> bool:
        return self._process.poll() is None

    def tags(self, path: Path) -> dict[str, object]:
        """Values by tag; {} where it can read nothing. Raises TooMuch, OSError when the process is gone."""
        assert self._process.stdin is not None
        lines = ["-j", "-charset", "UTF8", *(f"-{tag}" for tag in TAGS), str(path), "-execute", ""]
        self._process.stdin.write("\n".join(lines).encode("utf-8", "surrogateescape"))
        self._process.stdin.flush()
        answer = self._answer(time.monotonic() + ANSWER_S)
        try:
            (found,) = json.loads(answer or b"[{}]")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _answer(self, deadline: float) -> bytes:
        assert self._process.stdout is not None
        pipe, answer = self._process.stdout.fileno(), bytearray()
        while not answer.endswith(READY):
            if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TooMuch(f"gave no answer within {ANSWER_S:g} s")
            part = os.read(pipe, 65536)
            if not part:
                raise OSError("exiftool ended by itself")
            answer += part
            if len(answer) > ANSWER_BYTES:
                raise TooMuch("gave an answer without end")
        return bytes(answer[: -len(READY)])

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def die_with(parent: int) -> None:
    """For a child. exiftool goes on waiting when its input ends, and a worker may be killed at any moment: also before
    this is said."""
    _libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def facts_of(told: Mapping[str, object], probed: Mapping[str, object]) -> dict[str, object]:
    """By the names that the probe uses; only what is said."""
    texts = {name: _text(told, tags) for name, tags in TEXTS.items()}
    numbers = {name: _number(told.get(tag)) for name, tag in NUMBERS.items()}
    lists = {name: _list(told, tags) for name, tags in LISTS.items()}
    known = {name: value or None for name, value in (numbers | lists).items()}
    facts: dict[str, object] = {**texts, **known, "gps": _gps(told)}
    facts |= {} if _is_dated(probed) else _captured(told)
    return {name: value for name, value in facts.items() if value is not None}


def _text(told: Mapping[str, object], tags: tuple[str, ...]) -> str | None:
    for tag in tags:
        value = told.get(tag)
        said = ", ".join(map(str, value)) if isinstance(value, list) else str(value) if value is not None else ""
        text = capture.plain(said[:TEXT_LIMIT])
        if text and not text.casefold().startswith(UNKNOWN):
            return text
    return None


def _list(told: Mapping[str, object], tags: tuple[str, ...]) -> list[str]:
    values = [told.get(tag) for tag in tags]
    each = [part for value in values for part in (value if isinstance(value, list) else [value]) if part is not None]
    texts = (capture.plain(str(part)[:TEXT_LIMIT]) for part in each[:LISTED])
    return list(dict.fromkeys(text for text in texts if text))


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 else None


def _gps(told: Mapping[str, object]) -> dict[str, float] | None:
    lat, lon, alt = (_number(told.get(f"GPS{name}")) for name in ("Latitude", "Longitude", "Altitude"))
    return None if lat is None or lon is None else capture.gps(lat, lon, alt)


def _is_dated(probed: Mapping[str, object]) -> bool:
    return any(probed.get(name) is not None for name in ("captured_local", "captured_utc_ns"))


def _captured(told: Mapping[str, object]) -> dict[str, object]:
    when, zone = told.get("DateTimeOriginal"), told.get("OffsetTimeOriginal")
    moment = capture.parse_moment(when, zone if isinstance(zone, str) else None) if isinstance(when, str) else None
    return {} if moment is None else moment.facts()
