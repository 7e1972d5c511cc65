"""`python -m tests.bench [--size small|full] [--only NAME…] [--directory DIR]`: figures on stdout, progress on stderr.

Figures come in groups that share their set-up; --only takes groups and single figures. Exit code 1 when something
could not be measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from subprocess import SubprocessError

from damfs.errors import DamfsError
from tests.bench import (
    busy,
    doubling,
    embedding,
    ingesting,
    listing,
    lookup,
    notices,
    peer,
    previewing,
    probing,
    reading,
    scanning,
    searching,
    starting,
    text_to_picture,
    transcoding,
    untagging,
    vectors,
    writing,
    zeroshot,
)
from tests.bench.figure import SIZES, Figure
from tests.bench.ground import BenchFailed, Ground, open_ground

Measure = Callable[[Ground], Iterator[Figure]]

GROUPS: dict[str, tuple[Measure, tuple[str, ...]]] = {
    "read": (reading.measure, ("read-cached", "read-forwarded", "read-uncached")),
    "plain": (reading.measure_plain, ("read-plain",)),
    "write": (writing.measure, ("write-large",)),
    "scan": (scanning.measure, ("scan-small", "scan-large")),
    "probe": (probing.measure, ("probe",)),
    "ingest": (ingesting.measure, ("ingest", "ingest_cp")),
    "lookup": (lookup.measure, ("lookup-uncached", "lookup-cached")),
    "list": (listing.measure, ("list-long-few", "list-short-few", "list-long-many", "list-short-many")),
    "peer": (peer.measure, ("list-peer-few", "list-peer-many")),
    "notice": (notices.measure, ("notice-gone", "notice-there", "notice-unlisted", "notice-listed")),
    "untag": (untagging.measure, ("untag-many",)),
    "search": (searching.measure, ("search-listing",)),
    "fulltext": (searching.measure_text, ("full-text",)),
    "previews": (previewing.measure, ("previews-clip", "previews-sprite", "previews-stills")),
    "transcode": (transcoding.measure, (*transcoding.MEASURED, "transcode-many")),
    "busy": (busy.measure, ("stat-busy", "stat-transcoding")),
    "memory": (starting.measure_memory, ("memory-idle", "memory-many")),
    "index": (
        vectors.measure,
        ("index-recall", "index-query", "index-load", "nearest", "nearest-half", "nearest-few"),
    ),
    "start": (starting.measure_start, ("start-empty", "start-many")),
    "duplicates": (
        doubling.measure,
        tuple(f"alike-{what}-{how}" for what in ("pictures", "films") for how in ("recall", "precision", "seconds")),
    ),
}
"""What is measured together, and the figures that come of it."""
ON_REQUEST: dict[str, tuple[Measure, tuple[str, ...]]] = {
    "index-million": (
        vectors.measure_million,
        ("index-million-recall", "index-million-query", "index-million-load"),
    ),
    "fulltext-million": (searching.measure_text_million, ("full-text-million",)),
    "busy-model": (busy.measure_model, ("stat-embedding",)),
    "embedding": (embedding.measure, ("embed-pictures", "embed-words")),
    "zeroshot": (zeroshot.measure, ("zeroshot-caption", "zeroshot-picture", "zeroshot-few", "zeroshot-many")),
    "text-to-picture": (text_to_picture.measure, ("text-to-picture",)),
}
"""Only when asked for: they need models, packages of pictures, or twenty minutes."""
SOME = ", ".join(GROUPS | ON_REQUEST)
NAMES = frozenset(GROUPS | ON_REQUEST) | {name for _, names in (GROUPS | ON_REQUEST).values() for name in names}


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)
    wanted = frozenset(arguments.only) or frozenset(GROUPS)
    failed = False
    with open_ground(SIZES[arguments.size], arguments.directory) as ground:
        for group, (measure, names) in (GROUPS | ON_REQUEST).items():
            if not wanted & {group, *names}:
                continue
            try:
                for figure in measure(ground):
                    if wanted & {group, figure.name}:
                        print(figure.line(), flush=True)
            except (BenchFailed, DamfsError, OSError, SubprocessError) as error:
                print(f"bench: {group} could not be measured: {error}", file=sys.stderr)
                failed = True
    return int(failed)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure damfs on this machine.")
    parser.add_argument("--size", choices=sorted(SIZES), default="small", help="full takes about 20 minutes and 6 GB")
    parser.add_argument(
        "--only", nargs="+", default=(), metavar="NAME", choices=sorted(NAMES), help=", ".join(GROUPS | ON_REQUEST)
    )
    parser.add_argument("--directory", type=Path, help="on the disk to measure; default: the temporary directory")
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
