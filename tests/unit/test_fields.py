"""Fields: what facts are turned into, what can be asked of them, and that SQL and Python answer alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import entry_points

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damfs.catalog import assets, derived, field_values
from damfs.catalog.database import Connection, Database
from damfs.catalog.field_predicates import OPERATORS, HasText, NumberIn, TextLike, asked, field_facet
from damfs.catalog.fields import (
    BROWSABLE,
    BY_NAME,
    FIELDS,
    TEXT_LIMIT,
    VALUES_LIMIT,
    Kind,
    NumberValue,
    TextValue,
    captured,
    values_of,
)
from damfs.catalog.migrations import open_catalog
from damfs.catalog.predicates import ALL_FACET, Predicate, Traits
from damfs.catalog.units import Unit, parsed, shown
from damfs.errors import Refused
from damfs.model import AssetId, BlobId, Digest, Facts, Media

CLIP: Facts = {
    "media": "video",
    "width": 3840,
    "height": 2160,
    "duration_ns": 12_500_000_000,
    "camera_make": "Sony",
    "camera_model": "FX3",
    "video": {"codec": "hevc", "frame_rate": "24000/1001", "colour_transfer": "smpte2084"},
    "audio": [{"codec": "pcm_s24le", "channels": 1}, {"codec": "pcm_s24le", "channels": 2}],
    "place": {"country": "Germany", "region": "Berlin", "city": "Kreuzberg"},
}
PHOTO: Facts = {"media": "image", "container": "jpeg", "width": 6000, "height": 4000, "iso": 100, "exposure_s": 1 / 60}


def texts(facts: Facts) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for value in values_of({"probe": facts, "place": facts}):
        if isinstance(value, TextValue):
            found.setdefault(value.field, []).append(value.text)
    return found


def numbers(facts: Facts) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for value in values_of({"probe": facts, "place": facts}):
        if isinstance(value, NumberValue):
            found.setdefault(value.field, []).append(value.number)
    return found


def test_what_a_clip_says_of_itself() -> None:
    said, counted = texts(CLIP), numbers(CLIP)
    assert said["camera"] == ["Sony FX3"]
    assert said["codec"] == ["hevc"]
    assert said["resolution"] == ["3840x2160"]
    assert said["hdr"] == ["PQ"]
    assert said["place"] == ["Germany/Berlin"]
    assert said["audio-codec"] == ["pcm_s24le"], "a value is kept once"
    assert counted["fps"] == [pytest.approx(23.976, abs=1e-3)]
    assert counted["duration"] == [12.5]
    assert counted["channels"] == [1.0, 2.0]
    assert counted["tracks"] == [2.0]


def test_exiftool_fills_what_the_probe_left_open() -> None:
    told = list(
        values_of({"probe": {"camera_make": None, "lens": "XF23"}, "exiftool": {"camera_make": "RED", "lens": "?"}})
    )
    assert told == [
        TextValue("camera", "red", "RED"),
        TextValue("make", "red", "RED"),
        TextValue("lens", "xf23", "XF23"),
    ]


def test_photos_are_told_by_megapixels_and_format() -> None:
    assert texts(PHOTO)["resolution"] == ["24 megapixels"]
    assert texts(PHOTO)["codec"] == ["jpeg"]
    assert texts({**PHOTO, "width": 320, "height": 240})["resolution"] == ["1 megapixel"]


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"captured_local": "2024-07-15T12:34:56", "captured_offset_min": -210}, "2024-07-15 12:34:56 -03:30"),
        ({"captured_local": "2024-07-15T12:34:56"}, "2024-07-15 12:34:56"),
        ({"captured_utc_ns": 1_721_044_800_000_000_000}, "2024-07-15 12:00:00 UTC"),
        ({"captured_utc_ns": 10**30}, None),
        ({}, None),
    ],
)
def test_when_it_was_captured_is_said_with_its_zone(facts: Facts, text: str | None) -> None:
    assert captured(facts) == text


@pytest.mark.parametrize(
    ("make", "model", "shown_as"),
    [
        ("Canon", "Canon EOS R5", "Canon EOS R5"),
        ("NIKON CORPORATION", "NIKON Z 9", "NIKON Z 9"),
        ("SONY", "ILCE-7M4", "SONY ILCE-7M4"),
        (None, "FX3", "FX3"),
        ("Apple", None, "Apple"),
    ],
)
def test_a_camera_is_called_by_its_make_once(make: str | None, model: str | None, shown_as: str) -> None:
    assert texts({"camera_make": make, "camera_model": model})["camera"] == [shown_as]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.sampled_from(["", "/", "1/0", "\0 x", "x" * 300]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["codec", "lat", "video"]), inner),
    max_leaves=8,
)
NAMES = sorted({step for field in FIELDS for step in re.split(r"\.|\[\]\.?", field.path) if step} | {"media"})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), JSON))
def test_any_facts_of_a_plug_in_are_taken(facts: Facts) -> None:
    for value in values_of({"probe": facts, "loudness": facts, "exiftool": facts, "place": facts}):
        kind = BY_NAME[value.field].kind
        assert isinstance(value, NumberValue if kind is Kind.NUMBER else TextValue)
        assert not isinstance(value, TextValue) or 0 < len(value.text) <= TEXT_LIMIT


def test_a_thousand_streams_are_few_values() -> None:
    audio = [{"codec": f"codec{number}", "channels": number} for number in range(1000)]
    assert len(texts({"audio": audio})["audio-codec"]) == VALUES_LIMIT
    assert numbers({"audio": audio})["tracks"] == [1000.0]


def test_fields_are_declared_once_and_in_words() -> None:
    assert len({field.name for field in FIELDS}) == len(FIELDS)
    for field in FIELDS:
        assert re.fullmatch(r"[a-z][a-z-]*", field.name)
        assert not field.browsable or field.kind is Kind.TEXT
        assert field.standard == "" or re.fullmatch(r"[A-Za-z0-9]+:[A-Za-z]+", field.standard)


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("10s", Unit.SECONDS, 10), ("1m30s", Unit.SECONDS, 90), ("00:01:30", Unit.SECONDS, 90),
        ("2:05", Unit.SECONDS, 125),
        ("1.5h", Unit.SECONDS, 5400), ("250ms", Unit.SECONDS, 0.25), ("7", Unit.SECONDS, 7),
        ("24000/1001", Unit.FPS, 24000 / 1001), ("25 fps", Unit.FPS, 25), ("48k", Unit.HERTZ, 48000),
        ("48 kHz", Unit.HERTZ, 48000), ("50M", Unit.BITRATE, 5e7), ("1/60", Unit.EXPOSURE, 1 / 60),
        ("f/2.8", Unit.F_NUMBER, 2.8),
        ("-33.85", Unit.DEGREES, -33.85), ("3840px", Unit.PIXELS, 3840), ("85mm", Unit.MILLIMETRES, 85),
    ],
)  # fmt: skip
def test_numbers_are_read_as_people_write_them(text: str, unit: Unit, number: float) -> None:
    assert parsed(text, unit) == pytest.approx(number)


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [
        (12.5, Unit.SECONDS, "12.5 s"), (3725, Unit.SECONDS, "1 h 2 min 5 s"), (24000 / 1001, Unit.FPS, "23.976 fps"),
        (1 / 60, Unit.EXPOSURE, "1/60 s"), (2.8, Unit.F_NUMBER, "f/2.8"), (48000, Unit.HERTZ, "48,000 Hz"),
        (100_000_000, Unit.BITRATE, "100 Mbit/s"), (400, Unit.NONE, "400"),
    ],
)  # fmt: skip
def test_numbers_are_said_with_their_unit(number: float, unit: Unit, text: str) -> None:
    assert shown(number, unit) == text


@pytest.mark.parametrize(
    ("name", "operator", "text", "says"),
    [
        ("camra", "", "x", 'did you mean "camera"'),
        ("width", ">=", "wide", "is a number"),
        ("width", "", "10s", "is a number"),
        ("camera", ">", "a", "is text"),
        ("captured", "", "2024", "there is no field"),
    ],
)
def test_what_cannot_be_asked_says_what_can(name: str, operator: str, text: str, says: str) -> None:
    with pytest.raises(Refused, match=re.escape(says)):
        asked(name, operator, text)


def test_a_rate_is_what_was_said() -> None:
    assert asked("fps", "", "23.976").match(told(CLIP))
    assert not asked("fps", "", "24").match(told(CLIP))
    assert asked("duration", ">", "12s").match(told(CLIP))
    assert asked("place", "", "germany").match(told(CLIP))


def told(facts: Facts) -> Traits:
    values: dict[str, tuple[str | float, ...]] = {}
    for value in values_of({"probe": facts, "place": facts}):
        said = value.text if isinstance(value, TextValue) else value.number
        values[value.field] = (*values.get(value.field, ()), said)
    return Traits(True, True, Media.VIDEO, "2024-07-15", frozenset(), values=values)


# --- as rows ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with closing(open_catalog(tmp_path_factory.mktemp("fields") / "catalog.sqlite3", create=True)) as made:
        yield made


def fill(database: Database, found: list[Facts]) -> dict[AssetId, Facts]:
    made = {}
    with database.transaction() as tx:
        for table in ("asset", "field_text", "field_number", "fact", "blob"):
            tx.run(f"DELETE FROM {table}")
        for number, facts in enumerate(found):
            blob = BlobId(tx.insert("INSERT INTO blob (digest, size) VALUES (?, 1)", Digest(number.to_bytes(32))))
            id_ = assets.insert_present(tx, f"{number}.mov", Media.VIDEO, blob, 1, 1, 0o644, "2024-07-15", 1)
            for processor in ("probe", "place"):
                derived.set_facts(tx, blob, processor, facts)
            made[id_] = facts
    return made


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "camera_model": st.sampled_from(["FX3", "fx3", "FX30", "Pocket 6K [Pro]", "50% off?"]),
        "width": st.sampled_from([1280, 1920, 3840]),
        "place": st.sampled_from(
            [{"country": "Germany"}, {"country": "Germany", "region": "Berlin"}, {"country": "G"}]
        ),
    },
)
ASKED: tuple[Predicate, ...] = (
    HasText("camera", "fx3"),
    HasText("place", "germany"),
    HasText("place", "germany", below=True),
    TextLike("camera", "fx*"),
    TextLike("camera", "*6k [*"),
    TextLike("camera", "*?"),
    TextLike("camera", "f*3"),
    NumberIn("width", low=1920),
    NumberIn("width", low=1920, open_low=True),
    NumberIn("width", high=1920, open_high=True),
    NumberIn("width", low=1280, high=1920),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=st.lists(FACTS, max_size=6))
def test_sql_row_and_python_agree(database: Database, found: list[Facts]) -> None:
    made = fill(database, found)
    connection = database.writer
    for predicate in ASKED:
        listed = {row.id for row in assets.list_place(connection, predicate)}
        assert listed == {id_ for id_ in made if assets.in_place(connection, predicate, id_) is not None}
        assert listed == {id_ for id_, facts in made.items() if predicate.match(told(facts))}, predicate


def stored(connection: Connection, field: str) -> list[tuple[str, str]]:
    return field_values.list_keys(connection, field, "")


def test_one_value_is_one_directory_however_it_is_spelled(database: Database) -> None:
    fill(database, [{"camera_model": "FX3"}, {"camera_model": "fx3"}, {"camera_model": "FX30"}])
    assert stored(database.writer, "camera") == [("fx3", "FX3"), ("fx30", "FX30")]
    assert field_values.has_key(database.writer, "camera", "FX3", "fx3")
    assert not field_values.has_key(database.writer, "camera", "fx3", "fx3")


def test_values_go_with_the_facts(database: Database) -> None:
    (id_,) = fill(database, [CLIP])
    blob = assets.asset(database.writer, id_)
    assert blob is not None
    assert blob.blob is not None
    with database.transaction() as tx:
        changed = derived.set_facts(tx, blob.blob, "probe", {"width": 3840})
    assert "camera" in changed
    assert "width" not in changed
    assert stored(database.writer, "camera") == []


def test_an_asset_touches_the_places_of_its_values(database: Database) -> None:
    (id_,) = fill(database, [CLIP])
    touched = assets.facets(database.writer, id_)
    assert {field_facet("camera"), field_facet("camera", "sony fx3"), field_facet("place", "germany")} <= touched
    assert HasText("place", "germany/berlin").facets() <= touched
    assert NumberIn("width", low=1).facets() & touched == {ALL_FACET}


def test_texts_of_predicates_say_what_was_asked() -> None:
    assert {asked("width", operator, "3840").text() for operator in OPERATORS} >= {"width:>=3840", "width:<3840"}
    assert asked("camera", "", "Sony FX3").text() == 'camera:"sony fx3"'


def test_each_browsable_field_is_a_view() -> None:
    views = {point.name: point.load() for point in entry_points(group="damfs.views")}
    assert {name: views[f"by-{name}"].field.name for name in BROWSABLE} == {name: name for name in BROWSABLE}
