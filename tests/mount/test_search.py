"""search/<query>/ of a real mount: reached by name, ranked, bounded, and never run by whoever only looks around."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from damfs.catalog import derived
from damfs.catalog.database import Connection
from damfs.core.processors.processor import LOOK_MODEL
from damfs.model import BlobId
from tests.mount.conftest import Serve
from tests.mount.daemon_process import Daemon, damfs, lists, rows, run

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
    found = names(dam / "search/car")
    assert [name[:2] for name in found] == ["01", "02", "03"]
    assert sorted(name[3:] for name in found) == ["CarAtDusk.txt", "blue car.txt", "red car.txt"]
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


@pytest.mark.needs_programs("gio")
def test_a_path_that_is_typed_into_a_file_manager_is_a_search(dam: Daemon) -> None:
    """GIO is what Nautilus, Thunar, PCManFM and their file dialogs look with."""
    place = dam / "search/red car"
    assert run("gio", "list", place).stdout.splitlines() == ["01 red car.txt"]
    assert "type: directory" in run("gio", "info", place).stdout
    assert run("gio", "cat", place / "01 red car.txt").stdout == "red"


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
    with pytest.raises((PermissionError, FileNotFoundError)):  # the second: seen from mkdir, "car" is not kept either
        os.mkdir(dam / "search/car/below")


def test_a_kept_search_is_renamed_by_mv(dam: Daemon) -> None:
    os.mkdir(dam / "search/blue")
    assert names(dam / "search/blue") == ["01 blue car.txt"]
    assert names(dam / "search/red car") == ["01 red car.txt"], "the kernel knows both"
    subprocess.run(["mv", "-T", dam / "search/blue", dam / "search/red car"], check=True)
    assert names(dam / "search") == ["red car"]
    assert names(dam / "search/red car") == ["01 red car.txt"]
    assert names(dam / "search/blue") == ["01 blue car.txt"]
    with pytest.raises(OSError, match="Invalid argument"):
        os.rename(dam / "search/red car", dam / "search/rating:many")
    with pytest.raises(PermissionError):
        os.rename(dam / "search/never kept", dam / "search/blue")
    with pytest.raises(PermissionError):
        os.rename(dam / "search/red car", dam / "by-tag/red car")
    os.rmdir(dam / "search/red car")


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
        dam.idle()
        dam.stats_at_rest()
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


def embed(dam: Daemon, name: str, at_ns: int, *numbers: float) -> None:
    """A vector of a file or a moment of it, as the model worker would leave it."""
    with closing(Connection(dam.library / "state" / "catalog.sqlite3")) as catalog:
        blob = catalog.integer("SELECT blob FROM asset WHERE name = ?", name)
        vector = struct.pack("<3f", *(number / math.hypot(*numbers) for number in numbers))
        derived.set_embedding(catalog, BlobId(blob), "look-1", None if at_ns < 0 else at_ns, vector)


@pytest.fixture(scope="module")
def film(dam: Daemon) -> None:
    """A film whose first moment is like one picture, and its last like another."""
    for name in ("film.mp4", "day.png", "night.png"):
        (dam / "inbox" / name).write_bytes(f"no real {name}".encode())
    dam.settled()
    embed(dam, "day.png", -1, 1, 0, 0)
    embed(dam, "night.png", -1, 0, 1, 0)
    embed(dam, "film.mp4", -1, 1, 1, 0)
    embed(dam, "film.mp4", 1_000_000_000, 1, 0.1, 0)
    embed(dam, "film.mp4", 72_000_000_000, 0.1, 1, 0)
    with closing(Connection(dam.library / "state" / "catalog.sqlite3")) as catalog:
        blob = catalog.integer("SELECT blob FROM asset WHERE name = 'film.mp4'")
        derived.set_facts(catalog, BlobId(blob), "probe", {"duration_ns": 75_000_000_000})


@pytest.mark.usefixtures("film")
def test_a_moment_of_a_video_has_neighbours_of_its_own(dam: Daemon) -> None:
    early, late = dam / "similar-to/film.mp4@00-00-02", dam / "similar-to/film.mp4@00-01-10.5"
    assert names(early) == ["01 day.png", "02 night.png"]
    assert names(late) == ["01 night.png", "02 day.png"]
    assert (late / "night.png").stat().st_ino == (dam / "inbox/night.png").stat().st_ino
    assert os.getxattr(late / "01 night.png", "user.damfs.why") == b"picture, 1.00, like film.mp4"
    assert float(os.getxattr(late / "01 night.png", "user.damfs.score")) == pytest.approx(0.995, abs=0.001)
    assert os.getxattr(late / "01 night.png", "user.damfs.space").decode() == LOOK_MODEL
    near = dam / "similar-to/night.png"
    assert names(near)[0] == "01 film.mp4"
    assert os.getxattr(near / "01 film.mp4", "user.damfs.why") == b"clip at 00:01:12, 1.00, like night.png"
    for absent in ("day.png@00-00-01", "film.mp4@1", "film.mp4@00-99-00", "film.mp4@00-01-16", "nothing.mp4@00-00-01"):
        assert not (dam / "similar-to" / absent).exists(), absent
    assert names(dam / "similar-to") == []


@pytest.mark.usefixtures("film")
def test_the_command_line_searches_and_finds_what_is_alike(dam: Daemon) -> None:
    found = json.loads(damfs("search", dam.library, "red", "car", "--json").stdout)
    assert [row["name"] for row in found["rows"]] == ["red car.txt"]
    assert found["rows"][0]["why"].startswith("red car: ")
    assert (dam / found["rows"][0]["path"]).read_bytes() == b"red"
    assert found["query"] == "red car"
    assert found["ranked"] is True
    told = damfs("search", dam.mountpoint, "name:*car*", "--limit", "2")
    assert "2 of 3 shown" in told.stdout
    wrong = damfs("search", dam.library, "rating:9", check=False)
    assert wrong.returncode == 1
    assert wrong.stderr == 'damfs: character 8: a rating is from 0 to 5 stars, not "9"\n'
    assert damfs("search", dam.library, "nothingness").stdout == "nothing found\n"
    alike = json.loads(damfs("similar", dam / "inbox/day.png", "--json").stdout)
    assert [row["name"] for row in alike["rows"]] == ["film.mp4", "night.png"]
    assert alike["spaces"] == [LOOK_MODEL], "what ranked them is said"
    liked = json.loads(damfs("search", dam.library, "like:day.png", "--json").stdout)
    assert (liked["rows"][0]["name"], liked["spaces"]) == ("film.mp4", [LOOK_MODEL])
    moment = damfs("similar", dam / "inbox/film.mp4", "--at", "01:10", "--limit", "1").stdout
    assert "night.png" in moment.splitlines()[0]
    assert "no vectors of moments" in damfs("similar", dam / "inbox/day.png", "--at", "0:01", check=False).stderr
    assert "or it ends before" in damfs("similar", dam / "inbox/film.mp4", "--at", "1:16", check=False).stderr
    assert damfs("similar", dam / "inbox/film.mp4", "--at", "soon", check=False).returncode == 2


def test_searches_are_kept_from_the_command_line_as_well(dam: Daemon) -> None:
    assert damfs("search", dam.library, "--save", "car -blue").stdout == "car -blue: kept\n"
    lists(dam / "search", "car -blue")
    assert damfs("search", dam.library).stdout == "car -blue\n"
    assert json.loads(damfs("search", dam.library, "--json").stdout) == ["car -blue"]
    assert "is kept already" in damfs("search", dam.library, "--save", "car -blue", check=False).stderr
    assert "character 8" in damfs("search", dam.library, "--save", "rating:9", check=False).stderr
    assert "no slash" in damfs("search", dam.library, "--save", "a/b", check=False).stderr
    for empty in (["", "--json"], [" "], ["--save"]):
        wrong = damfs("search", dam.library, *empty, check=False)
        assert (wrong.returncode, wrong.stdout) == (1, "")
        assert wrong.stderr.startswith("damfs: the query is empty; ")
    damfs("search", dam.library, "--forget", "car -blue")
    lists(dam / "search")
    assert "no searches are kept" in damfs("search", dam.library).stdout


@pytest.mark.usefixtures("film")
def test_a_library_that_is_not_mounted_can_be_searched(dam: Daemon) -> None:
    dam.end()
    try:
        found = damfs("search", dam.library, "car", "--limit", "0")
        assert len(found.stdout.splitlines()) == 6
        assert found.stderr.startswith("compared as texts only: ")
        alike = damfs("similar", dam.library / "originals" / day_of(dam, "day.png"), "--library", dam.library)
        assert "film.mp4" in alike.stdout
    finally:
        dam.start()


def day_of(dam: Daemon, name: str) -> Path:
    """Where the file lies in the library's own store."""
    (found,) = (dam.library / "originals").rglob(name)
    return found.relative_to(dam.library / "originals")


def test_a_model_that_cannot_be_had_costs_a_moment_and_is_told(serve: Serve) -> None:
    settings = '[model]\nname = "/nowhere/model"\n[search]\nwait_s = 0.2\n[proxy]\nenabled = false\n'
    dam = serve(settings=settings).start()
    (dam / "inbox/red car.txt").write_bytes(b"red")
    dam.settled()
    assert names(dam / "search/car") == ["01 red car.txt"]
    for _ in range(20):
        assert names(dam / "search/red") == ["01 red car.txt"]
    assert damfs("search", dam.library, "car").stderr.startswith("compared as texts only: ")
