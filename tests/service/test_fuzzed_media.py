"""Real files of many containers with flipped, cut and repeated bytes, through real workers: nothing hangs or dies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from damfs.core.processors.processor import Output, Subject
from damfs.core.worker_pool import WorkerPool, open_worker_pool
from damfs.errors import BadMedia
from damfs.model import Media
from damfs.settings import IndexerSettings, Settings
from tests import sample_media
from tests.sample_media.running import RECORDERS, recorded
from tests.service.test_hostile_media import PROBED, reference

SETTINGS = Settings(indexer=IndexerSettings(workers=2, memory_limit_mb=2500, time_limit_s=60))
SMALL = (64, 48)
SEEDS = 6
Damage = Callable[[random.Random, bytearray], bytearray]


def flipped(dice: random.Random, content: bytearray) -> bytearray:
    """A bit here and there, more of them at the start: headers."""
    for _ in range(12):
        at = dice.randrange(dice.choice((200, len(content)))) % len(content)
        content[at] ^= 1 << dice.randrange(8)
    return content


def shortened(dice: random.Random, content: bytearray) -> bytearray:
    return content[: dice.randrange(len(content))]


def gone(dice: random.Random, content: bytearray) -> bytearray:
    """A stretch of it is zeros, as a card gives back what it lost."""
    at = dice.randrange(len(content))
    content[at : at + 500] = bytes(len(content[at : at + 500]))
    return content


def spliced(dice: random.Random, content: bytearray) -> bytearray:
    """A stretch of it is there twice."""
    at, length = dice.randrange(len(content)), dice.randrange(1, 2000)
    return content[:at] + content[at : at + length] + content[at:]


DAMAGES: tuple[Damage, ...] = (flipped, shortened, gone, spliced)


def originals(folder: Path) -> Iterator[Path]:
    for name in ("a.mov", "a.mxf", "a.mkv", "a.avi", "a.mp3", "a.flac", "a.ts", "a.opus"):
        yield recorded(folder / name, RECORDERS[name])[0]
    yield sample_media.jpeg(folder / "a.jpg", size=SMALL)
    yield sample_media.heic(folder / "a.heic", size=SMALL)
    yield sample_media.png(folder / "a.png", size=SMALL)
    yield sample_media.dng(folder / "a.dng")


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("fuzzed")
    found = []
    for path in originals(folder):
        content = path.read_bytes()
        for seed in range(SEEDS):
            dice = random.Random(f"{path.name}{seed}")
            bad = folder / f"{seed}-{path.name}"
            bad.write_bytes(DAMAGES[seed % len(DAMAGES)](dice, bytearray(content)))
            found.append(bad)
    return found


async def probed_and_shown(pool: WorkerPool, source: Path, out: Path) -> list[str]:
    """How each ended. An error of another kind, or a worker that died or hung, fails the test."""
    kind = Media.IMAGE if source.suffix in (".jpg", ".heic", ".png", ".dng") else Media.VIDEO
    ends = []
    for processor in ("probe", "preview"):
        directory = out / f"{processor}-{source.name}"
        await trio.Path(directory).mkdir()
        facts = {} if processor == "probe" else {"probe": {**PROBED, "media": str(kind)}}
        subject = Subject(source.name, kind, 1, facts)
        try:
            made = await pool.run(reference(processor), source, directory, subject)
        except BadMedia as error:
            ends.append("refused" if str(error).startswith(f"{source.name}: ") else f"refused as {error}")
        else:
            ends.append("read" if isinstance(made, Output) else repr(made))
    return ends


async def test_damage_of_any_kind_is_read_or_refused(damaged: list[Path], tmp_path: Path) -> None:
    ends: dict[str, list[str]] = {}
    limiter = trio.CapacityLimiter(4)

    async def one(pool: WorkerPool, source: Path) -> None:
        async with limiter:
            ends[source.name] = await probed_and_shown(pool, source, tmp_path)

    async with open_worker_pool(SETTINGS) as pool, trio.open_nursery() as nursery:
        for source in damaged:
            nursery.start_soon(one, pool, source)
    assert len(ends) == 12 * SEEDS
    both = {end for each in ends.values() for end in each}
    assert both == {"read", "refused"}, "the damage is neither too little nor too much"
