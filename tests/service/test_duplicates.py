"""Duplicates of real files: found by fingerprints of real processors, grouped, and merged into the best one."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from fractions import Fraction
from math import sin
from pathlib import Path

import numpy as np
import pytest
import trio
from msgspec.structs import replace
from PIL import Image, ImageDraw

from damfs.catalog import derived, duplicates, proposals, remarks, vocabulary
from damfs.catalog.proposals import Origin
from damfs.catalog.vocabulary import Tagging
from damfs.core import duplicate_groups
from damfs.core import film_likeness as likeness
from damfs.core.bursts import Recording, are_two
from damfs.core.commands import AddTag, DefineTerm, Trash
from damfs.core.copy_worth import advantages
from damfs.core.dedupe_report import as_text
from damfs.core.deduplicating import dedupe
from damfs.core.describing import SetComment, SetRating
from damfs.core.duplicate_finding import compare
from damfs.core.duplicate_groups import Sort
from damfs.core.good_copies import GoodCopy
from damfs.core.library import Library
from damfs.core.near_duplicates import looks_of_facts
from damfs.core.processors import same_film
from damfs.core.processors.fingerprint import Fingerprint
from damfs.core.processors.preview import Preview
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Subject
from damfs.core.processors.same_film import Film
from damfs.core.processors.same_picture import objection
from damfs.core.reception import Reception
from damfs.core.suggesting import RefuseProposal, Suggest
from damfs.core.trashing import settle
from damfs.core.undo import Undo
from damfs.core.undo_groups import list_groups
from damfs.model import Asset, AssetState, BlobId, Copy, Digest, Media, TagSource
from tests.bench.edits import encoded
from tests.sample_media import h264, jpeg, paint
from tests.small_library import added, asset, keys, opened, overwritten, received, scanned, tags, term, the_asset

SMALL = (320, 214)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def look_at(library: Library, found: Asset, directory: Path) -> None:
    """What the processors do with a file that has arrived."""
    assert found.blob is not None
    source, out = library.source_paths(found.blob)[0], directory / f"out-{found.id}"
    out.mkdir()
    subject = Subject(found.name, found.media, found.size)
    facts = {"probe": Probe().run(source, out, subject).facts}
    preview = Preview().run(source, out, Subject(found.name, found.media, found.size, facts))
    pictures = {f"{made.kind}/{made.profile}": made.path for made in preview.renditions}
    fingerprint = Fingerprint().run(source, out, Subject(found.name, found.media, found.size, facts, pictures))
    with library.db.transaction() as tx:
        derived.set_facts(tx, found.blob, "probe", facts["probe"])
        derived.set_facts(tx, found.blob, "fingerprint", fingerprint.facts)
        for made in preview.embeddings:
            derived.set_embedding(tx, found.blob, made.model, made.at_ns, made.vector)


async def taken_in(library: Library, path: Path, directory: Path, *given: str) -> Asset:
    data = await trio.Path(path).read_bytes()
    found = await received(library, path.name, data, *given, triaged=True)
    look_at(library, found, directory)
    assert found.blob is not None
    await compare(library, found.blob)
    return found


def near_names(library: Library) -> list[list[str]]:
    return [[member.name for member in group.members] for group in duplicate_groups.list_near(library.db.writer)]


async def test_scaled_cropped_and_mirrored_pictures_are_a_group_with_reasons(library: Library, tmp_path: Path) -> None:
    await taken_in(library, jpeg(tmp_path / "whole.jpg", scene="flowers", size=(600, 400)), tmp_path)
    with Image.open(tmp_path / "whole.jpg") as whole:
        whole.resize((300, 200)).save(tmp_path / "small.jpg", quality=40)
        whole.crop((60, 50, 520, 360)).save(tmp_path / "part.jpg")
        whole.transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((480, 320)).save(tmp_path / "mirror.png")
    for name in ("small.jpg", "part.jpg", "mirror.png"):
        await taken_in(library, tmp_path / name, tmp_path)
    await taken_in(library, jpeg(tmp_path / "other.jpg", scene="mountains", size=SMALL), tmp_path)
    assert [sorted(group) for group in near_names(library)] == [["mirror.png", "part.jpg", "small.jpg", "whole.jpg"]]
    (group,) = duplicate_groups.list_near(library.db.writer)
    assert group.members[0].name == "whole.jpg"
    reasons = {member.name: duplicate_groups.reason_of(group, member)[1] for member in group.members}
    assert reasons["small.jpg"] == "the same picture (whole.jpg)"
    assert reasons["part.jpg"].startswith("one shows ")
    assert reasons["mirror.png"] == "the same picture, mirrored (whole.jpg)"
    assert duplicate_groups.near(library.db.writer, group.members[2].blob) is not None


async def test_a_clip_encoded_anew_and_a_cut_one_are_the_same_film(library: Library, tmp_path: Path) -> None:
    await taken_in(library, h264(tmp_path / "film.mp4", seconds=4.0, source="mandelbrot", size=(256, 144)), tmp_path)
    for path, start, end, width in (("small.mp4", 0, 4, 160), ("cut.mp4", 1, 3.5, 256)):
        recoded(tmp_path / "film.mp4", tmp_path / path, start, end, width)
        await taken_in(library, tmp_path / path, tmp_path)
    await taken_in(library, h264(tmp_path / "other.mp4", seconds=2.0, source="beach", size=(320, 180)), tmp_path)
    (group,) = duplicate_groups.list_near(library.db.writer)
    assert [member.name for member in group.members] == ["film.mp4", "cut.mp4", "small.mp4"]
    reasons = [duplicate_groups.reason_of(group, member)[1] for member in group.members[1:]]
    assert all(reason.startswith("the same film") for reason in reasons)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert (report.moved, report.problems) == (2, []), as_text(report)


def recoded(source: Path, target: Path, start_s: float, end_s: float, width: int, rate: int = 25) -> None:
    """A part of a clip, encoded anew in another size."""
    import av

    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream("libx264", rate=rate, options={"crf": "32"})
        stream.width, stream.height, stream.pix_fmt = width, width * 9 // 32 * 2, "yuv420p"
        shown = (frame for frame in read.decode(video=0) if start_s <= frame.time < end_s)
        for number, frame in enumerate(shown):
            small = frame.reformat(width=width, height=width * 9 // 32 * 2)
            small.pts, small.time_base = number, Fraction(1, rate)
            written.mux(stream.encode(small))
        written.mux(stream.encode(None))


async def test_a_longer_film_and_a_finer_part_of_it_are_both_kept(library: Library, tmp_path: Path) -> None:
    whole = h264(tmp_path / "whole.mp4", seconds=4.0, source="city", size=(480, 270))
    for name, start, end, width in (("long.mp4", 0, 4, 256), ("fine.mp4", 0, 3, 480), ("part.mp4", 1, 3, 256)):
        recoded(whole, tmp_path / name, start, end, width)
        await taken_in(library, tmp_path / name, tmp_path)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert (report.moved, report.problems) == (1, [])
    (group,) = report.groups
    assert group.keep.name == "fine.mp4"
    others = {copy.name: (copy.moves, copy.left) for copy in group.others}
    assert others == {"long.mp4": (False, "longer by 1.0 s"), "part.mp4": (True, "")}
    assert "keep too long.mp4" in as_text(report)


def take(path: Path, seed: int, crf: int = 20) -> Path:
    """A person before a wall, who moves otherwise each time; the camera stands."""
    phase = (seed * 2.4, seed * 1.1)
    wall = paint("city", (320, 180), 1)

    def frames() -> Iterator[Image.Image]:
        for number in range(40):
            picture, at_s = wall.copy(), number / 10
            drawn = ImageDraw.Draw(picture)
            x, y = 160 + 40 * sin(at_s * 1.9 + phase[0]), 90 + 8 * sin(at_s * 3 + phase[1])
            drawn.ellipse((x - 22, y - 45, x + 22, y + 5), fill=(220, 180, 150))
            drawn.rectangle((x - 35, y + 5, x + 35, 180), fill=(60, 70, 120))
            yield picture

    return encoded(path, frames(), (320, 180), crf)


async def test_two_takes_of_one_scene_are_both_kept(library: Library, tmp_path: Path) -> None:
    """Any moment of one looks like some moment of the other; their movements never meet."""
    await taken_in(library, take(tmp_path / "first.mp4", 1), tmp_path)
    await taken_in(library, take(tmp_path / "other.mp4", 2, 32), tmp_path)
    recoded(tmp_path / "first.mp4", tmp_path / "small.mp4", 0, 4, 200, rate=10)
    await taken_in(library, tmp_path / "small.mp4", tmp_path)
    shown = await dedupe(library, Reception(library), [Sort.NEAR], apply=False)
    assert sum(copy.moves for copy in shown.groups[0].others) == 2, "by marks alone all three are one film"
    assert all(copy.if_equal for copy in shown.groups[0].others if copy.moves), "so they are compared first"
    assert "trash if equal" in as_text(shown)
    assert "1 groups; --apply would put 0 files into the trash (0 bytes), and of 2 more" in as_text(shown)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert (report.moved, report.problems) == (1, [])
    assert the_asset(library, "small.mp4").state is AssetState.TRASHED
    (why,) = [copy.left for copy in report.groups[0].others if not copy.moves]
    assert why in {"another take: its movements do not meet", "a moment of it shows something else"}


def test_films_that_differ_in_a_moment_a_caption_or_sound(tmp_path: Path) -> None:
    film = Film("film.mp4", take(tmp_path / "film.mp4", 1))
    frames = frames_of(film.path)
    replaced = [*frames[:16], *[paint("flowers", (320, 180), 1)] * 6, *frames[22:]]
    captioned = [frame.copy() for frame in frames]
    for frame in captioned:
        ImageDraw.Draw(frame).text((40, 150), "a caption", fill=(255, 255, 255))
    for made, why in (
        (replaced, "a moment of it shows something else"),
        (captioned, "a moment of it shows something else"),
        ([tinted(frame) for frame in frames], "a part of it differs throughout"),
        ([*frames, *[paint("flowers", (320, 180), 1)] * 10], likeness.MORE),
    ):
        other = Film("other.mp4", encoded(tmp_path / "other.mp4", iter(made), (320, 180), 23))
        assert same_film.objection(film, other, 0) == why
    still = Film("still.mp4", encoded(tmp_path / "still.mp4", iter(frames[:1] * 20), (320, 180), 23))
    assert same_film.objection(still, still, 0) == "too little moves in it to be sure"
    again = Film("again.mp4", encoded(tmp_path / "again.mp4", iter(frames[10:]), (200, 112), 30))
    assert same_film.objection(film, again, 900_000_000) is None, "begins about there"
    loud = np.sin(np.arange(400) / 7) * 20 - 30
    assert likeness.sound_objection(loud[100:300], loud, 2_000_000_000) is None
    assert likeness.sound_objection(loud[100:300], -60 - loud, 2_000_000_000) == "another sound"
    assert likeness.sound_objection(loud, np.zeros(0), 0) == "its sound is in no other"
    assert likeness.sound_objection(np.full(200, -20.0), loud, 0) is None, "a tone tells nothing"


def tinted(frame: Image.Image) -> Image.Image:
    return Image.merge(
        "RGB",
        [band.point(lambda level, by=by: level * by) for band, by in zip(frame.split(), (1.0, 0.8, 0.5), strict=True)],
    )


def test_frames_that_were_compared_are_let_go(tmp_path: Path) -> None:
    """Each holds threads of the scaler: without a garbage collection a clip would hold all of its frames."""
    film = Film("film.mp4", take(tmp_path / "film.mp4", 1))
    before = len(os.listdir("/proc/self/task"))
    gc.disable()
    try:
        assert same_film.objection(film, film, 0) is None
        assert len(os.listdir("/proc/self/task")) < before + 40
    finally:
        gc.enable()


def frames_of(path: Path) -> list[Image.Image]:
    import av

    with av.open(str(path)) as container:
        return [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


async def test_a_picture_that_wants_too_much_memory_is_left(library: Library, tmp_path: Path) -> None:
    """It is kept from taking the machine's: what cannot be decoded within the limit of a worker is not compared."""
    await taken_in(library, jpeg(tmp_path / "whole.jpg", scene="flowers", size=(600, 400)), tmp_path)
    with Image.open(tmp_path / "whole.jpg") as whole:
        whole.resize((300, 200)).save(tmp_path / "small.jpg", quality=60)
    small = await taken_in(library, tmp_path / "small.jpg", tmp_path)
    huge = library.source_paths(BlobId(2))[0]
    huge.chmod(0o644)
    Image.new("L", (20_000, 16_000)).save(huge, "PNG", compress_level=1)
    library.settings = replace(library.settings, indexer=replace(library.settings.indexer, memory_limit_mb=450))
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert report.moved == 0
    assert [copy.left for copy in report.groups[0].others] == ["it cannot be compared closely"]
    assert asset(library, small.id).state is AssetState.PRESENT


