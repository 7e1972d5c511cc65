"""`damfs clip`: a piece or a frame of a clip, made by the daemon, or here where none runs.

Runs on the loop of whoever owns the library; the work is done in a worker process. Errors are damfs errors.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction

import trio

from damfs.catalog import derived, job_table
from damfs.core.library import Library
from damfs.core.on_demand import ENDINGS, Maker, Wanted
from damfs.core.processors.telling import TELL_EVERY_S, share_of
from damfs.core.spans import Span, length_of, time_name
from damfs.core.worker_pool import open_worker_pool
from damfs.errors import DamfsError, Refused, Unavailable
from damfs.integration.cut_row import CutRow
from damfs.integration.running import first_of
from damfs.integration.wire import Progress
from damfs.model import Asset, AssetId, Rendition, RenditionKind

Report = Callable[[Progress], None]


async def cut(
    library: Library, maker: Maker | None, id_: AssetId, span: Span | None, at_ms: int, report: Report
) -> CutRow:
    """A piece where there is a span, else the frame that is shown at that time. Raises Refused, Unavailable."""
    wanted = checked(library, id_, span, at_ms, mounted=maker is not None)
    async with _maker(library, maker) as owner:
        made = await _made(library, owner, wanted, span, report)
    detail = derived.detail_of(library.db.writer, made.id)
    return CutRow(
        asset=id_,
        asset_name=library.known(id_).name,
        name=made.profile + ENDINGS[made.kind],
        kind=str(made.kind),
        file=os.fspath(library.renditions / made.key),
        size=made.size,
        cut=str(detail.get("cut", "")),
        method=str(detail.get("method", "")),
        frames=int(str(detail.get("frames", 0))),
        encoded_frames=int(str(detail.get("encoded_frames", 0))),
        why=str(detail.get("why", "")),
        errors=int(str(detail.get("errors", 0))),
    )


def withdraw(library: Library, maker: Maker | None, id_: AssetId, span: Span | None, at_ms: int) -> dict[str, bool]:
    """Who asked for it does not wait any more."""
    return {"withdrawn": maker is not None and maker.withdraw(checked(library, id_, span, at_ms, mounted=True))}


async def _made(library: Library, maker: Maker, wanted: Wanted, span: Span | None, report: Report) -> Rendition:
    """Tells how far it is meanwhile."""
    frames = 1 if span is None else frames_of(library, wanted, span)
    name = library.known(wanted.asset).name

    async def tell() -> None:
        while True:
            path = maker.progress_of(wanted)
            share = None if path is None else await trio.to_thread.run_sync(share_of, path)
            if share is not None:
                report(Progress(name, round(share * frames), frames, unit="frames"))
            await trio.sleep(TELL_EVERY_S)

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            made = await maker.make(wanted)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise first_of(group) from None
    return made


def frames_of(library: Library, wanted: Wanted, span: Span) -> int:
    """How many there are in the span, about; for sound as many as there would be at 25 a second."""
    video = derived.facts_by(library.db.writer, wanted.blob, "probe").get("video")
    rate = video.get("frame_rate") if isinstance(video, dict) else None
    return max(1, round(Fraction(span.end_ms - span.start_ms, 1000) * Fraction(str(rate or 25))))


def checked(library: Library, id_: AssetId, span: Span | None, at_ms: int, *, mounted: bool) -> Wanted:
    """Raises Refused with what the clip has, Unavailable for one that is not looked at yet."""
    asset = library.known(id_)
    facts = {} if asset.blob is None else derived.facts_by(library.db.writer, asset.blob, "probe")
    length = facts.get("duration_ns")
    if asset.blob is None or not facts:
        raise unseen(library, asset, mounted=mounted)
    if not isinstance(length, int) or (span is None and facts.get("media") != "video"):
        raise Refused(f"{asset.name} cannot be cut: it has no {'frames' if span is None else 'duration'}")
    length_ms = length_of(length)
    least_ms = at_ms + 1 if span is None else span.least_ms
    if least_ms > length_ms:
        raise Refused(f"{asset.name} ends at {time_name(length_ms).replace('-', ':')}; name times up to that")
    if span is None:
        return Wanted(id_, asset.blob, RenditionKind.FRAME, time_name(at_ms))
    return Wanted(id_, asset.blob, RenditionKind.CLIP, span.profile)


def unseen(library: Library, asset: Asset, *, mounted: bool) -> DamfsError:
    """Why nothing is known of its times, and what to do."""
    failed = [] if asset.blob is None else job_table.failures_of(library.db.writer, asset.blob)
    for job in failed:
        if job.processor == "probe":
            return Refused(f"{asset.name} cannot be cut; {job.error}")
    yet = f"{asset.name} was not looked at yet"
    if mounted:
        return Unavailable(f"{yet}; wait for it with: damfs status {library.path} --wait")
    return Unavailable(f"{yet}, which happens while its library is mounted: damfs mount {library.path} MOUNTPOINT")


@asynccontextmanager
async def _maker(library: Library, maker: Maker | None) -> AsyncIterator[Maker]:
    if maker is not None:
        yield maker
        return
    try:
        async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
            yield Maker(library, pool, nursery)
    except BaseExceptionGroup as group:  # what ends the block is told as itself
        raise first_of(group) from None
