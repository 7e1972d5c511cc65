"""What every processor of the entry-point group ``damfs.processors`` must keep to, with real and damaged media.

Damaged files go through a child process with limits, as they do in the product: a crash or a hang is its own failure.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from damfs.core.model_choice import choose_model
from damfs.core.processors.processor import Output, Processor, Subject, Worker
from damfs.errors import BadMedia
from damfs.model import Facts, Media
from damfs.settings import Settings
from tests import sample_media

POINTS = sorted(entry_points(group="damfs.processors"), key=lambda point: point.name)
READERS = [point for point in POINTS if point.name not in ("embedding", "auto_tag", "place", "wording")]
"""Those that open the file: the others work on what was found and made before."""
READ_BY = [
    pytest.param(point, marks=pytest.mark.needs_programs("exiftool") if point.name == "exiftool" else ())
    for point in READERS
]
DECODERS = [point for point in READERS if point.name not in ("editor_hash", "exiftool", "fingerprint", "camera_proxy")]
"""Those that read media as such: a hash is of bytes, whatever they are, and others take what there is, or say of a file
beside it that it is no use."""
SMALL = (320, 180)
SOURCES: dict[str, Callable[[Path], Path]] = {
    "h264.mp4": lambda path: sample_media.h264(path, size=SMALL, metadata={"location": "+48.8584+002.2945/"}),
    "prores.mov": lambda path: sample_media.prores(path, size=SMALL, reel="A001"),
    "photo.jpg": lambda path: sample_media.jpeg(path, size=SMALL, orientation=6),
    "picture.png": lambda path: sample_media.png(path, size=SMALL, alpha=True),
    "ambience.wav": sample_media.wav,
}
DAMAGED: dict[str, Callable[[Path], Path]] = {
    "truncated.mov": sample_media.truncated,
    "cut_short.mp4": sample_media.cut_short,
    "empty.mov": sample_media.empty,
    "text.mov": sample_media.text_named_mov,
    "half.jpg": sample_media.truncated_jpeg,
    "photo.mov": sample_media.jpeg_named_mov,
}
SEEDS = range(24)
CHILD_SECONDS = 90
CHILD_BYTES = 3 << 30
CHILD = """
import sys
from importlib.metadata import entry_points
from pathlib import Path
from damfs.core.model_choice import choose_model
from damfs.core.processors.processor import Subject
from damfs.errors import BadMedia
from damfs.model import Media
(point,) = entry_points(group="damfs.processors", name=sys.argv[1])
processor = point.load()()
for number, source in enumerate(map(Path, sys.argv[3:])):
    out = Path(sys.argv[2]) / str(number)
    out.mkdir()
    media = Media.IMAGE if source.suffix == ".jpg" else Media.VIDEO
    facts = {"camera_pair": {"proxies": ["ab"]}}
    subject = Subject(source.name, media, source.stat().st_size, facts, settings={"lines": 120}, beside={"ab": source})
    try:
        processor.run(source, out, subject)
        print("returned", source.name)
    except BadMedia as error:
        print("refused", source.name, error)