def test_what_another_copy_has_is_named() -> None:
    kept: dict[str, object] = {"width": 640, "height": 360, "duration_ns": 4_000_000_000, "audio": [{"channels": 2}]}
    kept["video"] = {"frame_rate": "24000/1001", "bit_depth": 8}
    for changes, words in (
        ({}, []),
        ({"duration_ns": 4_080_000_000, "width": 641}, []),
        ({"duration_ns": 5_000_000_000}, ["longer by 1.0 s"]),
        ({"width": 1280, "height": 720}, ["more pixels, 1280 x 720"]),
        ({"video": {"frame_rate": "50/1", "bit_depth": 10}}, ["more frames a second, 50", "finer levels, 10 bits"]),
        ({"video": {"frame_rate": "24/1", "bit_depth": "?"}}, []),
        ({"audio": [{"channels": 2}, {"channels": 2}]}, ["more sound tracks, 2"]),
        ({"audio": [{"channels": 6}]}, ["more sound channels, 6"]),
        ({"camera_make": "Sony"}, ["it comes from a camera"]),
        ({"image": {"pixel_format": "raw"}}, ["one of both is raw"]),
    ):
        assert advantages({**kept, **changes}, kept) == words
    assert advantages(kept, {**kept, "audio": []}) == ["it has sound"]
    assert advantages(kept, {}) == ["more pixels, 640 x 360", "longer by 4.0 s", "it has sound"]


