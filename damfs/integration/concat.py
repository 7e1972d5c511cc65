"""`damfs concat`: joins clips in a worker process of its own, so that it needs neither a library nor a daemon.

Blocks; runs a loop of its own. Crash rule: everything is made in a hidden directory beside the file that is wanted (for
one in a mount: in the library's work directory) and moved there whole; an interrupt removes the directory, and what a
kill left of it goes with the next run.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio
from msgspec import Struct

from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Output, Subject, Worker
from damfs.core.processors.profiles import PROFILES
from damfs.core.processors.telling import PROGRESS, TELL_EVERY_S, share_of
from damfs.core.worker_pool import JobTimedOut, open_worker_pool
from damfs.errors import NotFound, Refused, Unavailable
from damfs.integration import delivering, mounts, unfinished
from damfs.integration.running import first_of, run
from damfs.integration.wire import Progress
from damfs.model import Media
from damfs.settings import SETTINGS_FILE, Settings, read_settings

CONCAT = "damfs.core.processors.concat:Concat"
ENDINGS = (".mov", ".mp4", ".mkv")
PERCENT = 100
Report = Callable[[Progress], None]


class JoinedPart(Struct, frozen=True):
    """``errors``: packets of it that cannot be decoded; none of them costs a frame."""

    name: str
    frames: int
    errors: int = 0


class JoinedFile(Struct, frozen=True):
    """What was made. ``method``: "copied", or by which profile its parts were encoded."""

    file: str
    size: int
    frames: int
    duration_s: float
    method: str
    parts: tuple[JoinedPart, ...]


@dataclass(frozen=True, slots=True)
class Order:
    """``hint``: the command that would encode the clips alike."""

    sources: tuple[Path, ...]
    target: Path
    profile: str
    hint: str


def check(order: Order) -> None:
    """Before long work. Raises Refused, NotFound, Conflict."""
    if len(order.sources) < 2:
        raise Refused("name at least two clips to join, in their order")
    for source in order.sources:
        if not source.exists():
            raise NotFound(f"{source}: no such file")
        if not source.is_file():
            raise Refused(f"{source} is no file; name clips, in the order in which they are to be joined")
    if order.target.suffix.lower() not in ENDINGS:
        raise Refused(f"{order.target.name}: name the file .mov, .mp4 or .mkv, by the container that you want")
    if order.profile and order.profile not in PROFILES:
        raise Refused(f'no profile "{order.profile}"; there are: {", ".join(PROFILES)}')
    delivering.check_free(order.target)


def concat(order: Order, report: Report) -> JoinedFile:
    """Raises damfs errors; KeyboardInterrupt when everything is cleared away."""
    check(order)
    mount = mounts.mount_of(order.target)
    with _work(order, None if mount is None else Path(mount.source)) as work:
        output = run(_joined, order, work, *bounds(order), report)
        made = output.renditions[0].path
        if mount is None:
            delivering.publish(made, order.target)
        else:
            delivering.copy(made, order.target)
    facts = output.facts
    parts = facts["parts"]
    assert isinstance(parts, list)
    return JoinedFile(
        file=os.fspath(order.target),
        size=order.target.stat().st_size,
        frames=int(str(facts["frames"])),
        duration_s=float(str(facts["duration_s"])),
        method=str(facts["method"]),
        parts=tuple(JoinedPart(str(part["name"]), int(part["frames"]), int(part["errors"])) for part in parts),
    )


@contextmanager
def _work(order: Order, library: Path | None) -> Iterator[Path]:
    folder = order.target.absolute().parent if library is None else library / "state/work"
    folder.mkdir(exist_ok=True)
    unfinished.clear_away(folder)
    work = unfinished.part_of(folder / order.target.name)
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def bounds(order: Order) -> tuple[Settings, float]:
    """The settings of the library that the clips, or what is made of them, belong to, with the seconds that it may
    take; the usual ones and no limit outside of a library: whoever waits sees how far it is, and may interrupt it."""
    for path in (*order.sources, order.target):
        mount = mounts.mount_of(path)
        if mount is not None:
            settings = read_settings(Path(mount.source))
            return settings, float(settings.clips.time_limit_s)
    return Settings(), math.inf


async def _joined(order: Order, work: Path, settings: Settings, limit_s: float, report: Report) -> Output:
    names = [source.name for source in order.sources]
    asked = {
        "sources": [os.fspath(source.absolute()) for source in order.sources],
        "names": names,
        "ending": order.target.suffix,
        "profile": order.profile,
        "hint": order.hint,
    }
    ref = ProcessorRef("concat", CONCAT, Worker.PROMPT, limit_s)
    subject = Subject(names[0], Media.VIDEO, 0, settings=asked)
    made: list[Output] = []
    try:
        async with open_worker_pool(settings) as pool, trio.open_nursery() as nursery:
            nursery.start_soon(_tell, work / PROGRESS, order.target.name, report)
            made.append(await pool.run(ref, order.sources[0], work, subject, limit_s))
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # what ends the block is told as itself
        error = first_of(group)
        if isinstance(error, JobTimedOut):
            told = f"joining took longer than {limit_s:g} s (clips.time_limit_s in {SETTINGS_FILE}) and was stopped"
            raise Unavailable(told) from None
        raise error from None
    return made[0]


async def _tell(path: Path, name: str, report: Report) -> None:
    while True:
        share = await trio.to_thread.run_sync(share_of, path)
        if share is not None:
            report(Progress(name, round(PERCENT * share), PERCENT, unit="%"))
        await trio.sleep(TELL_EVERY_S)
