"""Names of assets are fit to be shown anywhere, whatever they were made of."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.asset_names import NAME_LIMIT, clean_name, fit, is_text, proxy_name, size_of, split_ending

RAW = st.one_of(st.text(), st.text(st.characters(exclude_categories=())), st.binary(max_size=400))
FILE_NAMES = st.binary(min_size=1, max_size=255).filter(lambda name: not {0, ord("/")} & set(name))


@given(RAW)
def test_a_clean_name_can_be_shown_stored_and_is_clean(raw: str | bytes) -> None:
    name = clean_name(raw)
    assert 0 < len(name.encode("utf-8")) <= NAME_LIMIT
    assert not any(char == "/" or unicodedata.category(char) in {"Cc", "Cs"} for char in name)
    assert unicodedata.is_normalized("NFC", name)
    assert name not in {".", ".."}
    assert clean_name(name) == name


@given(st.text(st.characters(categories=("L", "N")), min_size=1, max_size=60))
def test_an_ordinary_name_stays_as_it_is(stem: str) -> None:
    name = unicodedata.normalize("NFC", stem) + ".mov"
    assert clean_name(name) == name


@given(FILE_NAMES)
def test_bytes_and_the_text_that_python_makes_of_them_are_one_name(raw: bytes) -> None:
    assert clean_name(raw) == clean_name(os.fsdecode(raw))


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("", "_"),
        (".", "_."),
        ("..", "_.."),
        ("a\nb\x00c/d.mov", "a_b_c_d.mov"),
        (b"caf\xe9.jpg", "caf\ufffd.jpg"),
        ("e\u0301.mov", "\u00e9.mov"),
        ("x" * 300 + ".mov", "x" * 251 + ".mov"),
        ("\u00e9" * 200 + ".mov", "\u00e9" * 125 + ".mov"),
        (".profile", ".profile"),
    ],
)
def test_what_becomes_of(raw: str | bytes, clean: str) -> None:
    assert clean_name(raw) == clean


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("clip.mov", ("clip", ".mov")),
        ("archive.tar.gz", ("archive.tar", ".gz")),
        (".profile", (".profile", "")),
        ("name", ("name", "")),
        ("name.", ("name", ".")),
        ("a." + "b" * 33, ("a." + "b" * 33, "")),
    ],
)
def test_ending(name: str, parts: tuple[str, str]) -> None:
    assert split_ending(name) == parts


@given(FILE_NAMES, st.sampled_from([".mov", ".mp4", ""]))
def test_a_proxy_of_any_file_has_a_name_that_fits(original: bytes, ending: str) -> None:
    name = proxy_name(original, f"ab/abcdef-proxy-dnxhr-lb{ending}")
    assert len(os.fsencode(name)) <= NAME_LIMIT
    assert name.endswith(ending)


@given(FILE_NAMES, st.integers(0, 300))
def test_fit_cuts_no_character_in_two(raw: bytes, limit: int) -> None:
    text = os.fsdecode(raw)
    cut = fit(text, limit)
    assert text.startswith(cut)
    assert size_of(cut) <= limit
    assert size_of(cut) == size_of(text) or size_of(text[: len(cut) + 1]) > limit


def test_is_text() -> None:
    assert is_text("caf\u00e9 \U0001f600")
    assert not is_text(os.fsdecode(b"caf\xe9"))
