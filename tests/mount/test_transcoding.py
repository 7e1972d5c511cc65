"""damfs transcode and damfs proxy: batches by a profile, once for the same bytes; interrupted, killed, gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from damfs.settings import SETTINGS_FILE
from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import (
    DAMFS,
    QUICK,
    await_end,
    damfs,
    descendants,
    environment,
    new_library,
    rows,
    run,
    until,
)
from tests.sample_media import dnxhr, h264, truncated

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

LIMIT_S = 200.0
pytestmark = pytest.mark.timeout(300)
OFF = QUICK + "[indexer]\nworkers = 1\n[proxy]\nenabled = false\n"


def answer(*words: str | Path, code: int = 0) -> dict[str, object]:
    done = damfs(*words, "--json", check=False, limit_s=LIMIT_S)
    assert done.returncode == code, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def left_behind(library: Path) -> list[str]:
    """Files in the directories of jobs, and renditions without a row."""
    work = [path for path in (library / "state/work").rglob("*") if path.is_file()]
    known = {key for (key,) in rows(library, "SELECT key FROM rendition")}
    root = library / "state/renditions"
    strays = [p for p in root.rglob("*") if p.is_file() and str(p.relative_to(root)) not in known]
    return [str(path) for path in (*work, *strays)]


def jobs(library: Path) -> dict[object, int]:
    return {state: int(str(n)) for state, n in rows(library, "SELECT state, count(*) FROM job"
            " WHERE processor = 'proxy-h264' GROUP BY state")}  # fmt: skip


def test_a_batch_works_on_the_same_bytes_once_and_is_made_once(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=OFF).start()
    clip, other = h264(tmp_path / "a.mp4", seconds=0.4), h264(tmp_path / "b.mp4", seconds=0.4, seed=2, source="city")
    (dam / "by-tag/day").mkdir()
    run("cp", clip, dam / "by-tag/day/one.mp4")
    run("cp", clip, dam / "by-tag/day/two.mp4")
    run("cp", other, dam / "by-tag/day")
    run("cp", truncated(tmp_path / "bad.mov"), dam / "by-tag/day")
    dam.settled()
    dam.idle()
    made = answer("transcode", dam.library, "tag:day", "--profile", "h264", code=1)
    assert (made["files"], made["same_bytes"], made["made"]) == (4, 1, 2)
    assert "moov atom" in made["failed"]["bad.mov"]  # type: ignore[index]  # JSON
    again = answer("transcode", dam.library, dam / "by-tag/day", "--profile", "h264", code=1)
    assert (again["made"], again["there"]) == (0, 2)
    assert jobs(dam.library) == {"done": 2, "failed": 1}
    assert os.listdir(dam / "proxies/library") == ["2024"] or not list((dam / "proxies/library").rglob("*.mp4"))
    shown = answer("proxy", dam / "by-tag/day/two.mp4")
    (h264_row,) = [row for row in shown["rows"] if row["profile"] == "h264"]  # type: ignore[attr-defined]  # JSON
    assert (h264_row["state"], h264_row["shown"]) == ("made", False)
    told = json.loads(os.getxattr(dam / "by-tag/day/one.mp4", "user.damfs.conformance"))
    assert told == {"h264": h264_row["report"]}
    assert told["h264"]["properties"]["frames"] == {"source": 10, "proxy": 10, "verdict": "equal"}
    check_consistent(dam)


def test_a_clip_that_needs_none_says_so_and_has_one_when_it_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK).start()
    run("cp", dnxhr(tmp_path / "take.mov", seconds=0.4), dam / "inbox")
    dam.settled()
    dam.idle()
    assert list((dam / "proxies/library").rglob("*.mov")) == []
    said = damfs("proxy", dam / "inbox/take.mov").stdout
    assert "640x360 dnxhd of whole pictures is as quick as a proxy" in said
    assert "damfs proxy" in said.splitlines()[-1]
    damfs("proxy", dam / "inbox/take.mov", "--make")
    (proxy,) = (dam / "proxies/library").rglob("*.mov")
    told = json.loads(os.getxattr(proxy, "user.damfs.conformance"))
    assert told["encoder"] == "dnxhd"
    assert {row["verdict"] for row in told["properties"].values()} <= {"equal", "explained"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips that take a while."""
    folder = tmp_path_factory.mktemp("clips")
    for lines in (360, 352, 344):
        h264(folder / f"clip{lines}.mp4", seconds=8, size=(640, lines), options={"preset": "ultrafast"})
    return folder