async def test_the_same_bytes_under_two_names_are_merged_into_one(library: Library, tmp_path: Path) -> None:
    data = jpeg(tmp_path / "a.jpg", size=SMALL).read_bytes()
    first = await received(library, "a.jpg", data, "Beach", triaged=True)
    second = await received(library, "b.jpg", data, "Dusk", "Sunset", triaged=True)
    library.execute([SetRating(second.id, 8), SetComment(second.id, "from the card")], "test")
    proposed = Tagging(TagSource.MODEL, 0.9, Origin("auto_tag/2", "a-model"))
    library.execute([SetComment(first.id, "the first"), AddTag(first.id, term(library, "Sea"), *proposed)], "test")
    reception = Reception(library)
    shown = await dedupe(library, reception, [Sort.EXACT], apply=False)
    assert (shown.groups[0].keep.name, [copy.name for copy in shown.groups[0].others]) == ("b.jpg", ["a.jpg"])
    assert asset(library, first.id).state is AssetState.PRESENT
    done = await dedupe(library, reception, [Sort.EXACT], apply=True)
    assert (done.moved, done.problems) == (1, [])
    assert tags(library, second.id) == ["Beach", "Dusk", "Sea", "Sunset"]
    assert vocabulary.tagging(library.db.writer, second.id, term(library, "Sea")) == proposed
    assert remarks.remark(library.db.writer, second.id) == (8, "from the card\nthe first")
    assert asset(library, first.id).state is AssetState.TRASHED
    assert (await dedupe(library, reception, [Sort.EXACT], apply=True)).groups == []
    (group, *_) = list_groups(library.db.writer, 1)
    undone = library.perform(Undo(group), "undo")
    await settle(library, undone.moved)
    assert undone.left_out == []
    assert asset(library, first.id).state is AssetState.PRESENT
    assert tags(library, second.id) == ["Dusk", "Sunset"]


