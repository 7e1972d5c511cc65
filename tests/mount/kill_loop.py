"""`python -m tests.mount.kill_loop --rounds 200 --seed 7`: kill -9 at random moments under load, then a look at all.

Each round: programs work (`kill_load`), the daemon is killed, sometimes once more while it starts, and started again.
Then every name leads to its bytes and shows where it should, what was synced is there, no bytes are lost (P1, P4),
no file is without a row and no row without its file (P2), and `damfs check` is clean. In between the mount has to
answer ENOTCONN at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from damfs.core.check_report import CheckReport
from damfs.integration.client import call
from damfs.integration.wire import Check
from tests.mount import kill_folders, kill_saves, kill_steps
from tests.mount.consistency import check_consistent, is_original, library_keys
from tests.mount.daemon_process import QUICK, READY, Daemon, complaint, damfs, new_library, rows, until
from tests.mount.kill_load import File, Found, Picture, Program, Scene, Writing, digest_of

SETTINGS = QUICK + "[indexer]\nworkers = 1\n[proxy]\nenabled = false\n"
PROGRAMS = 3
DEEP_EVERY = 10
"""Rounds after which the library is also checked at rest."""
DEAD_WITHIN_S = 90.0
NOTICES_WITHIN_S = 90.0
RECEIVED_WITHIN_S = 90.0
ATTEMPTS = 5
PART = ".part"
STEPS = (*kill_steps.STEPS, *kill_saves.STEPS, *kill_folders.STEPS)
"""Equally likely."""
LOOKED_AT = 5
"""Files of each program whose versions are read after a round; after some rounds all are."""


class Broken(Exception):
    """The library is not as it must be."""


def must(condition: object, text: str) -> None:
    if not condition:
        raise Broken(text)


class Loop:
    """``directory``: for the library, the mountpoint and the log. ``counts``: what happened, for the last line."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        (directory / "dam").mkdir()
        library = new_library(directory / "library", SETTINGS)
        self.dam = Daemon(library, directory / "dam", announced=["stale mount", "was interrupted"])
        self.scenes = [
            Scene(self.dam.mountpoint, f"p{number}", random.Random(seed * 1000 + number)) for number in range(PROGRAMS)
        ]
        self.counts: Counter[str] = Counter()

    def run(self, rounds: int, tell: Callable[[int], None] = lambda _: None) -> None:
        self.dam.start()
        try:
            for number in range(1, rounds + 1):
                self.round()
                if number % DEEP_EVERY == 0 or number == rounds:
                    self.check_at_rest()
                self.counts["rounds"] += 1
                tell(number)
        finally:
            self.dam.wreck()

    def round(self) -> None:
        programs = [Program(scene, STEPS) for scene in self.scenes]
        for program in programs:
            program.start()
        time.sleep(self.dice.uniform(0.05, 1.0))  # the moment is the random thing here
        self.dam.kill()
        self.check_dead()
        for program in programs:
            program.ending.set()
            program.join(DEAD_WITHIN_S)
            must(not program.is_alive(), f"{program.scene.program} waits for a daemon that is dead")
            if program.wrong is not None:
                raise program.wrong
            self.counts["steps"] += program.steps
        must(self.dam.complaints() == [], self.dam.log())
        self.start_again()
        self.dam.settled()
        for program in programs:
            self.check_program(program)
        receiving = "SELECT name FROM asset WHERE state = 'receiving'"
        until(
            lambda: not rows(self.dam.library, receiving), "everything that was closed is received", RECEIVED_WITHIN_S
        )
        self.check_bytes()
        report = msgspec.convert(call(self.dam.library, Check()), CheckReport)
        must(report.clean, f"damfs check: {report.findings}")

    def check_dead(self) -> None:
        """Dead, not empty and not waiting."""
        said = complaint("stat", "-f", self.dam.mountpoint, limit_s=DEAD_WITHIN_S)
        must("not connected" in said or "abort" in said, f"the dead mount says: {said}")

    def start_again(self) -> None:
        while self.dice.random() < 0.3:
            self.start_and_kill()
            self.counts["killed while starting"] += 1
        said = self.dam.try_start()
        must(said == READY, said.decode())

    def start_and_kill(self) -> None:
        """Killed somewhere in its start: before the repair, in it, or just after."""
        with self.dam.begin():
            time.sleep(self.dice.uniform(0.2, 1.5))
        self.dam.kill()

    # --- what a program finds -----------------------------------------------------------------------------------

    def check_program(self, program: Program) -> None:
        scene = program.scene
        for fd in scene.open:
            with suppress(OSError):
                os.close(fd)
        scene.open.clear()
        outcomes = [scene.picture] if program.doubt is None else [scene.picture, program.doubt]
        self.finish_parts(scene, outcomes)
        outcomes = self.check_synced(scene, outcomes)
        self.dam.settled()
        scene.picture = self.matching(scene, outcomes)
        self.check_versions(scene, LOOKED_AT)
        scene.writing.clear()
        self.counts["doubts"] += program.doubt is not None

    def matching(self, scene: Scene, outcomes: list[Picture]) -> Picture:
        """The outcome that the directories show, as soon as the last notices have reached the kernel."""
        deadline = time.monotonic() + NOTICES_WITHIN_S
        while True:
            try:
                found = self.look(scene)
            except FileNotFoundError:  # a last notice is on its way
                found = None
            for picture in outcomes:
                if found == picture.as_found():
                    return picture
            must(time.monotonic() < deadline, f"{scene.program}: {difference(found or self.look(scene), outcomes)}")
            time.sleep(0.05)

    def finish_parts(self, scene: Scene, outcomes: list[Picture]) -> None:
        """What was interrupted is there as ``name.part``; whole, it gets its name (again), else it is removed."""
        for part, path in self.paths_of(scene).items():
            name = part.removesuffix(PART)
            if name == part:
                continue
            content, writing = path.read_bytes(), scene.writing.get(name)
            self.counts["interrupted"] += 1
            if digest_of(content) in {picture.files[name].digest for picture in outcomes if name in picture.files}:
                path.rename(path.with_name(name))
                scene.writing.pop(name, None)
                continue
            must(writing is not None, f"{part} was never written")
            assert writing is not None
            length = writing.length_of(content)
            must(length is not None, f"{part} holds bytes that nobody wrote")
            must((length or 0) >= writing.synced, f"{part}: {writing.synced} bytes were synced, {length} came back")
            path.unlink()
            scene.writing[name] = Writing(b"")

    def check_synced(self, scene: Scene, outcomes: list[Picture]) -> list[Picture]:
        """What was synced and is not there as a part is there under its name; the outcomes with it."""
        paths = self.paths_of(scene)
        for name, writing in scene.writing.items():
            if writing.synced:
                must(name in paths, f"{name}: {writing.synced} bytes were synced, nothing came back")
            if writing.over and writing.synced:
                digest = digest_of(paths[name].read_bytes())
                must(digest == outcomes[-1].files[name].digest, f"{name} lost synced bytes that were written over it")
            if name in paths and not any(name in picture.files for picture in outcomes):
                # the recording was closed by the kernel: it passes for whole
                content = paths[name].read_bytes()
                must(writing.content.startswith(content), f"{name} holds bytes that nobody wrote")
                must(len(content) >= writing.synced, f"{name} lost synced bytes")
                recorded = File(digest_of(content), inbox=True)
                outcomes = [picture.having(name, recorded) for picture in outcomes]
        return outcomes

    def paths_of(self, scene: Scene) -> dict[str, Path]:
        """Where each file of the program is shown and may be written, by name."""
        root = self.dam.mountpoint
        places = [root / "inbox", *(root / "by-tag" / term for term in self.terms_of(scene))]
        places += [Path(place) for place, _, _ in os.walk(root / "originals" / "library")]
        mine = f"{scene.program}-"
        return {name: place / name for place in places for name in os.listdir(place) if name.startswith(mine)}

    def terms_of(self, scene: Scene) -> list[str]:
        return [name for name in os.listdir(self.dam / "by-tag") if name.startswith(f"{scene.program}-")]

    def look(self, scene: Scene) -> Found:
        """Where each file of the program is shown, by name, and what it says there."""
        terms, folders = self.terms_of(scene), self.folders_of(scene)
        places = {place: self.names_of(scene, place) for place in ("inbox", "untagged", "trash")}
        tagged = {term: self.names_of(scene, f"by-tag/{term}") for term in terms}
        placed = {folder: self.names_of(scene, f"originals/library/{folder}") for folder in folders}
        names = {*places["inbox"], *places["untagged"], *(name for some in tagged.values() for name in some)}
        files = {}
        for name in names:
            carried = frozenset(term for term, there in tagged.items() if name in there)
            contrary = {"untagged"} if (name in places["untagged"]) is bool(carried) else set()
            inside = [folder for folder, there in placed.items() if name in there]
            path = self.dam / self.shown_at(name, places, carried)
            files[name] = File(
                digest_of(path.read_bytes()), name in places["inbox"], carried | contrary,
                folder=" and ".join(inside) if inside else None, comment=comment_of(path),
            )  # fmt: skip
        strays = {name for there in placed.values() for name in there} - names - self.bare(folders)
        must(not strays, f"only in folders: {strays}")
        trashed = {name: digest_of((self.dam / "trash" / name).read_bytes()) for name in places["trash"]}
        return Found(files, frozenset(terms), frozenset(folders), trashed)

    def shown_at(self, name: str, places: dict[str, set[str]], terms: frozenset[str]) -> str:
        place = "inbox" if name in places["inbox"] else f"by-tag/{min(terms)}" if terms else "untagged"
        return f"{place}/{name}"

    def names_of(self, scene: Scene, place: str) -> set[str]:
        return {name for name in os.listdir(self.dam / place) if name.startswith(f"{scene.program}-")}

    def folders_of(self, scene: Scene) -> list[str]:
        """The program's own, below originals/library/."""
        library = self.dam / "originals/library"
        tops = [library / name for name in self.names_of(scene, "originals/library")]
        return [os.path.relpath(place, library) for top in tops for place, _, _ in os.walk(top)]

    @staticmethod
    def bare(folders: list[str]) -> set[str]:
        return {folder.rpartition("/")[2] for folder in folders}

    def check_versions(self, scene: Scene, limit: int | None = None) -> None:
        """What was written over is in versions/, each by its bytes."""
        changed = [name for name, file in scene.picture.files.items() if file.kept]
        for name in self.dice.sample(sorted(changed), min(limit or len(changed), len(changed))):
            file = scene.picture.files[name]
            versions = self.dam / "versions" / name
            there = {digest_of((versions / each).read_bytes()) for each in os.listdir(versions)}
            lost = {file.digest, *file.kept} - there
            must(not lost, f"versions/{name} lacks {len(lost)} of {len(file.kept) + 1} versions")
            self.counts["versions read"] += len(there)

    # --- what is on the disk ------------------------------------------------------------------------------------

    def check_bytes(self) -> None:
        """Every file of the store has its row, every row its file, and all bytes that were whole are there."""
        originals = self.dam.library / "originals"
        files = self.read_originals()
        there = set(files.values())
        for scene in self.scenes:
            lost = scene.picture.digests() - there
            named = {**scene.picture.trashed, **scene.picture.files}
            names = [name for name, file in named.items() if lost & {file.digest, *file.kept}]
            must(not lost, f"{scene.program}: the bytes of {len(lost)} files are lost; with a name: {names}")
        keys = library_keys(self.dam.library)
        on_disk = {os.fsencode(path.relative_to(originals)) for path in files}
        must(on_disk == keys, f"files without a row: {on_disk - keys}; rows without a file: {keys - on_disk}")
        self.counts["files"] = len(files)

    def read_originals(self) -> dict[Path, str]:
        """Digests of all files; read again when jobs have just filed one under another day."""
        for _ in range(ATTEMPTS):
            with suppress(FileNotFoundError):
                paths = [path for path in (self.dam.library / "originals").rglob("*") if is_original(path)]
                return {path: digest_of(path.read_bytes()) for path in paths}
        raise Broken("the files of originals/ do not keep still")

    def check_at_rest(self) -> None:
        """All jobs done, ended in order, all rules checked, every file compared with its digest."""
        for scene in self.scenes:
            self.check_versions(scene)
        status = self.dam.idle()
        must(not status.failures, f"failed jobs: {status.failures}")
        check_consistent(self.dam)
        self.dam.end()
        damfs("check", self.dam.library)
        damfs("verify", self.dam.library)
        self.dam.start()


