"""Words that pass between the catalog and sidecars: whose they are, and which characters they may hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from damfs.catalog import remarks, vocabulary
from damfs.catalog.proposals import Origin
from damfs.core.commands import AddTag
from damfs.core.describing import SetComment, SetTags
from damfs.core.library import Library
from damfs.core.sidecar_record import SidecarRecord
from damfs.core.sidecar_words import plain
from damfs.core.xmp_packet import record_of, rewritten
from damfs.model import AssetId, TagSource
from tests.sample_media import jpeg
from tests.service.test_sidecars import exiftool, packet, synced
from tests.small_library import opened, tags, term, the_asset

MODEL = Origin("auto_tag/2", "some-model")
NOT_IN_XML = "\ufffe\uffff\x00\x01\x08\x0b\x0c\x1f\x7f\x85"
PLAIN_SUBJECT = "XMP-dc:Subject"


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


async def photo_in(library: Library, folder: Path) -> AssetId:
    jpeg(folder / "a.jpg")
    await synced(library, write=False)
    return the_asset(library, "a.jpg").id


def source(library: Library, id_: AssetId, name: str) -> TagSource:
    return vocabulary.tagging(library.db.writer, id_, term(library, name)).source


@pytest.mark.parametrize("keyword", ["Beach", "plage"])
@pytest.mark.parametrize("machine", [TagSource.MODEL, TagSource.RULE])
async def test_a_persons_keyword_wins_over_what_a_machine_had_said(
    library: Library, folder: Path, machine: TagSource, keyword: str
) -> None:
    photo = await photo_in(library, folder)
    beach = term(library, "Beach")
    library.execute([AddTag(photo, beach, machine, 0.9, MODEL)], "model")
    with library.db.transaction() as tx:
        tx.run("INSERT INTO term_label (term, language, name, preferred) VALUES (?, 'fr', 'plage', 0)", beach)
    (folder / "a.jpg.xmp").write_text(packet(3, keyword).replace("Nature|Beach", keyword))
    report = await synced(library)
    assert report.problems == []
    assert source(library, photo, "Beach") is TagSource.PERSON
    assert vocabulary.tagging(library.db.writer, photo, beach).origin == ("", "")
    assert "<rdf:li>Beach</rdf:li>" in (folder / "a.jpg.xmp").read_text(), "and it stays in the sidecar"


async def test_a_machines_tag_that_no_sidecar_names_stays_a_machines(library: Library, folder: Path) -> None:
    photo = await photo_in(library, folder)
    machines = [term(library, "Sea"), term(library, "sea, rough")]
    library.execute([AddTag(photo, each, TagSource.MODEL, 0.9, MODEL) for each in machines], "model")
    (folder / "a.jpg.xmp").write_text(packet(3, "Beach"))
    await synced(library)
    assert tags(library, photo) == ["Beach", "Sea", "sea, rough"]
    assert [source(library, photo, name) for name in ("Beach", "Sea", "sea, rough")] == ["person", "model", "model"]
    assert "Sea" not in (folder / "a.jpg.xmp").read_text()


async def test_a_keyword_with_a_comma_is_taken_away_by_a_sidecar(library: Library, folder: Path) -> None:
    photo = await photo_in(library, folder)
    (folder / "a.jpg.xmp").write_text(packet(3, "Beach", "sea, rough"))
    await synced(library)
    assert tags(library, photo) == ["Beach", "sea, rough"]
    text = (folder / "a.jpg.xmp").read_text()
    (folder / "a.jpg.xmp").write_text(text.replace("<rdf:li>sea, rough</rdf:li>", ""))
    await synced(library)
    assert tags(library, photo) == ["Beach"]


async def test_what_xml_cannot_hold_is_left_out_once_said_and_kept_here(library: Library, folder: Path) -> None:
    photo = await photo_in(library, folder)
    odd, comment = "bea\ufffech", f"one{NOT_IN_XML}\r\ntwo\rthree \U0001f3d6"
    library.execute([SetTags(photo, ((odd,), ("\uffff",))), SetComment(photo, comment)], "cli")
    report = await synced(library)
    assert (report.made, report.problems) == (1, [])
    assert report.remarks == ["a.jpg.xmp: characters that no XML can hold were left out in it; the catalog keeps them"]
    text = (folder / "a.jpg.xmp").read_text()
    assert "<rdf:li>beach</rdf:li>" in text
    assert "one\ntwo\nthree \U0001f3d6" in text
    again = await synced(library)
    assert (again.read, again.written, again.remarks) == (0, 0, []), "both are in step"
    (folder / "a.jpg.xmp").write_text(
        text.replace("<rdf:li>beach</rdf:li>", "<rdf:li>beach</rdf:li><rdf:li>sun</rdf:li>", 1)
    )
    await synced(library)
    assert tags(library, photo) == sorted([odd, "\uffff", "sun"]), "an edit beside it leaves it as it is"
    assert remarks.remark(library.db.writer, photo).comment == comment
    text = (folder / "a.jpg.xmp").read_text()
    (folder / "a.jpg.xmp").write_text(text.replace("<rdf:li>beach</rdf:li>", ""))
    await synced(library)
    assert tags(library, photo) == sorted(["\uffff", "sun"]), "taken away there, it is gone here"


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(categories=None), max_size=30))
@example(NOT_IN_XML)
@example("\ud800 \udfff")
@example("\r\n\r a\tb \u2028\ufdd0\U0001ffff")
def test_any_text_is_written_and_read_back_the_same(text: str) -> None:
    said = plain(text)
    record = SidecarRecord((said,) if said else (), label=said, description=said)
    assert record_of(rewritten(None, record, "a.xmp"), "a.xmp") == record
    assert plain(said) == said


@pytest.mark.needs_programs("exiftool")
@settings(max_examples=6, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.lists(st.text(st.characters(categories=None), min_size=1, max_size=12), min_size=10, max_size=60))
@example([*NOT_IN_XML, "\ud800", "\udfff", "\ufdd0", "\u200b", "\x80", "a\u2028b", "<&>'\"", "]]>"])
def test_exiftool_reads_any_text_that_damfs_wrote(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    words = tuple(dict.fromkeys(f"word {plain(text)}".strip() for text in texts))  # exiftool's JSON knows numbers
    file = tmp_path_factory.mktemp("words") / "a.xmp"
    file.write_bytes(rewritten(None, SidecarRecord(words, description="".join(words)), "a.xmp"))
    found = exiftool(file)[PLAIN_SUBJECT]
    assert found == (list(words) if len(words) > 1 else words[0])