@pytest.fixture
def footage(tmp_path: Path, clips: Path) -> Path:
    """A library of them that is not mounted."""
    library = new_library(tmp_path / "library", OFF)
    damfs("add", library, clips)
    return library


def begun(library: Path) -> subprocess.Popen[str]:
    """The command, when it is in the middle of a clip."""
    process = subprocess.Popen(
        [*DAMFS, "transcode", str(library), "*", "--profile", "h264"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    until(
        lambda: any((library / "state/work").glob("*/progress")) or process.poll() is not None, "it is begun", LIMIT_S
    )
    assert process.poll() is None, process.communicate()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_interrupted_it_leaves_nothing_behind_and_goes_on(footage: Path, number: signal.Signals) -> None:
    process = begun(footage)
    workers = descendants(process.pid)
    process.send_signal(number)
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + number, said
    assert "run the same command again to go on" in said
    assert workers != []
    for worker in workers:
        await_end(worker)
    assert left_behind(footage) == []
    before = jobs(footage)
    assert before.keys() <= {"done"}, "what waited was taken back"
    done = answer("transcode", footage, "*", "--profile", "h264")
    assert (done["made"], done["there"]) == (3 - before.get("done", 0), before.get("done", 0))
    assert left_behind(footage) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_interrupted_while_it_is_mounted_the_daemon_finishes_what_runs(
    serve: Serve, footage: Path, number: signal.Signals
) -> None:
    dam = serve(footage).start()
    process = begun(footage)
    process.send_signal(number)
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + number, said
    assert "2 that waited were taken back" in said or "1 that waited were taken back" in said
    until(lambda: jobs(footage).keys() == {"done"}, "what ran is finished, what waited is gone", LIMIT_S)
    before = jobs(footage)["done"]
    assert before < 3
    done = answer("transcode", footage, "type:video", "--profile", "h264")
    assert (done["made"], done["there"]) == (3 - before, before)
    dam.end()
    assert left_behind(footage) == []


def test_killed_it_starts_again(footage: Path) -> None:
    process = begun(footage)
    process.kill()
    process.communicate(timeout=LIMIT_S)
    assert "leased" in jobs(footage)
    done = answer("transcode", footage, "*", "--profile", "h264")
    assert (int(str(done["made"])) + int(str(done["there"])), done["failed"]) == (3, {})
    assert left_behind(footage) == []
    assert jobs(footage) == {"done": 3}


def test_as_many_are_made_at_once_as_the_settings_say(footage: Path) -> None:
    """Of three clips two, all the time until the last one."""
    (footage / SETTINGS_FILE).write_text(OFF.replace("workers = 1", "workers = 2"))
    at_once: list[int] = []
    process = begun(footage)

    def ended() -> bool:
        at_once.append(jobs(footage).get("leased", 0))
        return process.poll() is not None

    until(ended, "it ends", LIMIT_S)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert max(at_once) == 2
    assert jobs(footage) == {"done": 3}


def test_what_is_asked_wrongly_is_said_in_one_line(footage: Path) -> None:
    for words, said in (
        (("tag:none",), 'there is no term "none"'),
        (("type:film",), "video"),
        (("like:clip360.mp4",), "like: only ranks"),
        (("*", "--profile", "avi"), 'no profile "avi"; there are: dnxhr-lb'),
    ):
        done = damfs("transcode", footage, *words, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
    assert damfs("transcode", footage, "nonsense").stdout == "dnxhr-lb: nothing was found\n"
