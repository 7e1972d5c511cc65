"""`python -m tests.mount.kill_loop --rounds 200 --seed 7`: kill -9 at random moments under load, then a look at all.

Each round: programs work (`kill_load`), the daemon is killed, sometimes once more while it starts, and started again.
Then every name leads to its bytes and shows where it should, what was synced is there, no bytes are lost (P1, P4),
no file is without a row and no row without its file (P2), and `damfs check` is clean. In between the mount has to
answer ENOTCONN at once.
"""

from __future__ import annotations

import argparse
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
from tests.mount.consistency import check_consistent, library_keys
from tests.mount.daemon_process import QUICK, READY, Daemon, complaint, damfs, new_library
from tests.mount.kill_load import File, Picture, Program, Scene, Writing, digest_of

SETTINGS = QUICK + "[indexer]\nworkers = 1\n[proxy]\nenabled = false\n"
PROGRAMS = 3
DEEP_EVERY = 10
"""Rounds after which the library is also checked at rest."""
DEAD_WITHIN_S = 5.0
NOTICES_WITHIN_S = 5.0
RECEIVED_WITHIN_S = 30.0
PART = ".part"


Found = tuple[dict[str, tuple[bool, frozenset[str]]], frozenset[str]]


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
        programs = [Program(scene) for scene in self.scenes]
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
        self.finish_parts(scene, program.doubt)
        self.dam.settled()
        outcomes = [scene.picture] if program.doubt is None else [scene.picture, program.doubt]
        scene.picture = self.matching(scene, outcomes)
        self.check_reading(scene)
        scene.writing.clear()
        self.counts["doubts"] += program.doubt is not None

    def matching(self, scene: Scene, outcomes: list[Picture]) -> Picture:
        """The outcome that the directories show, as soon as the last notices have reached the kernel."""
        deadline = time.monotonic() + NOTICES_WITHIN_S
        while True:
            found = self.look(scene)
            for picture in outcomes:
                if found == picture.as_found():
                    return picture
            must(time.monotonic() < deadline, f"{scene.program}: {difference(found, outcomes)}")
            time.sleep(0.05)

    def finish_parts(self, scene: Scene, doubt: Picture | None) -> None:
        """What was interrupted is there as ``name.part``; whole, it gets its name again, else it is removed."""
        expected = {**(doubt.files if doubt else {}), **scene.picture.files}
        for path in self.paths_of(scene):
            name = path.name.removesuffix(PART)
            if name == path.name or not path.exists():
                continue
            content, writing = path.read_bytes(), scene.writing.get(name)
            self.counts["interrupted"] += 1
            if name in expected and digest_of(content) == expected[name].digest:
                path.rename(path.with_name(name))
                scene.writing.pop(name, None)
                continue
            must(writing is not None, f"{path.name} was never written")
            assert writing is not None
            must(writing.content.startswith(content), f"{path.name} holds bytes that nobody wrote")
            must(
                len(content) >= writing.synced,
                f"{path.name}: {writing.synced} bytes were synced, {len(content)} came back",
            )
            path.unlink()
            scene.writing[name] = Writing(b"")
        self.check_synced(scene, expected)

    def check_synced(self, scene: Scene, expected: dict[str, File]) -> None:
        """What was synced and is not there as a part is there under its name."""
        names = {path.name for path in self.paths_of(scene)}
        for name, writing in scene.writing.items():
            if writing.synced:
                must(name in names, f"{name}: {writing.synced} bytes were synced, nothing came back")
            if name in names and name not in expected:  # the recording was closed by the kernel: it passes for whole
                path = next(path for path in self.paths_of(scene) if path.name == name)
                content = path.read_bytes()
                must(writing.content.startswith(content), f"{name} holds bytes that nobody wrote")
                must(len(content) >= writing.synced, f"{name} lost synced bytes")
                path.unlink()

    def paths_of(self, scene: Scene) -> list[Path]:
        root = self.dam.mountpoint
        places = [root / "inbox", *(root / "by-tag" / term for term in self.terms_of(scene))]
        mine = f"{scene.program}-"
        return [place / name for place in places for name in os.listdir(place) if name.startswith(mine)]

    def terms_of(self, scene: Scene) -> list[str]:
        return [name for name in os.listdir(self.dam / "by-tag") if name.startswith(f"{scene.program}-")]

    def look(self, scene: Scene) -> Found:
        """Where each file of the program is shown, by name."""
        terms = self.terms_of(scene)
        shown: dict[str, set[str]] = {}
        for place in ("inbox", "untagged", *(f"by-tag/{term}" for term in terms)):
            for name in os.listdir(self.dam / place):
                if name.startswith(f"{scene.program}-"):
                    shown.setdefault(name, set()).add(place)
        found = {}
        for name, places in shown.items():
            tagged = frozenset(place.removeprefix("by-tag/") for place in places if place.startswith("by-tag/"))
            contrary = {"untagged"} if ("untagged" in places) is bool(tagged) else frozenset()
            found[name] = ("inbox" in places, tagged | contrary)
        return found, frozenset(terms)

    def check_reading(self, scene: Scene) -> None:
        """Through the mount, by one of its names."""
        for name, file in scene.picture.files.items():
            place = "inbox" if file.inbox else f"by-tag/{min(file.terms)}" if file.terms else "untagged"
            must(digest_of((self.dam / place / name).read_bytes()) == file.digest, f"{name} reads as other bytes")

    # --- what is on the disk ------------------------------------------------------------------------------------

    def check_bytes(self) -> None:
        """Every file of the store has its row, every row its file, and all bytes that were whole are there."""
        originals = self.dam.library / "originals"
        files = {path: path.stat() for path in originals.rglob("*") if path.is_file()}
        there = {digest_of(path.read_bytes()) for path in files}
        for scene in self.scenes:
            lost = scene.picture.digests() - there
            names = [name for name, file in scene.picture.files.items() if file.digest in lost]
            must(not lost, f"{scene.program}: the bytes of {len(lost)} files are lost; with a name: {names}")
        keys = library_keys(self.dam.library)
        on_disk = {os.fsencode(path.relative_to(originals)) for path in files}
        must(on_disk == keys, f"files without a row: {on_disk - keys}; rows without a file: {keys - on_disk}")
        self.counts["files"] = len(files)

    def check_at_rest(self) -> None:
        """All jobs done, ended in order, all rules checked, every file compared with its digest."""
        status = self.dam.idle()
        must(not status.failures, f"failed jobs: {status.failures}")
        check_consistent(self.dam)
        self.dam.end()
        damfs("check", self.dam.library)
        damfs("verify", self.dam.library)
        self.dam.start()


def difference(found: Found, outcomes: list[Picture]) -> str:
    """What tells it from each picture that would be right."""
    texts = []
    for picture in outcomes:
        files, terms = picture.as_found()
        names = [name for name in {*files, *found[0]} if files.get(name) != found[0].get(name)]
        shown = [f"{name} is {found[0].get(name)} and not {files.get(name)}" for name in sorted(names)]
        texts.append("; ".join([*shown, f"terms {set(found[1])} and not {set(terms)}" if found[1] != terms else ""]))
    return " | or: ".join(texts)


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
        f" {counts['files']:,} files kept"
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
