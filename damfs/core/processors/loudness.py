"""loudness: how loud a file is by EBU R 128. Reads all of the sound, so it is off unless the settings want it.

``accepts`` is pure; ``run`` happens in a worker process and writes nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import Output, Processor, Subject
from damfs.errors import BadMedia

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.filter import Graph

SUMMARY = {"integrated_lufs": "lavfi.r128.I", "range_lu": "lavfi.r128.LRA"}
PEAK = "lavfi.r128.true_peak"
RANGE_S = 60
"""EBU Tech 3342 does not mean the range of programmes shorter than a minute."""
SILENCE_LUFS = -70.0
"""What the filter says before it has heard anything: the gate of EBU R 128."""


class Loudness(Processor):
    """Of the first sound track, from end to end."""

    name: ClassVar[str] = "loudness"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 80
    timeout_s: ClassVar[float] = 1800.0

    def accepts(self, subject: Subject) -> bool:
        return subject.settings.get("loudness") is True and bool(subject.facts.get("probe", {}).get("audio"))

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media

        name = media.shown(subject.name)
        with media.opened(source, name) as container:
            sounds = media.sound_streams(container)
            if not sounds:
                raise BadMedia(f"{name}: no sound that can be decoded here; nothing can be measured")
            return Output(facts=measured(container, sounds[0], name))


def measured(container: InputContainer, stream: AudioStream, name: str) -> dict[str, object]:
    """Of the first track, all of it."""
    import av
    from av.audio.frame import AudioFrame

    from damfs.core.processors import media

    damage, meter = media.Damage(), Meter()
    for _, frame in media.decoded(container, [stream], damage):
        if isinstance(frame, AudioFrame):
            try:
                meter.hear(frame)
            except av.FFmpegError as error:  # sound of a form that no meter is made for, such as a sample a second
                damage.note(error)
    if not meter.heard:
        raise BadMedia(f"{name}: no sound can be decoded ({damage.first or 'there is none'}){media.ADVICE}")
    return meter.facts(stream.sample_rate or 48_000)


class Meter:
    """FFmpeg's ebur128, fed frame by frame; a change of format begins a new graph, and the last counts."""

    def __init__(self) -> None:
        self._graph: Graph | None = None
        self._format: tuple[object, ...] = ()
        self._said: dict[str, float] = {}
        self.heard = 0

    def hear(self, frame: AudioFrame) -> None:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._graph is None or kind != self._format:
            self._graph, self._format = self._meter(frame), kind
        frame.pts = None
        self._graph.push(frame)
        self.heard += frame.samples
        self._read()

    def _meter(self, frame: AudioFrame) -> Graph:
        from av.filter import Graph

        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=frame.time_base
        )
        meter = graph.add("ebur128", "metadata=1:peak=true")
        sink = graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        return graph

    def _read(self) -> None:
        import av

        assert self._graph is not None
        while True:
            try:
                told = self._graph.pull().metadata
            except (av.BlockingIOError, av.EOFError):
                return
            self._note(told)

    def _note(self, told: dict[str, str]) -> None:
        self._said |= {fact: value for fact, key in SUMMARY.items() if (value := number(told.get(key))) is not None}
        peaks = [number(value) for key, value in told.items() if key.startswith(PEAK)]
        self._said["peak"] = max([self._said.get("peak", 0.0), *(peak for peak in peaks if peak is not None)])

    def facts(self, rate: int) -> dict[str, object]:
        """LUFS, LU and dBTP; None for silence, and the range of what is too short to have one."""
        loud, spread, peak = (self._said.get(name) for name in ("integrated_lufs", "range_lu", "peak"))
        heard = loud is not None and loud > SILENCE_LUFS
        long = self.heard >= RANGE_S * rate
        return {
            "integrated_lufs": round(loud, 1) if heard and loud is not None else None,
            "range_lu": round(spread, 1) if heard and long and spread is not None else None,
            "true_peak_dbtp": round(20 * math.log10(peak), 1) if peak else None,
        }


def number(text: str | None) -> float | None:
    try:
        found = float(text or "nan")
    except ValueError:
        return None
    return found if math.isfinite(found) else None
