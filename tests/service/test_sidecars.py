"""Sidecars beside real files of real stores: read, written, and never at the price of what others wrote into them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.catalog import assets, remarks, sidecars
from damfs.catalog.predicates import CapturedIn, Everything, OfMedia, Untagged
from damfs.catalog.term_names import Label
from damfs.core.commands import Command, RenameTerm
from damfs.core.describing import LABEL, SetAttribute, SetComment, SetRating, SetTags
from damfs.core.library import Library
from damfs.core.merging_terms import merge
from damfs.core.reception import Reception
from damfs.core.sidecar_links import original_of
from damfs.core.sidecar_pass import sync_all
from damfs.core.sidecar_report import SidecarReport
from damfs.core.sidecar_sync import write_new
from damfs.core.term_commands import AddLabel
from damfs.model import Asset, AssetId, Media
from tests.sample_media import jpeg
from tests.small_library import added, asset, files_below, opened, overwritten, scanned, tags, term, the_asset

PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmp:Rating="{rating}" darktable:xmp_version="5" crs:Exposure2012="+0.35">
   <!-- a remark -->
   <darktable:history><rdf:Seq>
    <rdf:li darktable:operation="exposure" darktable:params="00ff"/></rdf:Seq></darktable:history>
   <dc:subject><rdf:Bag>{subjects}</rdf:Bag></dc:subject>
   <lr:hierarchicalSubject><rdf:Bag>
    <rdf:li>Nature|Beach</rdf:li><rdf:li>darktable|exported</rdf:li></rdf:Bag></lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>
"""
FOREIGN = ("a remark", 'darktable:operation="exposure"', 'crs:Exposure2012="+0.35"', "darktable|exported", "XMP Core")


def packet(rating: int = 4, *subjects: str) -> str:
    return PACKET.format(rating=rating, subjects="".join(f"<rdf:li>{each}</rdf:li>" for each in subjects or ("Beach",)))


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@pytest.fixture
def folder(library: Library) -> Path:
    """A folder of the writable store."""
    made = library.originals / "shoot"
    made.mkdir(parents=True)
    return made


async def synced(library: Library, *, write: bool = True) -> SidecarReport:
    for store in library.stores():
        await scanned(library, store.name)
    return await sync_all(library, Reception(library), "cli", write=write)


def rating(library: Library, id_: AssetId) -> int:
    return remarks.remark(library.db.writer, id_).rating


def exiftool(*arguments: str | Path) -> dict[str, object]:
    """What it prints of a file; it needs no network and writes where it is told only."""
    done = subprocess.run(
        ["exiftool", "-json", "-G1", *map(str, arguments)], capture_output=True, check=True, text=True
    )
    found: list[dict[str, object]] = json.loads(done.stdout) if done.stdout.startswith("[") else [{}]
    return found[0]


@pytest.mark.needs_programs("exiftool")
async def test_what_is_said_here_is_read_by_exiftool_edited_there_and_read_back(library: Library, folder: Path) -> None:
    jpeg(folder / "beach.jpg")
    (folder / "beach.jpg.xmp").write_text(packet(2, "Beach"))
    await synced(library)
    photo = the_asset(library, "beach.jpg").id
    said: list[Command[object]] = [
        SetTags(photo, (("Nature", "Beach"), ("Sunset",))),
        SetRating(photo, 8),
        SetComment(photo, "the good one"),
    ]
    library.execute([*said, SetAttribute(photo, LABEL, b"Green")], "cli")
    assert (await synced(library)).written == 1
    told = exiftool(folder / "beach.jpg.xmp")
    assert told["XMP-dc:Subject"] == ["Beach", "Sunset"]
    assert told["XMP-lr:HierarchicalSubject"] == ["Nature|Beach", "darktable|exported", "Sunset"]
    assert told["XMP-digiKam:TagsList"] == ["Nature/Beach", "Sunset"]
    assert (told["XMP-xmp:Rating"], told["XMP-xmp:Label"]) == (4, "Green")
    assert told["XMP-dc:Description"] == "the good one"
    edits = [
        "-XMP-dc:Subject-=Sunset",
        "-XMP-dc:Subject+=Dusk",
        "-XMP-xmp:Rating=5",
        "-XMP-dc:Description=still better",
    ]
    exiftool("-q", "-overwrite_original", *edits, folder / "beach.jpg.xmp")
    report = await synced(library)
    assert (report.read, report.problems) == (1, [])
    assert tags(library, photo) == ["Beach", "Dusk"]
    assert remarks.remark(library.db.writer, photo) == (10, "still better")
    told = exiftool(folder / "beach.jpg.xmp")
    assert told["XMP-digiKam:TagsList"] == ["Nature/Beach", "Dusk"]
    assert told["XMP-darktable:HistoryOperation"] == "exposure"
    assert told["XMP-crs:Exposure2012"] == "+0.35"
    before = files_below(folder)
    assert (await synced(library)).written == 0
    assert files_below(folder) == before