def comment_of(path: Path) -> str:
    try:
        return os.fsdecode(os.getxattr(path, "user.xdg.comment"))
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        return ""


def difference(found: Found, outcomes: list[Picture]) -> str:
    """What tells it from each picture that would be right."""
    return " | or: ".join(_difference(found, picture.as_found()) for picture in outcomes)


def _difference(found: Found, wanted: Found) -> str:
    names = sorted(name for name in {*found.files, *wanted.files} if found.files.get(name) != wanted.files.get(name))
    shown = [f"{name} is {found.files.get(name)} and not {wanted.files.get(name)}" for name in names]
    others = [
        f"{what} {there} and not {right}"
        for what, there, right in (
            ("terms", found.terms - wanted.terms, wanted.terms - found.terms),
            ("folders", found.folders - wanted.folders, wanted.folders - found.folders),
            ("trash", found.trashed.keys() - wanted.trashed.keys(), wanted.trashed.keys() - found.trashed.keys()),
        )
        if there or right
    ]
    return "; ".join([*shown, *others])


# --- the command ----------------------------------------------------------------------------------------------


def main() -> int:
    arguments = _arguments()
    os.nice(10)
    with tempfile.TemporaryDirectory(prefix="damfs-kill-loop-") as directory:
        loop = Loop(Path(directory), arguments.seed)
        began = time.monotonic()
        try:
            loop.run(arguments.rounds, lambda done: _tell(done, arguments.rounds, began))
        except (Broken, AssertionError) as error:
            traceback.print_exc()
            print(f"BROKEN in round {loop.counts['rounds'] + 1}, seed {arguments.seed}: {error}\n{loop.dam.log()}")
            return 1
    counts = loop.counts
    print(
        f"{counts['rounds']} rounds clean in {time.monotonic() - began:.0f} s (seed {arguments.seed}):"
        f" {counts['steps']:,} steps by {PROGRAMS} programs, {counts['doubts']} cut in the middle,"
        f" {counts['interrupted']} files interrupted, {counts['killed while starting']} kills more while starting,"
        f" {counts['files']:,} files kept, {counts['versions read']:,} times a version read"
    )
    return 0


def _tell(done: int, rounds: int, began: float) -> None:
    rate = done / (time.monotonic() - began)
    left = (rounds - done) / rate
    print(f"round {done} of {rounds}: {rate:.2f} rounds/s, {left // 60:.0f} min {left % 60:.0f} s left", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mount.kill_loop", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10_000)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
