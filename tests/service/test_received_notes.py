"""What a daemon noted of files that the catalog did not know yet when it was killed: the next start enters them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.core.check import check
from damfs.core.commands import Receive
from damfs.core.library import Library
from damfs.core.making import EnterMade, MadeFile, ReserveNumbers
from damfs.core.reception import Reception
from damfs.core.upkeep import repair
from damfs.errors import DamfsError
from damfs.model import AssetId, AssetState
from damfs.storage.received_notes import RECEIVED_NOTES, ReceivedNote, ReceivedNotes
from tests.small_library import JULY_NS, asset, assets_named, opened, received, the_asset

NUMBER = 8
INTERRUPTED = "was interrupted"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def notes_of(library: Library) -> Path:
    return library.state / RECEIVED_NOTES


def line(number: int, name: str, mode: int = 0o644, at_ns: int = JULY_NS) -> str:
    """As `making.c` writes it."""
    return f"{number} {at_ns} {mode} {name}\n"


def staged(library: Library, number: int, data: bytes) -> AssetId:
    fd = library.staging.create(AssetId(number))
    os.write(fd, data)
    os.close(fd)
    return AssetId(number)


def reserved(library: Library) -> AssetId:
    return library.perform(ReserveNumbers(NUMBER), "fuse", quiet=True)


def names(library: Library) -> list[str]:
    return [str(name) for (name,) in library.db.writer.rows("SELECT name FROM asset ORDER BY id")]


async def start(library: Library) -> None:
    """And what holds after any."""
    await repair(library, Reception(library))
    assert not notes_of(library).exists()
    receiving = {id_ for (id_,) in library.db.writer.rows("SELECT id FROM asset WHERE state = 'receiving'")}
    assert library.staging.entries().keys() == receiving
    assert (await check(library, at_rest=True)).clean


@pytest.mark.expect_warnings(r"one\.dat was interrupted; what arrived \(3 bytes\)", INTERRUPTED)
async def test_what_arrived_comes_back_under_its_name_and_part(library: Library) -> None:
    first = reserved(library)
    staged(library, first, b"one")
    staged(library, first + 2, b"three")
    notes_of(library).write_text(line(first, "one.dat", 0o4755) + line(first + 2, "Three_3-c.JPG"))
    await start(library)
    assert names(library) == ["one.dat.part", "Three_3-c.JPG.part"]
    one = the_asset(library, "one.dat.part")
    assert (one.id, one.state, one.size, one.mode, one.triaged) == (first, AssetState.RECEIVING, 3, 0o4755, False)
    assert library.staging.path(first).read_bytes() == b"one"
    await start(library)
    assert names(library) == ["one.dat.part", "Three_3-c.JPG.part"], "once"
    assert library.perform(Receive("next.dat", 0o644, triaged=False), "fuse") >= first + NUMBER, (
        "nobody gets a number that was given"
    )


async def test_an_empty_file_and_one_that_is_gone_are_nothing(library: Library) -> None:
    first = reserved(library)
    staged(library, first, b"")
    notes_of(library).write_text(line(first, "empty.dat") + line(first + 1, "missing.dat"))
    await start(library)
    assert names(library) == []


@pytest.mark.expect_warnings(INTERRUPTED)
@pytest.mark.parametrize("cut", [1, 2, 9, 13, 20, 34])
async def test_the_last_line_is_torn_anywhere(library: Library, cut: int) -> None:
    """Of what it was to tell nobody knew; the bytes of all others are there."""
    first = reserved(library)
    staged(library, first, b"whole")
    staged(library, first + 1, b"")
    notes_of(library).write_text(line(first, "whole.dat") + line(first + 1, "torn.dat")[:-cut])
    await start(library)
    assert names(library) == ["whole.dat.part"]


@pytest.mark.expect_warnings(INTERRUPTED)
async def test_of_two_lines_for_a_number_the_last_counts(library: Library) -> None:
    first = reserved(library)
    staged(library, first, b"bytes")
    notes_of(library).write_text(line(first, "before.dat") + line(first, "after.dat"))
    await start(library)
    assert names(library) == ["after.dat.part"]


async def test_an_asset_keeps_its_name_whatever_is_noted(library: Library) -> None:
    """The daemon died between the commit and the end of its notes; one of them was renamed, one is sealed."""
    first = reserved(library)
    known = await received(library, "known.dat", b"known")
    staged(library, known.id, b"left over")
    staged(library, first, b"whole")
    library.perform(EnterMade([MadeFile(first, "renamed.dat", 0o644, JULY_NS, 5, JULY_NS, closed=True)]), "fuse")
    notes_of(library).write_text(line(known.id, "other.dat") + line(first, "old-name.dat"))
    await start(library)
    assert sorted(names(library)) == ["known.dat", "renamed.dat"]
    assert asset(library, first).state is AssetState.PRESENT
    assert asset(library, known.id).size == len(b"known")


GARBAGE = (
    b"\0\xff\x85\x1c\n\n \n",
    b"x" * 100_000 + b"\n",
    b"%d\n",
    b"%d 1 420\n",
    b"-%d 1 420 name.dat\n",
    b"%d 1 420 ../../escape.dat\n",
    b"%d 1 420 .hidden.dat\n",
    b"%d 1 420 tilde~1.dat\n",
    b"%d 1 420 two words.dat\n",
    b"%d 1 9999 mode.dat\n",
    b"%d 9999999999999999999 420 late.dat\n",
    b"%d 1 420 " + b"n" * 256 + b"\n",
    b" %d 1 420 name.dat\n",
    b"%d 1 420 name.dat\r\n",
    b"%d 1 420 ...\n",
)


@pytest.mark.expect_warnings(r"^sound\.dat was interrupted")
@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_passed_over(library: Library, garbage: bytes) -> None:
    """Of a disk that lost its mind: what is a note, as ever a daemon writes it, holds."""
    first = reserved(library)
    staged(library, first, b"sound")
    staged(library, first + 1, b"of garbage")
    text = garbage % (first + 1) if b"%d" in garbage else garbage
    notes_of(library).write_bytes(text + line(first, "sound.dat").encode() + text)
    await start(library)
    assert names(library) == ["sound.dat.part"]


@pytest.mark.expect_warnings(INTERRUPTED)
async def test_a_name_as_long_as_any_and_one_that_others_have(library: Library) -> None:
    first = reserved(library)
    there = await received(library, "twin.dat", b"twin")
    longest = "x" * 251 + ".dat"
    for number, name in enumerate((longest, "twin.dat", "twin.dat")):
        staged(library, first + number, b"part %d" % number)
        with notes_of(library).open("a") as file:
            file.write(line(first + number, name))
    await start(library)
    assert [each.id for each in assets_named(library, "twin.dat.part")] == [first + 1, first + 2]
    assert the_asset(library, "twin.dat").id == there.id
    (cut,) = (name for name in names(library) if name.startswith("xxx"))
    assert cut.endswith(".part")
    assert len(cut) <= 255


@pytest.mark.expect_warnings(INTERRUPTED)
async def test_a_catalog_that_forgot_what_it_had_reserved(library: Library) -> None:
    """After a power loss: the number is not given again."""
    number = staged(library, 5000, b"bytes")
    notes_of(library).write_text(line(number, "far.dat"))
    await start(library)
    assert names(library) == ["far.dat.part"]
    assert library.perform(Receive("next.dat", 0o644, triaged=False), "fuse") > number


async def test_many_lines_of_files_that_are_gone(library: Library) -> None:
    """Were they ever so many: only what is staged is looked up."""
    first = reserved(library)
    notes_of(library).write_text("".join(line(first + each, f"gone-{each}.dat") for each in range(100_000)))
    before = library.db.writer.statements
    await start(library)
    assert library.db.writer.statements - before < 1000
    assert names(library) == []


async def test_notes_that_cannot_be_read_are_told_and_kept(library: Library) -> None:
    """Whose the staged bytes are stands there: nothing is thrown away, and no half start."""
    first = reserved(library)
    staged(library, first, b"bytes")
    notes_of(library).mkdir()
    with pytest.raises(DamfsError, match=RECEIVED_NOTES) as refused:
        await repair(library, Reception(library))
    assert "\n" not in str(refused.value)
    assert library.staging.entries() == {first: 5}


def test_opening_begins_anew(tmp_path: Path) -> None:
    notes = ReceivedNotes(tmp_path)
    (tmp_path / RECEIVED_NOTES).write_text(line(1, "one.dat"))
    assert notes.read() == [ReceivedNote(1, JULY_NS, 0o644, "one.dat")]
    os.close(notes.open())
    assert notes.read() == []
    notes.forget()
    notes.forget()
    assert notes.read() == []