async def test_unknown_names_spaces_are_kept_word_for_word(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_text(packet(2, "Beach"))
    await synced(library)
    library.perform(SetRating(the_asset(library, "a.jpg").id, 10), "cli")
    await synced(library)
    text = (folder / "a.jpg.xmp").read_text()
    assert 'xmp:Rating="5"' in text
    for words in FOREIGN:
        assert words in text, words


async def test_a_sidecar_is_read_and_is_no_asset_of_its_own(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.xmp").write_text(packet(3, "Beach", "Sea"))
    await synced(library)
    photo = the_asset(library, "a.jpg").id
    assert (tags(library, photo), rating(library, photo)) == (["Beach", "Sea"], 6)
    day = assets.day_of(library.db.writer, photo)
    for place in (Everything(), OfMedia(Media.OTHER), Untagged(), CapturedIn(day)):
        assert "a.xmp" not in [row.name for row in assets.list_place(library.db.writer, place)]
    assert [row.name for row in assets.list_place(library.db.writer, Everything())] == ["a.jpg"]
    assert not (folder / "a.jpg.xmp").exists()  # the name that is there is the one that is kept
    (folder / "a.jpg").rename(folder / "b.jpg")
    await synced(library, write=False)
    assert {row.name for row in assets.list_place(library.db.writer, Everything())} == {"b.jpg", "a.xmp"}


async def test_the_sidecar_of_a_stem_belongs_to_the_raw_file(library: Library, folder: Path) -> None:
    for name in ("i.CR2", "i.jpg", "c.mov", "c.wav", "two.jpg", "two.png"):
        (folder / name).write_bytes(name.encode())
    for name in ("i.xmp", "c.xmp", "two.xmp", "i.jpg.XMP"):
        (folder / name).write_text(packet() + f"<!-- {name} -->")
    await synced(library, write=False)

    def speaks_of(name: str) -> str | None:
        found = original_of(library.db.writer, the_asset(library, name).id)
        return None if found is None else asset(library, found).name

    assert [speaks_of(name) for name in ("i.xmp", "i.jpg.XMP", "c.xmp", "two.xmp")] == ["i.CR2", "i.jpg", "c.mov", None]


async def test_a_read_only_store_is_read_and_never_written(library: Library, tmp_path: Path) -> None:
    shoot = tmp_path / "shoot"
    added(library, shoot)
    jpeg(shoot / "a.jpg")
    (shoot / "a.jpg.xmp").write_text(packet(4, "Beach"))
    before = files_below(shoot)
    await synced(library)
    photo = the_asset(library, "a.jpg").id
    library.execute([SetTags(photo, (("Nature", "Beach"), ("Mine",))), SetRating(photo, 10)], "cli")
    await synced(library)
    assert files_below(shoot) == before
    assert (tags(library, photo), rating(library, photo)) == (["Beach", "Mine"], 10)
    (shoot / "a.jpg.xmp").write_text(packet(4, "Beach", "Theirs"))
    await synced(library)
    assert (tags(library, photo), rating(library, photo)) == (["Beach", "Mine", "Theirs"], 10)


async def test_of_two_ratings_the_newer_one_holds(library: Library, folder: Path) -> None:
    for name, at_s in (("old.jpg", 1_000_000_000), ("new.jpg", 4_000_000_000)):
        jpeg(folder / name)
        (folder / f"{name}.xmp").write_text(packet(1) + f"<!-- {name} -->")
        await synced(library)
        library.perform(SetRating(the_asset(library, name).id, 10), "cli")
        (folder / f"{name}.xmp").write_text(packet(3) + f"<!-- {name} -->")
        os.utime(folder / f"{name}.xmp", (at_s, at_s))
        await synced(library)
    assert [rating(library, the_asset(library, name).id) for name in ("old.jpg", "new.jpg")] == [10, 6]
    assert 'xmp:Rating="5"' in (folder / "old.jpg.xmp").read_text()


async def test_stars_after_a_rejection_are_taken_over(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    for stars in (3, -1, 5):
        (folder / "a.jpg.xmp").write_text(packet(stars))
        os.utime(folder / "a.jpg.xmp", (1_000_000_000,) * 2)  # older than what the catalog heard of the rejection
        await synced(library)
    assert rating(library, the_asset(library, "a.jpg").id) == 10


async def test_a_new_sidecar_is_written_where_something_was_said(library: Library, folder: Path) -> None:
    for name in ("said.jpg", "silent.jpg"):
        jpeg(folder / name, orientation=1 if name == "said.jpg" else 6)
    await synced(library)
    assert sorted(map(os.fsdecode, files_below(folder))) == ["said.jpg", "silent.jpg"]
    photo = the_asset(library, "said.jpg").id
    library.perform(SetTags(photo, (("Nature", "Beach"),)), "cli")
    report = await synced(library)
    assert (report.made, report.written) == (1, 1)
    assert sorted(map(os.fsdecode, files_below(folder))) == ["said.jpg", "said.jpg.xmp", "silent.jpg"]
    library.perform(SetRating(photo, 3), "cli")
    assert (await synced(library)).written == 1
    assert (rating(library, photo), "<xmp:Rating>2<" in (folder / "said.jpg.xmp").read_text()) == (3, True)
    assert sidecars.of(library.db.writer, the_asset(library, "said.jpg.xmp").id) is not None


async def test_no_sidecar_is_made_beside_one_that_was_not_found_yet(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    await synced(library)
    photo = the_asset(library, "a.jpg").id
    (folder / "a.jpg.xmp").write_text(packet(4, "Theirs"))
    for stars in (4, 6):
        library.perform(SetRating(photo, stars), "fuse")
        assert await write_new(library, Reception(library), photo, "sidecar") is None
    assert sorted(map(os.fsdecode, files_below(folder))) == ["a.jpg", "a.jpg.xmp"]
    await synced(library)
    assert "Theirs" in tags(library, photo)


HOSTILE = {
    "empty": b"",
    "text": b"not xml at all",
    "half": packet().encode()[:700],
    "other xml": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "entities": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>&b;</x:xmpmeta>",
    "file": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "wide": '<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>'.encode("utf-16"),
    "deep": b"<a>" * 100_000 + b"</a>" * 100_000,
    "zeros": bytes(5000),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_is_no_packet_is_one_clear_line_and_stays_as_it_is(
    library: Library, folder: Path, kind: str
) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_bytes(HOSTILE[kind])
    await synced(library)
    photo = the_asset(library, "a.jpg").id
    library.perform(SetTags(photo, (("Beach",),)), "cli")
    report = await synced(library)
    (problem,) = report.problems
    assert problem.startswith("a.jpg.xmp: ")
    assert "\n" not in problem
    assert len(problem) < 250
    assert (folder / "a.jpg.xmp").read_bytes() == HOSTILE[kind]
    assert tags(library, photo) == ["Beach"]


async def test_two_hundred_megabytes_are_refused_before_they_are_read(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    with (folder / "a.jpg.xmp").open("wb") as file:
        file.truncate(200 << 20)
    report = await synced(library)
    assert report.problems == ["a.jpg.xmp: 200 MB are no sidecar (the limit is 16 MB); it is left alone"]


async def test_a_sidecar_that_was_mended_is_read_again(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_bytes(b"broken")
    assert (await synced(library)).problems
    sidecar = the_asset(library, "a.jpg.xmp")
    await overwritten(library, sidecar.id, packet(5, "Beach").encode())
    assert (await synced(library)).problems == []
    assert rating(library, the_asset(library, "a.jpg").id) == 10


async def test_tags_taken_away_on_both_sides_are_gone_and_others_united(library: Library, folder: Path) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_text(packet(4, "Beach", "Sea", "Sky"))
    await synced(library)
    photo: Asset = the_asset(library, "a.jpg")
    library.perform(SetTags(photo.id, (("Nature", "Beach"), ("Sky",), ("Here",))), "cli")
    text = (folder / "a.jpg.xmp").read_text().replace("<rdf:li>Sky</rdf:li>", "<rdf:li>There</rdf:li>", 1)
    (folder / "a.jpg.xmp").write_text(text)
    await synced(library)
    assert tags(library, photo.id) == ["Beach", "Here", "There"]


@pytest.mark.parametrize("moves", ["the sidecar, away and back", "both, one after the other"])
async def test_a_tag_that_was_taken_away_does_not_come_back_with_the_sidecar(
    library: Library, folder: Path, moves: str
) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_text(packet(4, "Beach", "Wrong"))
    await synced(library, write=False)
    photo = the_asset(library, "a.jpg").id
    library.execute([SetTags(photo, (("Nature", "Beach"),)), SetRating(photo, 2)], "fuse")
    await synced(library, write=False)
    aside = folder / ("aside" if moves.startswith("both") else "a.jpg.bin")
    if moves.startswith("both"):
        aside.mkdir()
        (folder / "a.jpg").rename(aside / "a.jpg")
        await synced(library, write=False)
        (folder / "a.jpg.xmp").rename(aside / "a.jpg.xmp")
    else:
        (folder / "a.jpg.xmp").rename(aside)
        await synced(library, write=False)
        aside.rename(folder / "a.jpg.xmp")
    await synced(library, write=False)
    assert [row.asset for row in sidecars.of_original(library.db.writer, photo)] == [the_asset(library, "a.jpg.xmp").id]
    assert (tags(library, photo), rating(library, photo)) == (["Beach"], 2)


@pytest.mark.parametrize("done", ["renamed", "merged"])
async def test_a_program_takes_away_a_term_that_has_another_name_here_since(
    library: Library, folder: Path, done: str
) -> None:
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_text(packet(4, "Beach", "Strand"))
    await synced(library, write=False)
    photo, strand = the_asset(library, "a.jpg").id, term(library, "Strand")
    if done == "renamed":
        library.perform(RenameTerm(strand, "Ufer", None), "fuse")
    else:
        await merge(library, strand, term(library, "Ufer"), "cli")
    assert tags(library, photo) == ["Beach", "Ufer"]
    (folder / "a.jpg.xmp").write_text(packet(4, "Beach"))
    await synced(library, write=False)
    assert tags(library, photo) == ["Beach"]


async def test_a_synonym_taken_away_beside_its_term_takes_nothing_away(library: Library, folder: Path) -> None:
    library.perform(AddLabel(term(library, "Shore"), Label("fr", "Rivage")), "cli")
    jpeg(folder / "a.jpg")
    (folder / "a.jpg.xmp").write_text(packet(4, "Beach", "Shore", "Rivage"))
    await synced(library, write=False)
    photo = the_asset(library, "a.jpg").id
    (folder / "a.jpg.xmp").write_text(packet(4, "Beach", "Shore"))
    await synced(library, write=False)
    assert tags(library, photo) == ["Beach", "Shore"]
