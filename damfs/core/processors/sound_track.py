"""One sound track of a proxy: the source's channels and rate, in step with the pictures.

Runs in worker processes only (imports av); writes into the container it is given. Sound starts at 0 as the pictures do;
a track that starts later gets silence, and so do gaps.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.error import BlockingIOError as AvBlockingIOError
from av.error import EOFError as AvEOFError
from av.filter import Graph
from av.video.frame import VideoFrame

from damfs.core.processors import media
from damfs.core.processors.profiles import USUAL, Profile
from damfs.core.processors.proxy_plan import Plan
from damfs.errors import BadMedia

QUICKTIME_LANGUAGES = {
    "deu": "ger", "fre": "fra", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb",
    "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm", "kat": "geo", "msa": "may", "mya": "bur",
    "bod": "tib", "cym": "wel", "eus": "baq",
}  # fmt: skip
"""ISO 639-2 codes by the spelling that QuickTime's table of languages has for them."""
USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
DAY_S = 86_400
SILENCE_S = 3_600
"""So much may be missing, or as much as there is sound: a broken clock asks for silence of gigabytes."""


def latest_sound(container: InputContainer) -> Fraction:
    """Seconds after which no sound is believed: gaps are filled with silence, and a broken time would fill the disk."""
    lasts = Fraction(container.duration or 0, av.time_base)
    return min(2 * lasts + 60, Fraction(DAY_S)) if lasts > 0 else Fraction(DAY_S)


def pulled(graph: Graph) -> Iterator[VideoFrame | AudioFrame]:
    while True:
        try:
            yield graph.pull()
        except (AvBlockingIOError, AvEOFError):
            return


class SoundTrack:
    """One track with the source's channels and rate; gaps become silence, so that it stays in step."""

    def __init__(
        self, out: OutputContainer, source: AudioStream, plan: Plan, name: str, latest: Fraction = Fraction(DAY_S)
    ) -> None:
        self.out, self.source, self.plan, self.name, self.latest = out, source, plan, name, latest
        self.layout = layout_for(source)
        self.rate = source.codec_context.sample_rate or 48000
        check_sound(source.codec_context.layout.nb_channels, self.rate, plan.profile, name)
        stream = out.add_stream(plan.profile.sound, rate=self.rate, layout=self.layout)
        assert isinstance(stream, AudioStream)
        self.stream = stream
        self.samples = "fltp" if plan.profile.sound == "aac" else "s16"
        found = media.language(source)
        if found is not None:
            self.stream.metadata["language"] = QUICKTIME_LANGUAGES.get(found, found)
        self.graph: Graph | None = None
        self.shape: tuple[str, str, int] | None = None
        self.empty = True
        self.heard = Fraction(0)
        """Seconds of sound that came out of the decoder."""

    def write(self, frame: AudioFrame) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self.graph is None or shape != self.shape:
            first = self.graph is None
            self.flush()
            self.graph, self.shape = self.graph_for(frame, first), shape
        if frame.pts is not None and frame.time_base is not None:
            frame.pts -= round(self.plan.origin / frame.time_base)
            self.check_time(frame.pts * frame.time_base)
        self.heard += Fraction(frame.samples, frame.sample_rate or self.rate)
        self.graph.push(frame)
        self.drain(self.graph)

    def check_time(self, at: Fraction) -> None:
        if at > self.latest:
            raise BadMedia(
                f"{self.name}: no proxy: sound_times: sound says that it comes {float(at):,.0f} s after the first "
                "picture, long after the end; wrap it anew (ffmpeg -i FILE -c copy NEW)"
            )
        if at - self.heard > SILENCE_S + self.heard:
            raise BadMedia(
                f"{self.name}: no proxy: sound_times: of {float(at):,.0f} s of sound only {float(self.heard):,.1f} s "
                "are there; wrap it anew (ffmpeg -i FILE -c copy NEW)"
            )

    def graph_for(self, frame: AudioFrame, first: bool) -> Graph:
        graph = Graph()
        start = ":first_pts=0" if first else ""
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
            ),
            graph.add("aresample", f"{self.rate}:async=1{start}"),
            graph.add("aformat", f"sample_fmts={self.samples}:channel_layouts={self.layout}:sample_rates={self.rate}"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def drain(self, graph: Graph) -> None:
        for made in pulled(graph):
            if isinstance(made, AudioFrame):
                self.out.mux(self.stream.encode(made))
                self.empty = False

    def flush(self) -> None:
        if self.graph is not None:
            self.graph.push(None)
            self.drain(self.graph)

    def close(self) -> None:
        self.flush()
        if self.empty:  # a moment of silence, or the file would lack the track
            self.out.mux(self.stream.encode(silence(self.samples, self.layout, self.rate)))
        self.out.mux(self.stream.encode(None))


def check_sound(channels: int, rate: int, profile: Profile, name: str) -> None:
    """Raises BadMedia for a track that the profile's format cannot hold as it is."""
    for key, found, holds in (
        ("sample_rates", f"{rate} Hz", profile.sound_rates is None or rate in profile.sound_rates),
        ("audio_channels", f"{channels} channels", channels <= profile.most_channels),
    ):
        if not holds:
            advice = f"use the profile {USUAL} or another with PCM"
            raise BadMedia(f"{name}: no proxy: {key}: {profile.sound} cannot hold {found}; {advice}")


def silence(samples: str, layout: str, rate: int) -> AudioFrame:
    frame = AudioFrame(format=samples, layout=layout, samples=1024)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    return frame


def layout_for(source: AudioStream) -> str:
    """The source's channels by name; MXF and AVI say their number only."""
    layout = source.codec_context.layout
    return USUAL_LAYOUTS.get(layout.nb_channels, layout.name) if layout.name.endswith("channels") else layout.name
