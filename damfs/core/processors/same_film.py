"""Whether one film is another, or a part of it, encoded or scaled anew: looked at frame by frame, and listened to.

Runs in a program of its own (see `close_look`), reads only. What leaves is decoded as a whole up to a minute, at its
key frames beyond that; of what stays, only the surroundings of the same moments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from damfs.core import film_likeness as likeness
from damfs.core.processors import keyframes, media, sound_samples
from damfs.core.processors.fingerprint import MOMENTS, STEP_NS, moments_shown
from damfs.errors import BadMedia

LONGEST: Final = 224
"""Pixels of the longer side that are compared, fewer where one of both has fewer."""
LEAST: Final = 96
MOST: Final = 300
PLACED: Final = 9
"""Moments by which the offset is found: those around which most moves."""
AROUND_NS: Final = 900_000_000
BESIDE_NS: Final = 60_000_000
AHEAD_NS: Final = 8_000_000_000
"""What lies farther ahead is sought, not read up to."""
SHAPE: Final = 0.02
ENDS_NS: Final = 150_000_000
"""By so much it may seem to reach beyond the kept one: three frames at 25 a second."""


@dataclass(frozen=True, slots=True)
class Film:
    name: str
    path: Path


def objection(kept: Film, other: Film, begins_ns: int) -> str | None:
    """Why the other may not be (a part of) the kept one; None where nothing says so. ``begins_ns``: about where in the
    kept film the other begins. Raises BadMedia, and what decoders raise."""
    with media.opened(kept.path, kept.name) as held, media.opened(other.path, other.name) as leaving:
        streams = media.picture_stream(held), media.picture_stream(leaving)
        if streams[0] is None or streams[1] is None:
            raise BadMedia(f"{kept.name}: it shows no pictures")
        frames = list(_moments(leaving, streams[1]))
        if not frames:
            raise BadMedia(f"{other.name}: it shows no pictures")
        later_ns, why = _compared(_Around(held, streams[0], frames[0][1]), frames, begins_ns)
        lengths = [media.stream_duration(*each) for each in ((held, streams[0]), (leaving, streams[1]))]
    return why or _longer(lengths, begins_ns + later_ns) or _sounds(kept, other, begins_ns + later_ns)


def _longer(lengths: Sequence[int | None], begins_ns: int) -> str | None:
    """The last moment that was compared may be seconds before the end."""
    kept_ns, other_ns = lengths
    if kept_ns is None or other_ns is None:
        return "nobody knows how long it is"
    return likeness.MORE if begins_ns < -ENDS_NS or begins_ns + other_ns > kept_ns + ENDS_NS else None


def _compared(kept: _Around, frames: Sequence[tuple[int, likeness.Picture]], begins_ns: int) -> tuple[int, str | None]:
    if not kept.fits:
        return 0, "another shape, or too small to be sure"
    places = []
    for at_ns, picture in _busiest(frames):
        expected = at_ns + begins_ns
        place = likeness.place_of(picture, kept.frames(expected - AROUND_NS, expected + AROUND_NS), expected)
        places += [place] if place is not None else []
    later_ns, why = likeness.common_place(places)
    return later_ns, why or _all_alike(kept, frames, begins_ns + later_ns)


def _all_alike(kept: _Around, frames: Sequence[tuple[int, likeness.Picture]], begins_ns: int) -> str | None:
    residue = likeness.Residue()
    for at_ns, picture in frames:
        expected = at_ns + begins_ns
        if why := residue.add(picture, kept.frames(expected - BESIDE_NS, expected + BESIDE_NS)):
            return why
    return residue.lasting()


def _busiest(frames: Sequence[tuple[int, likeness.Picture]]) -> list[tuple[int, likeness.Picture]]:
    """In the order of time."""
    moved = [float(np.abs(one[1][..., 0].astype(np.int16) - two[1][..., 0]).mean()) for one, two in pairwise(frames)]
    wanted = sorted(range(len(moved)), key=lambda index: -moved[index])[:PLACED]
    return [frames[index] for index in sorted(wanted)]


def _moments(container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, likeness.Picture]]:
    duration = media.stream_duration(container, stream) or 0
    step_ns = max(STEP_NS, duration // MOMENTS)
    for number, (at_ns, picture) in enumerate(moments_shown(container, stream, duration, step_ns, LONGEST)):
        if number >= MOST:
            return
        yield at_ns, _pixels(picture)


def _pixels(picture: Image.Image) -> likeness.Picture:
    return np.asarray(picture.convert("YCbCr"), np.uint8)


class _Around:
    """Frames of a film around times, in the size of a picture: by reading on, by seeking where that is far."""

    def __init__(self, container: InputContainer, stream: VideoStream, like: likeness.Picture) -> None:
        self._container, self._stream = container, stream
        self._size = like.shape[1], like.shape[0]
        self._damage = media.Damage()
        self._held: deque[tuple[int, likeness.Picture]] = deque()
        self._source: Iterator[tuple[int, VideoFrame]] = iter(())
        self._read_ns = -1
        """Time of the last frame that was read."""
        self._ended = True
        self._turn: media.Turn | None = None
        stream.thread_type = "AUTO"
        self.fits = self._fits(like)

    def frames(self, begin_ns: int, end_ns: int) -> list[tuple[int, likeness.Picture]]:
        """What is shown from one time to the other; nothing outside the film."""
        first_held = self._held[0][0] if self._held else self._read_ns
        if begin_ns < first_held or begin_ns > self._read_ns + AHEAD_NS or self._ended:
            self._seek(max(0, begin_ns))
        while self._held and self._held[0][0] < begin_ns:
            self._held.popleft()
        while not self._ended and self._read_ns < end_ns:
            self._take(begin_ns)
        return [each for each in self._held if begin_ns <= each[0] <= end_ns]

    def _seek(self, at_ns: int) -> None:
        self._held.clear()
        keyframes.seek(self._container, self._stream, at_ns, self._damage)
        self._source, self._read_ns, self._ended = self._decoded(), -1, False

    def _take(self, begin_ns: int) -> None:
        found = next(self._source, None)
        if found is None:
            self._ended = True
            return
        self._read_ns = found[0]
        if found[0] >= begin_ns:
            self._held.append((found[0], self._picture(found[1])))

    def _decoded(self) -> Iterator[tuple[int, VideoFrame]]:
        for _, frame in media.decoded(self._container, [self._stream], self._damage):
            if isinstance(frame, VideoFrame):
                yield keyframes.moment(frame, self._stream), frame

    def _picture(self, frame: VideoFrame) -> likeness.Picture:
        self._turn = self._turn or media.turn_of(frame)
        shown = keyframes.picture_of(frame, self._stream, max(self._size), self._turn)
        return _pixels(shown if shown.size == self._size else shown.resize(self._size))

    def _fits(self, like: likeness.Picture) -> bool:
        """Of the same shape, and large enough to be told apart."""
        self._seek(0)
        found = next(self._source, None)
        self._seek(0)
        if found is None or max(self._size) < LEAST:
            return False
        shown = keyframes.picture_of(found[1], self._stream, LONGEST)
        ours, theirs = self._size[0] / self._size[1], shown.width / shown.height
        return bool(abs(ours / theirs - 1) <= SHAPE + 1 / min(like.shape[:2]))


def _sounds(kept: Film, other: Film, begins_ns: int) -> str | None:
    """Track by track: what is said on one of them may be silent on it in the other file."""
    held, leaving = _tracks(kept), _tracks(other)
    if leaving and held != leaving:
        return likeness.NO_SOUND if not held else "another number of sound tracks"
    for number in range(leaving):
        why = likeness.sound_objection(_loudness(other, number), _loudness(kept, number), begins_ns)
        if why:
            return why if leaving == 1 else f"{why}, track {number + 1}"
    return None


def _tracks(film: Film) -> int:
    with media.opened(film.path, film.name) as container:
        return len(media.sound_streams(container))


def _loudness(film: Film, number: int) -> NDArray[np.float64]:
    """dB of full scale, so many times a second."""
    with media.opened(film.path, film.name) as container:
        rate = media.sound_streams(container)[number].codec_context.sample_rate
        if not rate:
            return np.zeros(0)
        width = max(1, rate // likeness.BINS_PER_S)
        rest, found = np.zeros(0, np.float32), []
        for samples in sound_samples.sounds(container, media.Damage(), number):
            mixed = np.concatenate([rest, samples.mean(axis=0)])
            whole = len(mixed) // width * width
            found.append(np.sqrt((mixed[:whole].astype(np.float64).reshape(-1, width) ** 2).mean(axis=1)))
            rest = mixed[whole:]
    return 20 * np.log10(np.maximum(np.concatenate(found), 1e-5)) if found else np.zeros(0)
