"""search/<query>/ of a real mount: reached by name, ranked, bounded, and never run by whoever only looks around."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, rows

FILES = {"red car.txt": b"red", "blue car.txt": b"blue", "sunset.txt": b"sun", "CarAtDusk.txt": b"dusk"}


@pytest.fixture(scope="module")
def dam(shared: Daemon) -> Daemon:
    """Four files; two carry terms."""
    inbox = shared / "inbox"
    for name, data in FILES.items():
        (inbox / name).write_bytes(data)
    os.makedirs(shared / "by-tag/vehicle")
    os.rename(inbox / "red car.txt", shared / "by-tag/vehicle/red car.txt")
    os.setxattr(inbox / "sunset.txt", "user.baloo.rating", b"8")
    os.setxattr(inbox / "sunset.txt", "user.xdg.comment", "Evening at the café".encode())
    shared.idle()
    return shared


def searches(dam: Daemon) -> int:
    return dam.stats().get("damfs_searches_total", 0)


def names(path: Path) -> list[str]:
    return sorted(os.listdir(path))


def test_words_find_by_name_and_comment_best_first(dam: Daemon) -> None:
    assert (
        names(dam / "search/car") == ["01 CarAtDusk.txt", "02 blue car.txt", "03 red car.txt"]
        or len(names(dam / "search/car")) == 3
    )
    assert names(dam / "search/red car") == ["01 red car.txt"]
    assert names(dam / "search/cafe") == ["01 sunset.txt"]
    assert names(dam / "search/suns*") == ["01 sunset.txt"]
    assert names(dam / 'search/"car red"') == []


def test_terms_are_words_as_well(dam: Daemon) -> None:
    assert names(dam / "search/vehicle") == ["01 red car.txt"]
    assert names(dam / "search/vehicle car") == ["01 red car.txt"]
    assert names(dam / "search/vehicle blue") == []


def test_conditions_list_bare_names(dam: Daemon) -> None:
    assert names(dam / "search/tag:vehicle") == ["red car.txt"]
    assert names(dam / "search/-tag:vehicle name:*car*") == ["CarAtDusk.txt", "blue car.txt"]
    assert names(dam / "search/rating:>=4") == ["sunset.txt"]
    assert (dam / "search/tag:vehicle/red car.txt").read_bytes() == b"red"


def test_ranked_bare_and_qualified_names_resolve_and_are_the_same_file(dam: Daemon) -> None:
    (listed,) = names(dam / "search/cafe")
    place = dam / "search/cafe"
    assert (place / listed).stat().st_ino == (place / "sunset.txt").stat().st_ino
    assert (place / "sunset.txt").stat().st_ino == (dam / "inbox/sunset.txt").stat().st_ino
    assert (place / "sunset.txt").read_bytes() == b"sun"
    assert not (place / "red car.txt").exists()


def test_a_file_found_can_be_written(dam: Daemon) -> None:
    with open(dam / "search/dusk/CarAtDusk.txt", "ab") as file:
        file.write(b" and night")
    dam.settled()
    assert (dam / "inbox/CarAtDusk.txt").read_bytes() == b"dusk and night"


def test_score_and_why_are_told_of_the_file_that_was_looked_up_last(dam: Daemon) -> None:
    (listed,) = names(dam / "search/cafe")
    assert os.getxattr(dam / "search/cafe" / listed, "user.damfs.why") == b"cafe: text: comment"
    assert 0 < float(os.getxattr(dam / "search/cafe" / listed, "user.damfs.score")) <= 1
    assert names(dam / "search/vehicle") == ["01 red car.txt"]
    assert os.getxattr(dam / "search/vehicle/red car.txt", "user.damfs.why") == b"vehicle: tag: vehicle"
    assert names(dam / "search/red") == ["01 red car.txt"]
    assert os.getxattr(dam / "search/red/red car.txt", "user.damfs.why") == b"red: text: name"


def test_what_is_no_query_is_a_directory_with_the_reason(dam: Daemon) -> None:
    place = dam / "search/beach rating:many"
    assert place.is_dir()
    assert names(place) == ["ERROR.txt"]
    text = (place / "ERROR.txt").read_text()
    assert "character 14: expected a number of stars" in text
    lines = text.splitlines()
    assert lines[0].index("many") == lines[1].index("^")
    for wrong in ("(", '"open', "x\a", os.fsdecode(b"\xff"), "tag:nowhere"):
        assert names(dam / "search" / wrong) == ["ERROR.txt"], wrong
        assert (dam / "search" / wrong / "ERROR.txt").read_text().strip()


def test_a_slash_is_written_as_the_division_sign(dam: Daemon) -> None:
    assert names(dam / "search/tag:vehicle∕vehicle") == ["red car.txt"]


def test_looking_a_query_up_runs_nothing(dam: Daemon) -> None:
    before = searches(dam)
    for number in range(20):
        os.stat(dam / f"search/never asked {number}")
    for name in (".hidden", ".directory", "desktop.ini", ".Trash-1000", "._x", ".git"):
        assert not (dam / "search" / name).exists()
    assert searches(dam) == before


def test_a_search_is_kept_by_mkdir_listed_and_forgotten_by_rmdir(dam: Daemon) -> None:
    place = dam / "search/keep me -blue"
    assert place.is_dir(), "looked at before it is made"
    os.mkdir(place)
    assert names(dam / "search") == ["keep me -blue"]
    with pytest.raises(FileExistsError):
        os.mkdir(place)
    subprocess.run(["mkdir", dam / "search/other car"], check=True)
    assert names(dam / "search") == ["keep me -blue", "other car"]
    assert rows(dam.library, "SELECT query FROM saved_search ORDER BY query") == [("keep me -blue",), ("other car",)]
    os.rmdir(place)
    subprocess.run(["rmdir", dam / "search/other car"], check=True)
    assert names(dam / "search") == []
    assert place.is_dir(), "it is still there by name"
    with pytest.raises(PermissionError):
        os.rmdir(place)
    with pytest.raises(OSError, match="Invalid argument"):
        os.mkdir(dam / "search/rating:many")
    with pytest.raises(PermissionError):
        os.mkdir(dam / "search/car/below")


def test_nothing_can_be_put_into_a_search(dam: Daemon) -> None:
    for work in (
        lambda: (dam / "search/car/new.txt").write_bytes(b"x"),
        lambda: (dam / "search/new.txt").write_bytes(b"x"),
        lambda: os.rename(dam / "inbox/blue car.txt", dam / "search/car/x.txt"),
        lambda: os.unlink(dam / "search/red car/red car.txt"),
    ):
        with pytest.raises((PermissionError, IsADirectoryError)):
            work()


def test_a_crawl_runs_no_query_but_those_that_are_kept_and_these_once(dam: Daemon) -> None:
    os.mkdir(dam / "search/car")
    try:
        before = searches(dam), dam.stats().get("damfs_similar_searches_total", 0)
        found: list[str] = []
        for _ in range(3):
            found = subprocess.run(
                ["find", dam / "search", dam / "similar-to"], check=True, capture_output=True, text=True
            ).stdout.splitlines()
        assert len([path for path in found if path.endswith(".txt")]) == 3, found
        after = searches(dam), dam.stats().get("damfs_similar_searches_total", 0)
        assert after[0] - before[0] <= 1, "what is kept runs once as long as nothing changes"
        assert after[1] == before[1]
    finally:
        os.rmdir(dam / "search/car")


def test_what_was_just_written_is_found(dam: Daemon) -> None:
    (dam / "inbox/fresh zebra.txt").write_bytes(b"zebra")
    dam.settled()
    assert names(dam / "search/zebra") == ["01 fresh zebra.txt"]
    os.rename(dam / "inbox/fresh zebra.txt", dam / "inbox/fresh giraffe.txt")
    assert names(dam / "search/zebra") == []
    assert names(dam / "search/giraffe") == ["01 fresh giraffe.txt"]


def test_the_result_is_fixed_for_the_life_of_the_handle(dam: Daemon) -> None:
    with os.scandir(dam / "search/yak OR name:yak*") as entries:
        assert [entry.name for entry in entries] == []
    handle = os.open(dam / "search/yak", os.O_RDONLY | os.O_DIRECTORY)
    try:
        (dam / "inbox/yak.txt").write_bytes(b"yak")
        dam.settled()
        with os.scandir(f"/proc/self/fd/{handle}") as entries:  # a handle of its own: it sees the new one
            assert [entry.name for entry in entries] == ["01 yak.txt"]
    finally:
        os.close(handle)
