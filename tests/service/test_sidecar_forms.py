"""Sidecars as other programs write them: every form XMP allows, two beside one file, and programs that write meanwhile.

Nothing that another program wrote is ever lost: it stays in the file, or it is a version of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.catalog import remarks
from damfs.core import sidecar_sync
from damfs.core.describing import SetComment, SetRating, SetTags
from damfs.core.library import Library
from damfs.core.sidecar_record import SidecarRecord
from damfs.core.xmp_packet import record_of, rewritten
from tests.sample_media import jpeg
from tests.service.test_sidecars import exiftool, packet, rating, synced
from tests.small_library import added, files_below, opened, tags, the_asset

HEAD = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:digiKam="http://www.digikam.org/ns/1.0/"'
    ' xmlns:mine="urn:mine:" xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">'
)
FOOT = "</rdf:RDF></x:xmpmeta>"
FORMS = {
    "bags": "<rdf:Description><dc:subject><rdf:Bag><rdf:li>Beach</rdf:li><rdf:li>Sun</rdf:li></rdf:Bag></dc:subject>"
    "<xmp:Rating>4</xmp:Rating><dc:description><rdf:Alt><rdf:li xml:lang='x-default'>good</rdf:li></rdf:Alt>"
    "</dc:description></rdf:Description>",
    "sequences": "<rdf:Description xmp:Rating='4'><dc:subject><rdf:Seq><rdf:li>Beach</rdf:li><rdf:li>Sun</rdf:li>"
    "</rdf:Seq></dc:subject><dc:description>good</dc:description></rdf:Description>",
    "attributes": "<rdf:Description xmp:Rating='4.0' dc:description='good'><digiKam:TagsList><rdf:Seq>"
    "<rdf:li>Beach</rdf:li><rdf:li>Sun</rdf:li></rdf:Seq></digiKam:TagsList></rdf:Description>",
    "several descriptions": "<rdf:Description xmp:Rating='4'/><rdf:Description><dc:subject><rdf:Bag><rdf:li>Beach"
    "</rdf:li></rdf:Bag></dc:subject></rdf:Description><rdf:Description dc:description='good'><lr:hierarchicalSubject>"
    "<rdf:Bag><rdf:li>Sun</rdf:li></rdf:Bag></lr:hierarchicalSubject></rdf:Description>",
    "languages": "<rdf:Description xmp:Rating='4'><dc:description><rdf:Alt><rdf:li xml:lang='de-DE'>gut</rdf:li>"
    "<rdf:li xml:lang='x-default'>good</rdf:li><rdf:li xml:lang='fr'>bon</rdf:li></rdf:Alt></dc:description>"
    "<dc:subject><rdf:Bag><rdf:li>Beach</rdf:li><rdf:li>Sun</rdf:li></rdf:Bag></dc:subject></rdf:Description>",
    "structures": "<rdf:Description xmp:Rating='4' dc:description='good'><Iptc4xmpCore:CreatorContactInfo"
    " rdf:parseType='Resource'><Iptc4xmpCore:CiAdrCity>Ulm</Iptc4xmpCore:CiAdrCity></Iptc4xmpCore:CreatorContactInfo>"
    "<mine:deep><rdf:Seq><rdf:li rdf:parseType='Resource'><mine:a>1</mine:a><mine:b><rdf:Bag><rdf:li>2</rdf:li>"
    "</rdf:Bag></mine:b></rdf:li></rdf:Seq></mine:deep><dc:subject><rdf:Bag><rdf:li>Beach</rdf:li><rdf:li>Sun</rdf:li>"
    "</rdf:Bag></dc:subject></rdf:Description>",
    "qualified": "<rdf:Description><xmp:Rating rdf:parseType='Resource'><rdf:value>4</rdf:value><mine:by>me</mine:by>"
    "</xmp:Rating><dc:description><rdf:Alt><rdf:li xml:lang='x-default'><rdf:Description><rdf:value>good</rdf:value>"
    "<mine:by>me</mine:by></rdf:Description></rdf:li></rdf:Alt></dc:description><dc:subject><rdf:Bag><rdf:li>Beach"
    "</rdf:li><rdf:li rdf:parseType='Resource'><rdf:value>Sun</rdf:value><mine:by>me</mine:by></rdf:li></rdf:Bag>"
    "</dc:subject></rdf:Description>",
}
KEPT = {
    "languages": ("gut", "bon"),
    "structures": ("<mine:a>1</mine:a>", "<rdf:li>2</rdf:li>", "Ulm"),
    "qualified": ("<mine:by>me</mine:by>",),
}


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


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_is_read_written_and_keeps_what_is_foreign(library: Library, folder: Path, form: str) -> None:
    jpeg(folder / "a.jpg")
    file = folder / "a.jpg.xmp"
    file.write_text(HEAD + FORMS[form] + FOOT)
    assert (await synced(library, write=False)).problems == []
    photo = the_asset(library, "a.jpg").id
    assert tags(library, photo) == ["Beach", "Sun"]
    assert remarks.remark(library.db.writer, photo) == (8, "good")
    library.execute([SetTags(photo, (("Beach",), ("Sea",))), SetRating(photo, 2), SetComment(photo, "better")], "cli")
    report = await synced(library)
    assert (report.problems, report.written) == ([], 1)
    now = record_of(file.read_bytes(), "a.xmp")
    assert (now.subjects, now.stars, now.description) == (("Beach", "Sea"), 1, "better")
    assert all(each in file.read_text() for each in KEPT.get(form, ()))
    assert (await synced(library)).written == 0


@pytest.mark.needs_programs("exiftool")
@pytest.mark.parametrize("form", FORMS)
def test_exiftool_reads_what_was_written_into_any_form(tmp_path: Path, form: str) -> None:
    file = tmp_path / "a.xmp"
    before = (HEAD + FORMS[form] + FOOT).encode()
    file.write_bytes(rewritten(before, SidecarRecord(("Sea",), (), (), 1, "Red", "better"), "a.xmp"))
    told = exiftool(file)
    assert (told["XMP-dc:Subject"], told["XMP-xmp:Rating"], told["XMP-xmp:Label"]) == ("Sea", 1, "Red")
    assert told["XMP-dc:Description"] == "better"


async def test_two_sidecars_of_one_file_are_united(library: Library, folder: Path) -> None:
    """Both name rules at once: tags of both, of what there is one of the newer; then both say the same."""
    jpeg(folder / "a.jpg")
    whole, stem = folder / "a.jpg.xmp", folder / "a.xmp"
    whole.write_text(packet(2, "Beach").replace("Nature|Beach", "Beach"))
    stem.write_text(packet(4, "Dusk").replace("Nature|Beach", "Dusk"))
    os.utime(whole, ns=(10**18, 10**18))
    os.utime(stem, ns=(2 * 10**18, 2 * 10**18))
    assert (await synced(library)).problems == []
    photo = the_asset(library, "a.jpg").id
    assert tags(library, photo) == ["Beach", "Dusk"]
    assert rating(library, photo) == 8, "the newer file has the word"
    await synced(library)
    said = [record_of(file.read_bytes(), file.name) for file in (whole, stem)]
    assert [sorted(each.subjects) for each in said] == [["Beach", "Dusk"]] * 2
    assert [each.stars for each in said] == [4, 4]
    again = await synced(library)
    assert (again.read, again.written) == (0, 0)


async def test_a_program_that_writes_while_damfs_writes_loses_nothing(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jpeg(folder / "a.jpg")
    file = folder / "a.jpg.xmp"
    file.write_text(packet(2, "Beach"))
    await synced(library)
    photo, packet_of = the_asset(library, "a.jpg").id, sidecar_sync._packet

    def slowly(data: bytes | None, record: SidecarRecord, name: str) -> bytes:
        fresh = file.with_name("new")
        fresh.write_text(packet(2, "Beach", "Dusk").replace("+0.35", "+1.00"))
        fresh.replace(file)  # as programs save
        return packet_of(data, record, name)

    monkeypatch.setattr(sidecar_sync, "_packet", slowly)
    library.perform(SetTags(photo, (("Nature", "Beach"), ("Sea",))), "cli")
    report = await synced(library)
    monkeypatch.undo()
    there = [data for data in files_below(folder).values() if b"+1.00" in data]
    assert there, f"the other program's file is still there: {report}"
    await synced(library)
    await synced(library)
    assert tags(library, photo) == ["Beach", "Dusk", "Sea"], "the edits of both"
    assert "+1.00" in file.read_text(), "and its develop settings"


async def test_a_program_that_writes_in_place_meanwhile_loses_nothing(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jpeg(folder / "a.jpg")
    file = folder / "a.jpg.xmp"
    file.write_text(packet(2, "Beach"))
    await synced(library)
    photo, check = the_asset(library, "a.jpg").id, sidecar_sync._check_unchanged

    def at_the_last_moment(path: Path, seen: sidecar_sync.FileState, name: str) -> None:
        check(path, seen, name)
        file.write_text(packet(2, "Beach", "Dusk").replace("+0.35", "+1.00"))

    monkeypatch.setattr(sidecar_sync, "_check_unchanged", at_the_last_moment)
    for number in range(2):  # over what somebody else wrote, and over what damfs wrote
        library.perform(SetTags(photo, (("Nature", "Beach"), (f"Sea {number}",))), "cli")
        report = await synced(library)
        assert report.problems == [
            "a.jpg.xmp was written by another program meanwhile; its edit is taken over next time"
        ]
        assert "+1.00" in file.read_text(), "what it wrote is what the file says"
        with monkeypatch.context() as undisturbed:
            undisturbed.setattr(sidecar_sync, "_check_unchanged", check)
            assert (await synced(library)).problems == []
            assert (await synced(library)).written == 0
        assert tags(library, photo) == ["Beach", "Dusk", f"Sea {number}"], "the edits of both"
        assert "+1.00" in file.read_text()
        file.write_text(packet(2, "Beach"))
        await synced(library, write=False)


async def test_a_read_only_store_keeps_its_bytes_and_the_catalog_its_tags(library: Library, tmp_path: Path) -> None:
    source = tmp_path / "card"
    source.mkdir()
    jpeg(source / "a.jpg")
    (source / "a.jpg.xmp").write_text(packet(2, "Beach"))
    added(library, source)
    await synced(library)
    before, photo = files_below(source), the_asset(library, "a.jpg").id
    library.execute([SetTags(photo, (("Sea",),)), SetRating(photo, 10), SetComment(photo, "mine")], "cli")
    for _ in range(2):
        report = await synced(library)
        assert (report.written, report.problems) == (0, [])
    assert files_below(source) == before
    assert tags(library, photo) == ["Sea"]
    assert remarks.remark(library.db.writer, photo) == (10, "mine")
