"""From one model to another: the library is embedded anew in the background, the old space answers until the new one is
complete enough, and words are embedded again when what people say of an asset changed.

Concurrency: tasks on the loop; counts are asked in reader threads. Crash rule: everything is rows; up to which change
the feed was followed is a property, so a start goes on there.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable, Sequence

import trio

from damfs.catalog import assets, change_feed, derived, spaces, vocabulary
from damfs.catalog.database import Connection
from damfs.core.feed import Batch
from damfs.core.library import Library
from damfs.core.model_commands import AnswerBy
from damfs.core.model_progress import PLANNED_FOR, progress_of
from damfs.core.outlasting import outlast
from damfs.core.sidecar_news import RENAMED, assets_told, terms_moved_back
from damfs.core.upkeep import plan_again
from damfs.model import BlobId, Change, Seq, TermId

ACTOR = "model"
ENOUGH = 0.98
"""Share of the steps that must be done before a new space answers: a few files that are just arriving delay nothing."""
QUIET_S = 2.0
"""Words are embedded again when nobody has changed any for so long, or after `LONGEST_S`."""
LONGEST_S = 30.0
FOLLOWED = "words-followed"
"""Property: the last change that was looked at for new words."""
SAYS_NOTHING = frozenset({
    "receiving", "ingested", "abandoned", "processed", "described", "rated", "mode-set", "owner-set", "times-set",
    "attribute-changed", "rendition-made", "rendition-dropped", "file-gone", "went-missing", "trashed", "damaged",
    "healed", "rewriting", "rewrite-ended", "version-added", "version-pruned", "namesake-changed",
})  # fmt: skip
"""Changes after which the same words are said of their asset, or its jobs are planned anyway."""
ARRIVES = frozenset({"receiving", "ingested", "abandoned", "times-set"})
"""Changes that neither say anything nor bring the switch to another model nearer."""
PAGE = 500


async def serve_models(library: Library, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Until cancelled."""
    with library.feed.follow(lambda change: change.kind not in ARRIVES) as batches:
        stirred = trio.Event()
        state = _Stirred(stirred)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, batches, state)
            task_status.started()
            while True:
                await outlast("following words", functools.partial(follow_words, library))
                await outlast("the switch to another model", functools.partial(switch_if_complete, library))
                await state.wait()


class _Stirred:
    def __init__(self, event: trio.Event) -> None:
        self._event = event

    def stir(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Until something happened and then nothing for a while."""
        await self._event.wait()
        with trio.move_on_after(LONGEST_S):
            while self._event.is_set():
                self._event = trio.Event()
                with trio.move_on_after(QUIET_S):
                    await self._event.wait()


async def _listen(batches: AsyncIterator[Batch], state: _Stirred) -> None:
    async for _ in batches:
        state.stir()


async def follow_words(library: Library) -> None:
    """Have the words of assets embedded again of which something else is said now."""
    seq = derived.property_value(library.db.writer, FOLLOWED)
    if seq is None:  # nothing was embedded before this was looked at
        _remember(library, change_feed.last_seq(library.db.writer))
        return
    since = Seq(int(seq))
    while changes := await library.db.read(functools.partial(change_feed.list_since, seq=since, limit=PAGE)):
        since = changes[-1].seq
        blobs = await library.db.read(functools.partial(_blobs_of, changes))
        await plan_again(library, blobs)
        _remember(library, since)


def _remember(library: Library, seq: Seq) -> None:
    with library.db.transaction() as tx:
        derived.set_property(tx, FOLLOWED, str(seq))


def _blobs_of(changes: Sequence[Change], connection: Connection) -> list[BlobId]:
    """Bytes of which something else may be said after the changes."""
    told = [change for change in changes if change.kind not in SAYS_NOTHING]
    ids = {change.asset for change in told if change.asset is not None}
    ids |= {id_ for change in told for id_ in assets_told(change)}
    for term in {term for change in told if change.asset is None for term in _terms(connection, change)}:
        ids |= set(vocabulary.some_carriers(connection, (term,), -1))
    found = [assets.asset(connection, id_) for id_ in sorted(ids)]
    return list(dict.fromkeys(asset.blob for asset in found if asset is not None and asset.blob is not None))


def _terms(connection: Connection, change: Change) -> Iterable[TermId]:
    """Of a change that names no asset: what carries these itself may be called otherwise now. Not what carries
    narrower ones: the words of an asset are its own terms."""
    if change.kind == RENAMED:
        renamed = vocabulary.term_named(connection, change.names[-1])
        return () if renamed is None else (renamed.id,)
    return terms_moved_back(change)


async def switch_if_complete(library: Library) -> None:
    """Let the space of the chosen model answer once nearly all is in it."""
    connection = library.db.writer
    wanted, answers = spaces.named(connection, library.settings.model.name), spaces.answering(connection)
    if wanted is None or (answers is not None and answers.id == wanted.id):
        return
    if derived.property_value(connection, PLANNED_FOR) != library.planner.situation(connection):
        return
    found = await library.db.read(progress_of)
    if found.share >= ENOUGH:
        library.perform(AnswerBy(wanted.id), ACTOR)
