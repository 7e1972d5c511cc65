"""What a library needs: space, one device, watches, a sound catalog, copies of it, a clock that goes forward.

Blocks; reads the catalog by a connection of its own, so that it works mounted or not, and changes nothing.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from damfs.catalog.health import Glance, glance
from damfs.core.backups import newest_first
from damfs.core.model_choice import choose_model
from damfs.errors import DamfsError
from damfs.integration import client, machine_checks
from damfs.integration.diagnosis import Diagnosis, bad, ok, warn
from damfs.integration.wire import GetStatus
from damfs.settings import Settings, read_settings

GIGABYTE = 10**9
TOO_LITTLE = GIGABYTE // 2
LITTLE = 5 * GIGABYTE
WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
SLACK_NS = 60 * 10**9
DAYS_WITHOUT_COPY = 7
DAY_S = 86_400


def library_checks(library: Path) -> Iterator[Diagnosis]:
    """Every check of one library."""
    try:
        settings = read_settings(library)
    except DamfsError as error:
        yield bad("settings", str(error))
        return
    yield ok("settings", str(library / "damfs.toml"))
    yield model(settings)
    yield native(library)
    yield from places(library)
    found = glance(library / "state" / "catalog.sqlite3")
    yield catalog(found, library)
    if not found.problems:
        yield stores(found, library)
        yield watches(found, settings, WATCHES)
        yield clock(found, time.time_ns())
    yield copies(library, time.time())


def model(settings: Settings) -> Diagnosis:
    choice = choose_model(settings.model.name)
    if choice.name != settings.model.name:
        return warn("models", choice.words)
    return ok("models", choice.words)


def native(library: Path) -> Diagnosis:
    """What the daemon says, where one runs."""
    connection = client.connect(library)
    status = {} if connection is None else client.ask(connection, GetStatus())
    said = status.get("native") if isinstance(status, dict) else None
    if not said:
        release = os.uname().release
        return machine_checks.passthrough_expected(
            release, machine_checks.capabilities(), machine_checks.package_path()
        )
    return ok("native", str(said)) if str(said).startswith("passthrough on") else warn("native", str(said))


def places(library: Path) -> Iterator[Diagnosis]:
    state, originals = library / "state", library / "originals"
    for path in (state, originals):
        if not path.is_dir():
            yield bad(path.name, f"{path} is missing; bring it back from a backup, or (state) run damfs rebuild")
            return
        yield space(path.name, path, shutil.disk_usage(path).free)
    same = state.stat().st_dev == originals.stat().st_dev
    yield ok("staging", "on the device of the originals" if same else f"in {originals}: state/ is on another device")


def space(name: str, path: Path, free: int) -> Diagnosis:
    text = f"{free / GIGABYTE:,.1f} GB free at {path}"
    if not os.access(path, os.W_OK):
        return bad(name, f"{path} cannot be written; give your user access to it")
    if free < TOO_LITTLE:
        return bad(name, f"{text}: make room, or nothing more can be received")
    return warn(name, f"{text}: make room soon") if free < LITTLE else ok(name, text)


def catalog(found: Glance, library: Path) -> Diagnosis:
    if found.problems:
        return bad("catalog", f"{'; '.join(found.problems)}; try damfs check {library} --repair, then damfs rebuild")
    return ok("catalog", f"sound, {found.size / 1e6:,.1f} MB (all its rules: damfs check {library})")


def stores(found: Glance, library: Path) -> Diagnosis:
    gone = [f"{name} ({root})" for name, root in found.roots.items() if root and not os.path.isdir(root)]
    if gone:
        return warn("stores", f"offline: {', '.join(gone)}; connect the volume, then: damfs scan {library}")
    if found.damaged:
        return warn("stores", f"{found.damaged:,} files are damaged; damfs verify {library} lists them")
    return ok("stores", ", ".join(found.roots))


def watches(found: Glance, settings: Settings, limit: Path) -> Diagnosis:
    """One inotify watch is needed for each folder of the read-only stores."""
    if not settings.indexer.watch:
        return ok("watches", "indexer.watch is off")
    try:
        allowed = int(limit.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return warn("watches", f"{limit} cannot be read; changes in folders may go unnoticed until damfs scan")
    if found.watched_folders > allowed:
        return warn(
            "watches",
            f"{found.watched_folders:,} folders, but only {allowed:,} can be watched; raise it with:"
            f" sysctl fs.inotify.max_user_watches={2 * found.watched_folders}",
        )
    return ok("watches", f"{found.watched_folders:,} folders of {allowed:,} possible")


def clock(found: Glance, now_ns: int) -> Diagnosis:
    behind = found.last_change_ns - now_ns
    if behind > SLACK_NS:
        return bad("clock", f"it is {behind / 1e9:,.0f} s behind the last change of the library; set the clock")
    return ok("clock", time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now_ns / 1e9)))


def copies(library: Path, now_s: float) -> Diagnosis:
    found = newest_first(library / "state" / "backups")
    if not found:
        return warn("backups", "the catalog has no copy in state/backups/ yet; one is made a day while mounted")
    age = (now_s - found[0].stat().st_mtime) / DAY_S
    text = f"{len(found)} copies of the catalog, the newest {age:,.1f} days old"
    return (
        warn("backups", f"{text}; one is made a day while mounted") if age > DAYS_WITHOUT_COPY else ok("backups", text)
    )
