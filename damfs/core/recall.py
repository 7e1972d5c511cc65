"""The part of `rebuild` after the files are known again: their earlier versions, what is in the trash and from where,
and what programs set of files and folders.

Concurrency: commands on the loop, a batch at a time. Crash rule: that of `rebuild`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import trio

from damfs.core.library import Library
from damfs.core.old_catalogs import Learnt
from damfs.core.rebuild_report import RebuildReport
from damfs.core.recalling import RecallAsset, Recalled, RecallFolder
from damfs.model import AssetId

ACTOR = "rebuild"
BATCH = 200


async def recall(library: Library, learnt: Learnt, ids: Mapping[int, AssetId], summary: RebuildReport) -> None:
    """``ids``: of assets that an old catalog told of, by the old ones."""
    taken = set(ids.values())
    left = await _recall(library, learnt, ids, list(learnt.noted.assets), taken, summary, surely=True)
    unknown = await _recall(library, learnt, ids, left, taken, summary, surely=False)
    summary.unrecalled = len(unknown)
    summary.old_versions = max(0, learnt.old_versions - summary.versions)
    folders = [RecallFolder(note) for note in learnt.noted.folders.values()]
    for start in range(0, len(folders), BATCH):
        summary.folders += sum(map(bool, library.execute(folders[start : start + BATCH], ACTOR)))
        await trio.lowlevel.checkpoint()


async def _recall(
    library: Library, learnt: Learnt, ids: Mapping[int, AssetId], wanted: list[int], taken: set[AssetId],
    summary: RebuildReport, *, surely: bool,
) -> list[int]:  # fmt: skip
    """Those that were not found."""
    left, queue = [], iter(wanted)
    while batch := list(islice(queue, BATCH)):
        notes = learnt.noted.assets
        answers = library.execute([RecallAsset(notes[id_], ids.get(id_), taken, surely) for id_ in batch], ACTOR)
        for id_, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Recalled):
                summary.versions += answer.versions
                summary.without_bytes += answer.lost
                summary.trashed += answer.was_trashed
            else:
                left.append(id_)
        await trio.lowlevel.checkpoint()
    return left
