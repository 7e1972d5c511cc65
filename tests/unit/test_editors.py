"""Names under which editors look for proxies: the table, its inverse, and the sizes that Blender knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.editors import EDITORS, Editor, names_as_they_are, names_by_stem, share_of

BY_NAME = {editor.name: editor for editor in EDITORS}
STEM = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs", "Cc")), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("editor", "original", "ending", "expected"),
    [
        ("resolve", "A001_C002.mp4", ".mov", "A001_C002.mov"),
        ("resolve", "two.dots.mxf", ".mp4", "two.dots.mp4"),
        ("premiere", "A001_C002.mp4", ".mov", "A001_C002_Proxy.mov"),
        ("premiere", "no ending", ".mov", "no ending_Proxy.mov"),
        ("kdenlive", "DJI_0001.MP4", ".mov", "DJI_0001.LRF"),
        ("kdenlive", "{stem}.mov", ".mov", "{stem}.LRF"),
    ],
)
def test_a_proxy_is_called_as_its_editor_wants(editor: str, original: str, ending: str, expected: str) -> None:
    assert BY_NAME[editor].named(original, ending) == expected


@pytest.mark.parametrize("editor", [editor for editor in EDITORS if editor.by_stem], ids=lambda editor: editor.name)
@given(stem=STEM)
def test_the_stem_is_found_again_in_the_name(editor: Editor, stem: str) -> None:
    assert editor.stem_of(editor.named(stem + ".mov", ".mov")) == stem


@pytest.mark.parametrize("editor", [editor for editor in EDITORS if editor.by_stem], ids=lambda editor: editor.name)
def test_a_name_fits_into_255_bytes_and_keeps_what_the_editor_looks_for(editor: Editor) -> None:
    made = editor.named("\u00e9" * 125 + ".mov", ".mov")
    assert len(made.encode()) <= 255
    assert made.endswith(editor.file.removeprefix("{stem}").format(ending=".mov"))


@pytest.mark.parametrize(("editor", "name"), [("premiere", "clip.mov"), ("kdenlive", "clip.mov")])
def test_other_names_are_nobodys_proxy(editor: str, name: str) -> None:
    assert BY_NAME[editor].stem_of(name) is None


@pytest.mark.parametrize(
    ("height", "original", "share"),
    [(540, 1080, 50), (540, 2160, 25), (540, 720, 75), (360, 360, 100), (None, 1080, 50), (540, 576, None)],
)
def test_the_share_is_one_that_blender_knows(height: int | None, original: int, share: int | None) -> None:
    assert share_of(height, original) == share


def test_every_name_that_leads_to_a_proxy_is_told() -> None:
    assert names_by_stem("clip.mp4", ".mov") == {"clip.mov", "clip_Proxy.mov", "clip.LRF"}
    assert names_as_they_are("clip.mp4", "ab" * 16) == {
        "Proxy", "Proxies", "proxies", "ab" * 16 + ".mp4",
        "BL_proxy", "clip.mp4", "proxy_25.avi", "proxy_50.avi", "proxy_75.avi", "proxy_100.avi",
    }  # fmt: skip
    assert "ab" * 16 + ".mp4" not in names_as_they_are("clip.mp4", None)