async def test_what_was_refused_of_one_copy_stays_refused(library: Library) -> None:
    """A model's word never stands against a person's, whichever copy either was said of."""
    kept = await received(library, "kept.txt", b"same", "Dusk", "Night", triaged=True)
    other = await received(library, "other.txt", b"same", "Sea", triaged=True)
    beach, car, boat = (library.perform(DefineTerm(name), "test") for name in ("Beach", "Car", "Boat"))
    model = Origin("auto_tag/2", "a-model")
    library.perform(AddTag(other.id, boat, TagSource.MODEL, 0.9, model), "test")
    for id_, proposed in ((kept.id, [(boat, 0.8), (car, 0.7)]), (other.id, [(car, 0.7), (beach, 0.6)])):
        library.perform(Suggest(id_, model, proposed), "test")
    for id_, term_id in ((kept.id, boat), (other.id, car), (other.id, beach)):
        library.perform(RefuseProposal(id_, term_id), "test")
    report = await dedupe(library, Reception(library), [Sort.EXACT], apply=True)
    assert (report.groups[0].keep.name, report.moved) == ("kept.txt", 1)
    assert tags(library, kept.id) == ["Dusk", "Night", "Sea"], "Boat was refused of it"
    refused = [term_id for term_id in (beach, car) if proposals.is_judged(library.db.writer, kept.id, term_id)]
    assert refused == [beach, car]
    assert proposals.of_asset(library.db.writer, kept.id) == []
    (group, *_) = list_groups(library.db.writer, 1)
    undone = library.perform(Undo(group), "undo")
    await settle(library, undone.moved)
    assert undone.left_out == []
    assert [each.term for each in proposals.of_asset(library.db.writer, kept.id)] == ["Car"]
    assert not proposals.is_judged(library.db.writer, kept.id, beach)
    assert proposals.is_judged(library.db.writer, other.id, car)


