"""Words inside names and in scripts without spaces."""

from __future__ import annotations

import pytest

from damfs.catalog.word_breaks import is_unspaced, name_words, spread


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("beachSunset.jpg", "beach Sunset.jpg"),
        ("IMG2041.CR3", "IMG 2041.CR 3"),
        ("HTMLParser", "HTML Parser"),
        ("straßeMünchen", "straße München"),
        ("4kTake2b", "4 k Take 2 b"),
        ("DJIMavic3Pro", "DJI Mavic 3 Pro"),
    ],
)
def test_the_words_of_a_name_in_one_piece(name: str, words: str) -> None:
    assert name_words(name) == f"{name}\n{words}"


@pytest.mark.parametrize("name", ["IMG_2041.jpg", "red car.mov", "", "a", "Übersicht", "2024-07-15", "東京タワー"])
def test_a_name_whose_words_are_apart_is_left_as_it_is(name: str) -> None:
    assert name_words(name) == name


def test_letters_of_scripts_without_spaces_stand_alone() -> None:
    assert spread("NYから東京へ").split() == ["NY", "か", "ら", "東", "京", "へ"]
    assert spread("ｶﾒﾗ Ａ７ ½").split() == ["カ", "メ", "ラ", "A7", "1⁄2"]
    assert spread("서울에서").split() == ["서", "울", "에", "서"]
    assert spread("ทะเล").split() == ["ท", "ะ", "เ", "ล"]
    assert spread("red Café") == "red Café"


def test_which_texts_those_are() -> None:
    assert is_unspaced("a 東")
    assert not is_unspaced("Café Москва")
