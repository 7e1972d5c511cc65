"""What the requests do that have jobs done: proxies by a profile, what there is of them, failed jobs again.

Runs on the loop of whoever owns the library. Where it is not mounted, nobody else runs jobs: then a request for proxies
does, with workers of its own, and only those that it asked for.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import msgspec
import trio

from damfs.catalog import assets, derived, job_table
from damfs.core import selecting, sparing, transcoding
from damfs.core.asking import is_made, processor_of, proxy_job
from damfs.core.job_runner import JobRunner
from damfs.core.library import Library
from damfs.core.processors.camera_proxy import JUDGED
from damfs.core.processors.profiles import PROFILES, shown_first
from damfs.core.results import RetryFailed
from damfs.core.worker_pool import open_worker_pool
from damfs.errors import Refused
from damfs.integration import camera_report
from damfs.integration.proxy_report import ProxyReport, ProxyRow
from damfs.integration.running import first_of
from damfs.integration.wire import GetProxies, Making, Progress, Retry, Target, Transcode
from damfs.model import Asset, AssetId, BlobId, Media, Rendition, RenditionKind

ACTOR = "cli"
STATES = {"waiting": "waiting", "leased": "running", "failed": "failed"}
Report = Callable[[Progress], None]


class MakingProxies:
    """``asset_at``: the asset of a file in a store, by its path; ``asset_of``: the one that a target means."""

    def __init__(
        self,
        library: Library,
        *,
        mounted: bool,
        asset_at: Callable[[bytes], AssetId],
        asset_of: Callable[[Target], AssetId],
    ) -> None:
        self._library = library
        self._mounted = mounted
        self._asset_at = asset_at
        self._asset_of = asset_of

    async def answer(self, request: Making, report: Report) -> object:
        if isinstance(request, Retry):
            return {"retried": self._library.perform(RetryFailed(request.processor or None), ACTOR)}
        if isinstance(request, GetProxies):
            return msgspec.to_builtins(self._report(self._library.known(self._asset_of(request.target))))
        return await self._transcode(request, report)

    async def _transcode(self, request: Transcode, report: Report) -> object:
        library, profile = self._library, request.profile or self._library.settings.proxy.profile
        ids, copies, served = await self._selected(request), 0, 0
        if not request.withdraw and not request.all_the_same:
            ids, copies, served = await self._spared(ids, judge=not request.profile)
        wanted, batch = transcoding.gather(library, ids, profile)
        batch.copies, batch.by_camera = copies, served
        if request.withdraw:
            batch.withdrawn = await transcoding.withdraw(library, wanted, ACTOR)
            return msgspec.to_builtins(batch)
        left = await transcoding.ask_for(library, wanted, batch, ACTOR)
        try:
            async with self._running({each.job.processor for each in left}):
                await transcoding.wait_for(library, left, batch, functools.partial(_forward, report, profile))
        except BaseException:
            if not self._mounted:  # interrupted: nobody goes on with what waits
                with trio.CancelScope(shield=True):
                    await transcoding.withdraw(library, left, ACTOR)
            raise
        return msgspec.to_builtins(batch)

    async def _spared(self, ids: list[AssetId], *, judge: bool) -> tuple[list[AssetId], int, int]:
        """What is to be worked on; how many are small copies by cameras, and for how many such a copy stands in.
        ``judge``: whether that counts."""
        library = self._library
        sorted_out = await sparing.sort_out(library, ids)
        if not judge:
            return sorted_out.ids, sorted_out.copies, 0
        asked = sparing.unjudged(library, sorted_out.ids)
        library.execute(asked, ACTOR)
        async with self._running({JUDGED} if asked else ()):
            await sparing.wait_for(library, asked)
        left, served = sparing.without_served(library, sorted_out.ids)
        return left, sorted_out.copies, served

    async def _selected(self, request: Transcode) -> list[AssetId]:
        ids = [AssetId(id_) for id_ in request.assets] + [self._asset_at(path) for path in request.paths]
        if request.query:
            where = selecting.predicate_of(self._library.db.writer, request.query)
            rows = await self._library.db.read(lambda connection: assets.list_place(connection, where))
            ids += [row.id for row in rows]
        return ids

    @asynccontextmanager
    async def _running(self, processors: Collection[str]) -> AsyncIterator[None]:
        """Somebody runs the jobs in the block."""
        if self._mounted or not processors:
            yield
            return
        library = self._library
        with library.db.transaction() as tx:
            job_table.release_leases(tx, library.clock())
        await trio.to_thread.run_sync(shutil.rmtree, library.state / "work", True)  # what a crash left: ignore_errors
        try:
            async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
                await nursery.start(JobRunner(library, pool, processors).serve)
                yield
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:  # what ends the block, be it an interrupt, is told as itself
            raise first_of(group) from None

    def _report(self, asset: Asset) -> ProxyReport:
        if asset.blob is None or asset.media is not Media.VIDEO:
            raise Refused(f"{asset.name} is no video: nothing stands in for it in an editor")
        library = self._library
        made = derived.renditions_of(library.db.writer, asset.blob)
        proxies = {each.profile: each for each in made if each.kind is RenditionKind.PROXY}
        cameras = camera_report.rows(library, asset.blob)
        used = any(row.shown for row in cameras)
        order = () if used else shown_first(library.settings.proxy.profile)
        shown = next((name for name in order if name in proxies), "")
        rows = (*cameras, *(self._row(asset.blob, name, proxies, shown) for name in PROFILES))
        return ProxyReport(asset.name, rows, camera_report.copied(library, asset.blob))

    def _row(self, blob: BlobId, profile: str, proxies: dict[str, Rendition], shown: str) -> ProxyRow:
        library, connection = self._library, self._library.db.writer
        if profile in proxies:
            rendition = proxies[profile]
            report = dict(derived.proxy_reports(connection, blob)[profile])
            file = str(library.renditions / rendition.key)
            return ProxyRow(profile, "made", profile == shown, file, rendition.size, report=report)
        facts = derived.facts_of(connection, blob)
        processor = processor_of(facts, profile, library.settings.proxy.profile)
        state = job_table.states_of(connection, blob).get(processor, ("", 0))[0]
        if state in STATES:
            errors = [job.error for job in job_table.failures_of(connection, blob) if job.processor == processor]
            return ProxyRow(profile, STATES[state], False, reason="".join(errors))
        told = facts.get(processor, {})
        if state == "done" and is_made(connection, proxy_job(library, blob, profile)):
            return ProxyRow(
                profile, "made", False, instead=str(told.get("profile")), reason=str(told.get("instead", ""))
            )
        if told.get("needless"):
            return ProxyRow(profile, "needless", False, reason=str(told["needless"]))
        return ProxyRow(profile, "none", False)


def _forward(report: Report, profile: str, done: int, files: int, size_done: int, size: int) -> None:
    report(Progress(profile, done, files, size_done, size))