"""


def ids(point: EntryPoint) -> str:
    return point.name


@pytest.fixture(params=POINTS, ids=ids)
def processor(request: pytest.FixtureRequest) -> Processor:
    made = request.param.load()()
    assert isinstance(made, Processor)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("media")
    for name, make in SOURCES.items():
        make(directory / name)
    return directory


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    directory = tmp_path_factory.mktemp("damaged")
    made = [make(directory / name) for name, make in DAMAGED.items()]
    return made + [sample_media.corrupt(directory / f"corrupt{seed}.mp4", seed) for seed in SEEDS]


def kind_of(path: Path) -> Media:
    kinds = {".jpg": Media.IMAGE, ".png": Media.IMAGE, ".wav": Media.AUDIO}
    return kinds.get(path.suffix, Media.VIDEO)


def snapshot(directory: Path) -> dict[str, tuple[int, str]]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(p): (p.stat().st_mtime_ns, hashlib.blake2b(p.read_bytes()).hexdigest()) for p in files}


def prepared(processor: Processor, source: Path, scratch: Path) -> Subject:
    """The subject as the job runner would hand it over: everything that is needed first has run."""
    facts: dict[str, Facts] = {}
    renditions: dict[str, Path] = {}
    subject = Subject(source.name, kind_of(source), source.stat().st_size)
    for needed in needed_first(processor):
        told = replace(subject, facts=facts, renditions=renditions, settings=settings_of(needed.name))
        if not needed.accepts(told):
            continue
        out = scratch / needed.name
        out.mkdir(parents=True)
        made = needed.run(source, out, told)
        facts[needed.name] = made.facts
        renditions |= {f"{r.kind.value}/{r.profile}": r.path for r in made.renditions}
    return replace(subject, facts=facts, renditions=renditions, settings=settings_of(processor.name))


def settings_of(name: str) -> Facts:
    """As the planner hands them over, with a small vocabulary; where no model can run, its users decline."""
    settings = Settings()
    table = {**settings.of_processor("embedding"), "name": choose_model(settings.model.name).name}
    terms = [{"name": term} for term in ("beach", "mountain", "city")]
    return {
        "proxy": {**settings.of_processor("proxy"), "lines": 120},
        "embedding": table,
        "auto_tag": {**settings.of_processor("auto_tag"), **table, "terms": terms},
    }.get(name, settings.of_processor(name))


def needed_first(processor: Processor) -> list[Processor]:
    """What this one needs, each after what it needs itself."""
    found: list[Processor] = []
    for name in sorted(processor.needs):
        (point,) = entry_points(group="damfs.processors", name=name)
        needed = point.load()()
        found += [p for p in (*needed_first(needed), needed) if p.name not in {f.name for f in found}]
    return found


def run(processor: Processor, source: Path, scratch: Path) -> Output | None:
    """None when the processor declines."""
    subject = prepared(processor, source, scratch / "needed")
    if not processor.accepts(subject):
        return None
    out = scratch / "out"
    out.mkdir(parents=True)
    return processor.run(source, out, subject)


def test_says_who_it_is(processor: Processor, request: pytest.FixtureRequest) -> None:
    assert processor.name == request.node.callspec.params["processor"].name
    assert processor.version >= 1
    assert processor.needs <= {point.name for point in POINTS} - {processor.name}
    assert isinstance(processor.worker, Worker)
    assert processor.timeout_s > 0
    assert 0 <= processor.priority <= 100


def test_accepts_any_subject_and_only_looks(processor: Processor) -> None:
    odd: list[Mapping[str, Facts]] = [{}, {"probe": {}}, {"probe": {"media": "image", "video": None}}]
    for media in Media:
        for facts in odd:
            for name in ("", "a", "a.mov", "\udcff\n.jpg", "x" * 255):
                subject = Subject(name, media, 0, facts)
                assert processor.accepts(subject) is processor.accepts(subject)


@pytest.mark.parametrize("name", SOURCES)
def test_reads_the_source_and_writes_below_out(processor: Processor, folder: Path, tmp_path: Path, name: str) -> None:
    before = snapshot(folder)
    made = run(processor, folder / name, tmp_path)
    assert snapshot(folder) == before
    if made is None:
        return
    inside = {path.resolve() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    results = [rendition.path.resolve() for rendition in made.renditions]
    assert set(results) <= inside
    assert len(set(results)) == len(results)
    assert all(path.stat().st_size for path in results)
    profiles = [(rendition.kind, rendition.profile) for rendition in made.renditions]
    assert len(set(profiles)) == len(profiles)


@pytest.mark.parametrize("name", SOURCES)
def test_facts_are_json_and_the_same_each_time(processor: Processor, folder: Path, tmp_path: Path, name: str) -> None:
    first, second = (run(processor, folder / name, tmp_path / time) for time in ("first", "second"))
    if first is None or second is None:
        assert first is second
        return
    assert json.loads(json.dumps(first.facts)) == first.facts == second.facts
    assert [e.vector for e in first.embeddings] == [e.vector for e in second.embeddings]
    assert [dict(r.detail) for r in first.renditions] == [dict(r.detail) for r in second.renditions]
    json.dumps([dict(r.detail) for r in first.renditions])


@pytest.mark.parametrize("name", ["h264.mp4", "photo.jpg"])
def test_embeddings_are_unit_vectors(processor: Processor, folder: Path, tmp_path: Path, name: str) -> None:
    import numpy as np

    made = run(processor, folder / name, tmp_path)
    for embedding in made.embeddings if made is not None else ():
        vector = np.frombuffer(embedding.vector, "<f4")
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("point", READ_BY, ids=ids)
def test_damaged_media_is_refused_or_read_as_far_as_it_goes(
    point: EntryPoint, damaged: list[Path], tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (CHILD_BYTES, CHILD_BYTES))

    command = [sys.executable, "-c", CHILD, point.name, str(tmp_path), *map(str, damaged)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_SECONDS, preexec_fn=limit, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = done.stdout.splitlines()
    assert len(lines) == len(damaged)
    refused = {line.split()[1] for line in lines if line.startswith("refused")}
    if point in DECODERS:
        assert {"empty.mov", "text.mov", "truncated.mov"} <= refused


@pytest.mark.parametrize("point", READ_BY, ids=ids)
def test_bad_media_is_one_line_with_the_name(point: EntryPoint, tmp_path: Path) -> None:
    for name, make in DAMAGED.items():
        source = make(tmp_path / name)
        out = tmp_path / f"out-{name}"
        out.mkdir()
        try:
            point.load()().run(source, out, Subject(name, kind_of(source), source.stat().st_size))
        except BadMedia as error:
            text = str(error)
            assert text.startswith(f"{name}: ")
            assert "\n" not in text
            assert ";" in text, "it says what to do"