@pytest.mark.expect_warnings("a copy is damaged")
async def test_nothing_is_moved_before_the_kept_copy_was_proved(library: Library, tmp_path: Path) -> None:
    data = jpeg(tmp_path / "a.jpg", size=SMALL).read_bytes()
    for name in ("a.jpg", "b.jpg"):
        await received(library, name, data, triaged=True)
    for key in keys(library):
        path = library.originals / key.decode()
        copied = path.with_name("copied")
        shutil.copy2(path, copied)
        copied.replace(path)  # no hard link any more
    kept = duplicate_groups.list_exact(library.db.writer)[0].members[0].name
    (damaged,) = [library.originals / key.decode() for key in keys(library) if key.endswith(kept.encode())]
    damaged.chmod(0o644)
    damaged.write_bytes(bytes(len(data)))
    report = await dedupe(library, Reception(library), [Sort.EXACT], apply=True)
    assert report.moved == 0
    assert len(report.problems) == 1
    assert all(the_asset(library, name).state is AssetState.PRESENT for name in ("a.jpg", "b.jpg"))


async def test_only_what_the_best_one_shows_as_well_is_moved(library: Library, tmp_path: Path) -> None:
    await taken_in(library, jpeg(tmp_path / "whole.jpg", scene="flowers", size=(600, 400)), tmp_path, "Night")
    with Image.open(tmp_path / "whole.jpg") as whole:
        whole.resize((300, 200)).save(tmp_path / "small.jpg", quality=60)
        whole.crop((60, 50, 520, 360)).save(tmp_path / "part.jpg")
    small = await taken_in(library, tmp_path / "small.jpg", tmp_path, "Skyline")
    part = await taken_in(library, tmp_path / "part.jpg", tmp_path)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert (report.moved, report.problems) == (1, [])
    assert asset(library, small.id).state is AssetState.TRASHED
    assert asset(library, part.id).state is AssetState.PRESENT
    assert tags(library, the_asset(library, "whole.jpg").id) == ["Night", "Skyline"]


