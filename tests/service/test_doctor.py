"""`damfs doctor`: each check says ok, warn or bad for the right reason, and what to do."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from damfs.catalog.health import Glance, glance
from damfs.core.library import make_library
from damfs.integration import library_checks, machine_checks
from damfs.integration.cli import cli
from damfs.integration.diagnosis import Diagnosis, Health, as_text, bad, ok
from damfs.integration.mounts import FILE_SYSTEM, Mount
from damfs.settings import Settings, parse_settings
from tests.small_library import added, opened, received, scanned

NAMES = {"fuse", "fusermount3", "allow_other", "mount(8)", "kernel", "workers", "hardware", "time zone", "mounts"}
LIBRARY_NAMES = {
    "settings", "models", "native", "state", "originals", "staging", "catalog", "stores", "watches", "clock", "backups",
}  # fmt: skip
GIGABYTE = 10**9


@pytest.fixture
def library(tmp_path: Path) -> Path:
    make_library(tmp_path / "library")
    return tmp_path / "library"


def by_name(library: Path) -> dict[str, Diagnosis]:
    return {each.name: each for each in library_checks.library_checks(library)}


def test_a_machine_that_can_mount_is_well() -> None:
    found = {each.name: each for each in machine_checks.machine_checks()}
    assert found.keys() == NAMES
    assert {name: each for name, each in found.items() if each.health is Health.BAD} == {}


def test_no_device(tmp_path: Path) -> None:
    found = machine_checks.fuse_device(tmp_path / "fuse")
    assert found.health is Health.BAD
    assert "modprobe fuse" in found.text


def test_a_device_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "fuse").mkdir()
    assert machine_checks.fuse_device(tmp_path / "fuse").health is Health.BAD


def test_no_fusermount() -> None:
    found = machine_checks.unmounting("no-such-program")
    assert found.health is (Health.WARN if os.geteuid() == 0 else Health.BAD)
    assert "fuse3" in found.text


@pytest.mark.parametrize(
    ("text", "health"),
    [("user_allow_other\n", Health.OK), ("# user_allow_other\n", Health.WARN), ("", Health.WARN), (None, Health.WARN)],
)
def test_mounts_for_other_users(tmp_path: Path, text: str | None, health: Health) -> None:
    if text is not None:
        (tmp_path / "fuse.conf").write_text(text)
    assert machine_checks.other_users(tmp_path / "fuse.conf", user=1000).health is health
    assert machine_checks.other_users(tmp_path / "fuse.conf", user=0).health is Health.OK


def test_mount_8(tmp_path: Path) -> None:
    helper = tmp_path / "mount.fuse.damfs"
    found = machine_checks.mount_program(helper)
    assert found.health is Health.OK, "nobody needs it"
    assert f"/{helper.name} {helper}" in found.text
    helper.touch(mode=0o755)
    assert machine_checks.mount_program(helper).text.startswith(f"{helper} is there")


@pytest.mark.parametrize(
    ("release", "health"),
    [("4.19.0-amd64", Health.WARN), ("5.10.0", Health.OK), ("6.18.44-x", Health.OK), ("odd", Health.WARN)],
)
def test_kernels(release: str, health: Health) -> None:
    assert machine_checks.kernel(release).health is health


@pytest.mark.parametrize(
    ("release", "capabilities", "built", "part"),
    [
        ("6.9.1", 1 << 21, True, "can read files itself"),
        ("6.8.0", 1 << 21, True, "6.9"),
        ("6.9.1", 0, True, "CAP_SYS_ADMIN"),
        ("6.9.1", 1 << 21, False, "not built"),
    ],
)
def test_passthrough_without_a_daemon_to_ask(
    tmp_path: Path, release: str, capabilities: int, built: bool, part: str
) -> None:
    (tmp_path / "presentation" / "fuse").mkdir(parents=True)
    if built:
        (tmp_path / "presentation" / "fuse" / "_passthrough.abi3.so").touch()
    found = machine_checks.passthrough_expected(release, capabilities, tmp_path)
    assert part in found.text
    assert found.health is (Health.OK if "itself" in part else Health.WARN)


def test_the_package_and_the_capabilities_are_those_of_this_process() -> None:
    assert (machine_checks.package_path() / "presentation" / "fuse" / "passthrough.c").exists()
    assert machine_checks.capabilities() >= 0


@pytest.mark.parametrize(
    ("code", "health", "text"),
    [
        ("raise SystemExit(3)", Health.WARN, "could not be tried (exit code 3)"),
        ('print(\'{"kind": "encoder", "name": "x_nvenc", "what": "", "why": ""}\')', Health.OK, "x_nvenc"),
        (
            'print(\'{"kind": "decoder", "name": "cuda", "what": "h264", "why": "no driver"}\')',
            Health.OK,
            "no graphics card helps, software makes proxies (cuda decoding h264: no driver)",
        ),
    ],
    ids=["broken", "one works", "none works"],
)
def test_what_a_graphics_card_is_good_for(code: str, health: Health, text: str) -> None:
    found = machine_checks.graphics_card(code)
    assert found.health is health
    assert text in found.text


def test_a_worker_that_cannot_decode() -> None:
    found = machine_checks.worker("import no_such_codec")
    assert found.health is Health.BAD
    assert "no_such_codec" in found.text


def test_no_time_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    assert machine_checks.time_zone(tmp_path / "localtime").health is Health.WARN
    (tmp_path / "localtime").touch()
    assert machine_checks.time_zone(tmp_path / "localtime").health is Health.OK


def test_a_mount_whose_daemon_is_dead(library: Path) -> None:
    dead = Mount(Path("/mnt/dam"), FILE_SYSTEM, str(library))
    found = machine_checks.stale_mounts([dead, Mount(Path("/"), "ext4", "/dev/sda1")])
    assert found.health is Health.WARN
    assert "damfs umount /mnt/dam" in found.text
    assert machine_checks.stale_mounts([]).health is Health.OK


def test_a_new_library_is_well(library: Path) -> None:
    found = by_name(library)
    assert found.keys() == LIBRARY_NAMES
    assert {name for name, each in found.items() if each.health is Health.BAD} == set()
    assert found["backups"].health is Health.WARN


def test_what_is_no_library(tmp_path: Path) -> None:
    (found,) = library_checks.library_checks(tmp_path)
    assert found.health is Health.BAD
    assert "damfs init" in found.text


def test_a_damaged_catalog(library: Path) -> None:
    (library / "state" / "catalog.sqlite3").write_bytes(b"no database" * 1000)
    found = by_name(library)["catalog"]
    assert found.health is Health.BAD
    assert "damfs rebuild" in found.text


def test_a_missing_catalog(library: Path) -> None:
    (library / "state" / "catalog.sqlite3").unlink()
    assert by_name(library)["catalog"].health is Health.BAD
    assert not (library / "state" / "catalog.sqlite3").exists(), "looking makes nothing"


def test_missing_originals(library: Path) -> None:
    (library / "originals").rename(library / "elsewhere")
    assert by_name(library)["originals"].health is Health.BAD


@pytest.mark.parametrize(
    ("free", "health"), [(GIGABYTE // 10, Health.BAD), (2 * GIGABYTE, Health.WARN), (90 * GIGABYTE, Health.OK)]
)
def test_space(tmp_path: Path, free: int, health: Health) -> None:
    assert library_checks.space("state", tmp_path, free).health is health


async def test_figures_of_a_catalog(tmp_path: Path) -> None:
    path, card = tmp_path / "library", tmp_path / "card"
    (card / "a" / "b").mkdir(parents=True)
    (card / "a" / "b" / "one.mov").write_bytes(b"one")
    before = time.time_ns()
    with opened(path) as library:
        await received(library, "beach.mov", b"waves")
        added(library, card)
        await scanned(library)
        library.db.writer.run("UPDATE copy SET state = 'damaged' WHERE store = 1")
    found = glance(path / "state" / "catalog.sqlite3")
    assert found.problems == []
    assert found.watched_folders == 3
    assert found.damaged == 1
    assert found.roots == {"library": "", "footage": str(card)}
    assert found.last_change_ns >= before
    assert "damaged" in by_name(path)["stores"].text
    card.rename(tmp_path / "unplugged")
    assert "offline: footage" in by_name(path)["stores"].text


def test_too_few_watches(tmp_path: Path) -> None:
    limit = tmp_path / "max_user_watches"
    limit.write_text("100\n")
    few = library_checks.watches(Glance(watched_folders=101), Settings(), limit)
    assert few.health is Health.WARN
    assert "sysctl fs.inotify.max_user_watches=202" in few.text
    assert library_checks.watches(Glance(watched_folders=100), Settings(), limit).health is Health.OK
    unwatched = parse_settings("[indexer]\nwatch = false\n", "test")
    assert library_checks.watches(Glance(watched_folders=101), unwatched, limit).health is Health.OK
    assert library_checks.watches(Glance(), Settings(), tmp_path / "gone").health is Health.WARN


def test_a_clock_that_was_set_back() -> None:
    now = time.time_ns()
    assert library_checks.clock(Glance(last_change_ns=now + 3600 * 10**9), now).health is Health.BAD
    assert library_checks.clock(Glance(last_change_ns=now), now).health is Health.OK


def test_old_copies_of_the_catalog(library: Path) -> None:
    (library / "state" / "backups").mkdir()
    (library / "state" / "backups" / "catalog-daily-1.sqlite3").touch()
    assert library_checks.copies(library, time.time()).health is Health.OK
    assert library_checks.copies(library, time.time() + 8 * 86_400).health is Health.WARN


def test_a_line_for_each() -> None:
    assert as_text([ok("fuse", "there"), bad("catalog", "gone")]) == "ok    fuse     there\nbad   catalog  gone\n"


def test_the_command_answers_as_text_and_json_with_its_exit_code(library: Path) -> None:
    done = CliRunner().invoke(cli, ["doctor", str(library), "--json"])
    answer = json.loads(done.stdout)
    assert {each["name"] for each in answer} == NAMES | LIBRARY_NAMES
    assert done.exit_code == 0
    (library / "state" / "catalog.sqlite3").unlink()
    done = CliRunner().invoke(cli, ["doctor", str(library)])
    assert done.exit_code == 1
    assert "bad   catalog" in done.stdout
