"""Whole trees of folders are copied in with the usual programs: as they are into originals/library/, as terms into
by-tag/, where directories keep neither times nor permission bits and every program says so, and copies on."""

from __future__ import annotations

import os
import stat
from itertools import count
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, rows, run

SECOND_NS = 1_000_000_000
_numbers = count(1)


@pytest.fixture
def trip(tmp_path: Path) -> Path:
    """Folders and files with times and permission bits of their own; names no other test of the module uses."""
    source = tmp_path / f"trip-{next(_numbers)}"
    (source / f"{source.name} day/{source.name} empty").mkdir(parents=True)
    for number, folder in enumerate((source, source / f"{source.name} day")):
        path = folder / f"{source.name}-{number}.txt"
        path.write_text(f"{path.name}\n" * 50)
        path.chmod(0o640)
        os.utime(path, ns=(SECOND_NS, (number + 1) * SECOND_NS + 5))
    (source / f"{source.name} day").chmod(0o750)
    for folder in sorted((each for each in source.rglob("*") if each.is_dir()), reverse=True):
        os.utime(folder, ns=(SECOND_NS, 7 * SECOND_NS))
    os.utime(source, ns=(SECOND_NS, 8 * SECOND_NS))
    return source


def described(folder: Path) -> dict[str, tuple[int, int, bytes | None]]:
    """Time, mode and bytes of everything below a folder, and of itself."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            stat.S_IMODE(path.stat().st_mode),
            path.read_bytes() if path.is_file() else None,
        )
        for path in (folder, *folder.rglob("*"))
    }


def files(folder: Path) -> dict[str, tuple[int, int, bytes | None]]:
    return {Path(name).name: seen for name, seen in described(folder).items() if seen[2] is not None}


def unpack(source: Path, target: Path, *options: str) -> str:
    """tar c | tar x; what the second says on standard error."""
    archive = source.with_suffix(".tar")
    run("tar", "--format=pax", "-cf", archive, "-C", source.parent, source.name)
    return run("tar", "-xf", archive, "-C", target, *options, check=False).stderr


@pytest.mark.parametrize("program", ["rsync", "rsync again", "cp", "tar"])
def test_a_tree_comes_into_the_library_as_it_is(shared: Daemon, trip: Path, program: str) -> None:
    library = shared / "originals/library"
    if program == "cp":
        run("cp", "-a", trip, library)
    elif program == "tar":
        assert unpack(trip, library, "--preserve-permissions") == ""
    else:
        run("rsync", "-a", trip, library)
    if program == "rsync again":
        (trip / "more.txt").write_text(trip.name)
        os.utime(trip, ns=(SECOND_NS, 9 * SECOND_NS))
        run("rsync", "-a", trip, library)
    assert described(library / trip.name) == described(trip)
    shared.settled()
    assert described(library / trip.name) == described(trip), "times of folders stay when their files are sealed"
    assert run("rsync", "-ain", trip, library).stdout == "", "nothing is left to do"
    on_disk = shared.library / "originals" / trip.name
    assert {name: seen[2] for name, seen in described(on_disk).items()} == {
        name: seen[2] for name, seen in described(trip).items()
    }


def term(dam: Daemon) -> Path:
    directory = dam / f"by-tag/trees-{next(_numbers)}"
    directory.mkdir()
    return directory


PROGRAMS: dict[str, tuple[int, list[str]]] = {
    "cp -r --preserve=mode": (1, ["cp", "-r", "--preserve=mode"]),
    "cp -r": (0, ["cp", "-r"]),
    "cp -a": (1, ["cp", "-a"]),
    "rsync -a": (23, ["rsync", "-a"]),
    "rsync -a --omit-dir-times": (23, ["rsync", "-a", "--omit-dir-times"]),
    "rsync -a --omit-dir-times --chmod=D755": (0, ["rsync", "-a", "--omit-dir-times", "--chmod=D755"]),
}
"""With the code each ends with when folders have permission bits of their own."""


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_tree_becomes_terms(shared: Daemon, trip: Path, program: str) -> None:
    """Every file arrives with its time and bits, whatever a program says of the directories."""
    directory, (code, words) = term(shared), PROGRAMS[program]
    done = run(*words, trip, directory, check=False)
    assert done.returncode == code, done.stderr
    said = [line for line in done.stderr.splitlines() if "rsync error" not in line]
    assert all("Operation not permitted" in line for line in said), done.stderr
    assert bool(said) == bool(code)
    shared.settled()
    kept, came = files(trip), files(directory / trip.name)
    assert {name: seen[1:] for name, seen in came.items()} == {name: seen[1:] for name, seen in kept.items()}
    if "-a" in words:
        assert came == kept
    found = rows(shared.library, "SELECT count(*) FROM asset WHERE name GLOB ?", f"{trip.name}*")
    assert found == [(len(kept),)]
    assert (directory / trip.name / f"{trip.name} day/{trip.name} empty").is_dir()


def test_a_folder_called_like_a_term_is_that_term(shared: Daemon, trip: Path) -> None:
    """cp makes directories in those it has just made without a look, and leaves out what is there; rsync looks."""
    there = term(shared)
    day = trip / f"{trip.name} day"
    day.rename(trip / there.name)
    directory = term(shared)
    said = run("cp", "-r", trip, directory, check=False)
    assert (said.returncode, "File exists" in said.stderr) == (1, True)
    shared.settled()
    assert len(files(directory / trip.name)) == 1
    run("rsync", "-a", "--omit-dir-times", "--chmod=D755", trip, directory)
    shared.settled()
    inner = f"{trip.name}-1.txt"
    assert inner in os.listdir(there)
    assert (directory / trip.name / there.name / inner).read_bytes() == (trip / there.name / inner).read_bytes()


def test_tar_into_a_term(shared: Daemon, trip: Path) -> None:
    directory = term(shared)
    said = unpack(trip, directory)
    assert "Operation not permitted" in said
    shared.settled()
    assert files(directory / trip.name) == files(trip)


def into_a_term(dam: Daemon, source: Path, *options: str) -> Path:
    """`rsync`, twice: the second time the file is another one."""
    term = dam / "by-tag" / f"{source.name} {source.stat().st_mtime_ns % 1000}"
    term.mkdir(exist_ok=True)
    for _ in range(2):
        source.write_bytes(source.read_bytes() * 3)
        os.utime(source, ns=(SECOND_NS, (source.stat().st_size + 9) * SECOND_NS))
        run("rsync", "-t", "--no-whole-file", *options, source, f"{term}/")
        dam.settled()
        assert os.listdir(term) == [source.name]
        assert (term / source.name).read_bytes() == source.read_bytes()
    return term


def test_rsync_that_renames_all_at_the_end(shared: Daemon, tmp_path: Path) -> None:
    """Its folder for what is whole is no term for long: nothing is left of it, on no file."""
    (source := tmp_path / "delayed.txt").write_bytes(b"delayed")
    term = into_a_term(shared, source, "--delay-updates")
    assert os.getxattr(term / source.name, "user.xdg.tags").decode() == term.name
    assert rows(shared.library, "SELECT name FROM term WHERE name LIKE '%tmp%'") == []


@pytest.mark.parametrize("said", [{}, {"user.xdg.tags": b"said elsewhere", "user.xdg.comment": b"of its source"}])
def test_rsync_that_copies_attributes(shared: Daemon, tmp_path: Path, said: dict[str, bytes]) -> None:
    """It takes away what it finds and its source has not, and sets what that has: the file stays in its term."""
    (source := tmp_path / f"described {len(said)}.txt").write_bytes(b"described")
    for attribute, value in said.items():
        os.setxattr(source, attribute, value)
    term = into_a_term(shared, source, "-X")
    tags = os.getxattr(term / source.name, "user.xdg.tags").decode().split(",")
    assert sorted(tags) == sorted([term.name, *(value.decode() for value in [*said.values()][:1])])


def test_cp_of_a_file_that_has_tags_elsewhere(shared: Daemon, tmp_path: Path) -> None:
    source, term = tmp_path / "tagged elsewhere.txt", shared / "by-tag/copied here"
    source.write_bytes(b"tagged elsewhere")
    os.setxattr(source, "user.xdg.tags", b"one,two")
    term.mkdir()
    run("cp", "--preserve=all", source, term)
    shared.settled()
    assert os.listdir(term) == [source.name]
    assert os.getxattr(term / source.name, "user.xdg.tags") == b"copied here,one,two"