class Meanwhile(Reception):
    """While the bytes of a kept copy are read, somebody does something."""

    def __init__(self, library: Library, happens: Callable[[int], None]) -> None:
        super().__init__(library)
        self._happens, self._reads = happens, 0

    async def verified(self, copies: list[Copy], digest: Digest) -> GoodCopy | None:
        found = await super().verified(copies, digest)
        self._reads += 1
        self._happens(self._reads)
        return found


async def test_what_people_say_while_files_are_read_is_kept(library: Library) -> None:
    for name in ("a", "b"):
        for number in (1, 2):
            await received(library, f"{name}{number}.txt", name.encode(), triaged=True)
    kept = [group.members[0].asset for group in duplicate_groups.list_exact(library.db.writer)]

    def says(reads: int) -> None:
        library.execute([SetRating(kept[0], 6), SetComment(kept[0], f"said at {reads}")], "test")

    report = await dedupe(library, Meanwhile(library, says), [Sort.EXACT], apply=True)
    assert (report.moved, report.problems) == (2, [])
    assert remarks.remark(library.db.writer, kept[0]) == (6, "said at 2")


async def test_a_group_whose_kept_copy_goes_meanwhile_is_left(library: Library) -> None:
    for name in ("a1", "a2"):
        await received(library, f"{name}.txt", b"same", triaged=True)
    kept, other = duplicate_groups.list_exact(library.db.writer)[0].members
    going = Meanwhile(library, lambda _: library.perform(Trash(kept.asset), "test"))
    report = await dedupe(library, going, [Sort.EXACT], apply=True)
    assert report.moved == 0
    assert [kept.name in problem for problem in report.problems] == [True]
    assert [copy.moves for copy in report.groups[0].others] == [False]
    assert asset(library, other.asset).state is AssetState.PRESENT


async def test_a_kept_file_that_is_replaced_after_it_was_read_is_no_proof(library: Library) -> None:
    for name in ("a1", "a2"):
        await received(library, f"{name}.txt", b"same", triaged=True)
    kept, other = duplicate_groups.list_exact(library.db.writer)[0].members
    (file,) = [path for path in library.source_paths(kept.blob, kept.asset) if path.name == kept.name]

    def replaced(_: int) -> None:
        file.unlink()
        file.write_bytes(b"lost")

    report = await dedupe(library, Meanwhile(library, replaced), [Sort.EXACT], apply=True)
    assert report.moved == 0
    assert ["was changed or went away" in problem for problem in report.problems] == [True]
    assert asset(library, other.asset).state is AssetState.PRESENT


def portrait(path: Path, *, eyes_open: bool) -> Path:
    with Image.open(jpeg(path.with_name("scene.jpg"), scene="city", size=(900, 600))) as scene:
        picture = scene.convert("RGB")
    drawn = ImageDraw.Draw(picture)
    drawn.ellipse((400, 200, 500, 330), fill=(224, 180, 150))
    for left in (425, 465) if eyes_open else ():
        drawn.ellipse((left, 245, left + 12, 253), fill=(40, 25, 20))
    picture.save(path, quality=95 if eyes_open else 90)
    return path


