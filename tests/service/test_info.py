"""`damfs info`: every field by group, with units; as JSON with the names that can be asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.catalog import derived, job_table
from damfs.catalog.fields import BY_NAME, FIELDS
from damfs.catalog.units import Unit
from damfs.core.asset_info import field_info, info_of
from damfs.core.library import Library
from damfs.integration.cli_info import as_text
from damfs.integration.service import Service
from damfs.integration.wire import GetInfo, Target, decode_request, encode
from damfs.model import AssetId, BlobId, Facts, JobId
from tests.small_library import opened, received
from tests.unit.test_fields import CLIP

SHOWN = """clip.mov: video, 5 bytes
File
  Duration                      12.5 s
Picture
  Codec                         hevc
  Resolution                    3840x2160
  Width                         3,840 px
  Height                        2,160 px
  Frame rate                    23.976 fps
Colour
  Transfer                      smpte2084
  HDR                           PQ
Sound
  Sound codec                   pcm_s24le
  Sound tracks                  2
  Channels                      1, 2
Camera
  Camera                        Sony FX3
  Make                          Sony
Time and place
  Place                         Germany/Berlin
  Nearest town                  Kreuzberg
Work
  proxy                         failed: ends after 12 of 30 frames
"""


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


async def clip(library: Library, facts: Facts) -> AssetId:
    asset = await received(library, "clip.mov", b"bytes")
    assert asset.blob is not None
    with library.db.transaction() as tx:
        derived.set_facts(tx, asset.blob, "probe", facts)
        derived.set_facts(tx, asset.blob, "place", facts)
        for name in ("probe", "proxy"):
            job_table.enqueue(tx, asset.blob, name, 1, 1, 1)
        job_table.finish(tx, job_of(library, asset.blob, "probe"), 2)
        job_table.fail(tx, job_of(library, asset.blob, "proxy"), "ends after 12 of 30 frames", 2)
    return asset.id


def job_of(library: Library, blob: BlobId, name: str) -> JobId:
    return JobId(library.db.writer.integer("SELECT id FROM job WHERE blob = ? AND processor = ?", blob, name))


async def test_what_a_person_sees(library: Library) -> None:
    id_ = await clip(library, CLIP)
    assert as_text(info_of(library.db.writer, library.known(id_))) == SHOWN


async def test_what_a_script_sees(library: Library) -> None:
    id_ = await clip(library, CLIP)
    request = decode_request(encode(GetInfo(Target(asset=id_))))
    assert request is not None
    answer = json.loads(json.dumps(await Service(library).answer(request, lambda _: None)))
    fields = {field["field"]: field for field in answer["fields"]}
    assert fields["width"] == {
        "field": "width", "label": "Width", "group": "Picture", "unit": "px", "standard": "exif:PixelXDimension",
        "values": [3840.0], "text": "3,840 px",
    }  # fmt: skip
    assert set(fields) <= set(BY_NAME)
    assert {job["processor"]: job["state"] for job in answer["jobs"]} == {"probe": "done", "proxy": "failed"}


async def test_of_bytes_without_facts_it_says_so(library: Library) -> None:
    asset = await received(library, "notes.txt", b"notes")
    assert (
        as_text(info_of(library.db.writer, asset)) == "notes.txt: other, 5 bytes\n  nothing is known of its content\n"
    )


def test_many_values_are_cut(library: Library) -> None:
    facts: Facts = {"audio": [{"channels": number} for number in range(1, 31)]}
    info = field_info(BY_NAME["channels"], {"probe": facts})
    assert info is not None
    assert info.text.endswith("11, 12 and 18 more")
    assert len(info.values) == 30


def test_every_field_with_a_unit_is_a_number() -> None:
    assert [field.name for field in FIELDS if field.unit is not Unit.NONE and field.kind != "number"] == []