async def test_frames_of_one_scene_are_shown_and_never_moved(library: Library, tmp_path: Path) -> None:
    await taken_in(library, portrait(tmp_path / "smile.jpg", eyes_open=True), tmp_path)
    await taken_in(library, portrait(tmp_path / "blink.jpg", eyes_open=False), tmp_path)
    with Image.open(tmp_path / "smile.jpg") as whole:
        whole.resize((600, 400)).save(tmp_path / "anew.jpg", quality=70)
        whole.resize((450, 300)).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirror.jpg")
    anew = await taken_in(library, tmp_path / "anew.jpg", tmp_path)
    await taken_in(library, tmp_path / "mirror.jpg", tmp_path)
    (group,) = duplicate_groups.list_near(library.db.writer)
    assert len(group.members) == 4
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert report.groups[0].keep.name == "smile.jpg"
    assert {copy.name for copy in report.groups[0].others if copy.moves} == {"anew.jpg"}
    assert asset(library, anew.id).state is AssetState.TRASHED
    for name in ("smile.jpg", "blink.jpg", "mirror.jpg"):
        assert the_asset(library, name).state is AssetState.PRESENT
    with Image.open(tmp_path / "smile.jpg") as smile, Image.open(tmp_path / "blink.jpg") as blink:
        assert objection(smile, blink) == "a part of it differs"


async def test_what_was_recorded_apart_is_never_moved(library: Library, tmp_path: Path) -> None:
    for second, size in ((1, (600, 400)), (2, (450, 300))):
        taken = datetime(2024, 7, 15, 12, 0, second)  # noqa: DTZ001 - EXIF holds a wall clock without zone
        path = jpeg(tmp_path / f"at-{second}.jpg", scene="flowers", size=size, taken=taken)
        await taken_in(library, path, tmp_path)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert (len(report.groups), report.moved, report.problems) == (1, 0, [])


def test_a_camera_numbers_what_it_took_one_after_the_other() -> None:
    def recording(name: str, **facts: object) -> Recording:
        return Recording(name, {"width": 600, "height": 400, **facts})

    first = recording("DSC_0001.jpg")
    assert are_two(first, recording("DSC_0002.jpg"))
    assert not are_two(first, recording("DSC_0002.jpg", width=300, height=200))
    assert not are_two(first, recording("DSC_0001 copy.jpg"))
    assert not are_two(first, recording("DSC_0001.png", captured_local="2024-07-15T12:00:00"))
    told = recording("a.jpg", captured_local="2024-07-15T12:00:00.10", serial="7")
    assert are_two(told, recording("b.jpg", captured_local="2024-07-15T12:00:00.20", serial="7"))
    assert are_two(told, recording("b.jpg", captured_local="2024-07-15T12:00:00.10", serial="8"))


async def test_what_was_said_goes_on_from_the_same_bytes_to_the_same_picture(library: Library, tmp_path: Path) -> None:
    await taken_in(library, jpeg(tmp_path / "whole.jpg", scene="flowers", size=(600, 400)), tmp_path)
    with Image.open(tmp_path / "whole.jpg") as whole:
        whole.resize((300, 200)).save(tmp_path / "small.jpg", quality=60)
    small = await taken_in(library, tmp_path / "small.jpg", tmp_path, "Night", "Skyline")
    again = await received(library, "again.jpg", (tmp_path / "small.jpg").read_bytes(), triaged=True)
    library.perform(SetRating(again.id, 8), "test")
    report = await dedupe(library, Reception(library), [Sort.EXACT, Sort.NEAR], apply=True)
    assert (report.moved, report.problems) == (2, [])
    assert asset(library, small.id).state is asset(library, again.id).state is AssetState.TRASHED
    whole_one = the_asset(library, "whole.jpg").id
    assert remarks.remark(library.db.writer, whole_one).rating == 8
    assert tags(library, whole_one) == ["Night", "Skyline"]


async def test_what_has_been_something_else_is_left_with_its_versions(library: Library) -> None:
    """Its first bytes are nowhere else: the trash would end them."""
    best = await received(library, "best.txt", b"two", "Beach", "Sunset", triaged=True)
    library.execute([SetRating(best.id, 8), SetComment(best.id, "the best")], "test")
    other = await received(library, "other.txt", b"one")
    await overwritten(library, other.id, b"two")
    done = await dedupe(library, Reception(library), [Sort.EXACT], apply=True)
    assert (done.groups[0].keep.name, done.moved) == ("best.txt", 0)
    assert asset(library, other.id).state is AssetState.PRESENT


async def test_one_asset_with_files_in_two_stores_is_shown_and_left_alone(library: Library, tmp_path: Path) -> None:
    path = jpeg(tmp_path / "card" / "a.jpg", size=SMALL)
    added(library, tmp_path / "card", "card")
    await received(library, "a.jpg", path.read_bytes(), triaged=True)
    await scanned(library, "card")
    (group,) = duplicate_groups.list_exact(library.db.writer)
    assert [member.name for member in group.members] == ["a.jpg"]
    text = duplicate_groups.explained(library.db.writer, group)
    assert "originals/card/a.jpg" in text
    assert "originals/library/" in text
    assert (await dedupe(library, Reception(library), [Sort.EXACT], apply=True)).groups == []


async def test_fingerprints_that_make_no_sense_are_passed_over(library: Library, tmp_path: Path) -> None:
    for facts in ("{}", '{"small": "!!", "width": 3}', '{"small": 5}', '{"marks": "AAAA", "times_ms": [1, 2]}', "[]"):
        found = looks_of_facts(BlobId(1), facts)
        assert found is None or found.small is None
    first = await taken_in(library, jpeg(tmp_path / "a.jpg", scene="city", size=SMALL), tmp_path)
    assert first.blob is not None
    with library.db.transaction() as tx:
        derived.set_facts(tx, first.blob, "fingerprint", {"small": "AAAA", "width": 2})
    await compare(library, first.blob)
    assert duplicates.near(library.db.writer, first.blob) == []


async def test_a_sidecar_is_no_duplicate(library: Library) -> None:
    for name in ("a.jpg", "b.jpg"):
        await received(library, name, name.encode(), triaged=True)
        sidecar = await received(library, name + ".xmp", b"<x/>", triaged=True)
        with library.db.transaction() as tx:
            tx.run(
                "INSERT INTO sidecar (asset, original, digest, own, said, problem) VALUES (?, ?, x'', 0, '{}', '')",
                sidecar.id,
                the_asset(library, name).id,
            )
    assert duplicate_groups.list_exact(library.db.writer) == []


async def test_comparing_costs_a_fixed_number_of_candidates(library: Library, tmp_path: Path) -> None:
    """However many pictures there are: candidates come from the index, and are looked at one by one."""
    picture = await taken_in(library, jpeg(tmp_path / "a.jpg", scene="city", size=SMALL), tmp_path)
    assert picture.blob is not None
    facts = duplicates.fingerprint(library.db.writer, picture.blob, "fingerprint")
    vector = derived.vector_of(library.db.writer, picture.blob, "look-1")
    assert facts is not None
    assert vector is not None
    for number in range(60):
        other = await received(library, f"{number}.jpg", b"%d" % number, triaged=True)
        assert other.blob is not None
        with library.db.transaction() as tx:
            derived.set_embedding(tx, other.blob, "look-1", None, vector)
            tx.run("INSERT INTO fact (blob, processor, facts) VALUES (?, 'fingerprint', ?)", other.blob, facts)
    await compare(library, picture.blob)
    assert 5 <= len(duplicates.near(library.db.writer, picture.blob)) <= 25


def test_media_that_shows_nothing_has_no_fingerprint(tmp_path: Path) -> None:
    assert not Fingerprint().accepts(Subject("a.wav", Media.AUDIO, 1))
    assert Fingerprint().run(tmp_path, tmp_path, Subject("a.jpg", Media.IMAGE, 1)).facts == {}


async def test_terms_stay_whole(library: Library) -> None:
    """A model's tag of the one that goes is a model's tag of the one that stays."""
    first = await received(library, "a.txt", b"same", triaged=True)
    second = await received(library, "b.txt", b"same", triaged=True)
    library.perform(AddTag(second.id, term(library, "Beach")), "test")
    await dedupe(library, Reception(library), [Sort.EXACT], apply=True)
    assert asset(library, first.id).state is AssetState.TRASHED
    assert tags(library, second.id) == ["Beach"]
