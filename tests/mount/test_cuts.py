"""clips/ and frames/ through a real mount: asking for a name makes it once, looking around makes nothing."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from tests.mount.conftest import Serve, serving
from tests.mount.daemon_process import Daemon, await_end, begun, damfs, descendants, new_library, rows, run, until
from tests.mount.test_interrupts import has_open
from tests.sample_media import Clip, h264, jpeg, wav, write

SIZE = (320, 180)
GOP = {"preset": "veryfast", "crf": "23", "g": "10", "bf": "0", "sc_threshold": "0"}
NO_PROXIES = """[model]
name = "none"
[proxy]
enabled = false
[previews]
sprites = false
sheets = false
waveforms = false
[scenes]
up_to_minutes = 0
[metadata]
exiftool = false
places = false
"""
"""Nothing that cutting could do without."""


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("cuts")
    h264(directory / "Reel/clip.mp4", size=SIZE, seconds=2, options=GOP)
    jpeg(directory / "Reel/still.jpg")
    wav(directory / "Reel/room.wav")
    (directory / "Reel/broken.mov").write_bytes(b"no clip at all, though it is called one" * 100)
    with serving(directory) as serve:
        daemon = serve(settings=NO_PROXIES).start()
        daemon.add(directory / "Reel")
        daemon.idle()
        yield daemon


def made(dam: Daemon) -> int:
    return dam.stats().get("damfs_cuts_made_total", 0)


def frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def refused(path: Path) -> int | None:
    with pytest.raises(OSError, match="Errno") as info:
        path.stat()
    return info.value.errno


def test_a_piece_is_made_when_it_is_asked_for_and_its_size_is_right_at_once(dam: Daemon) -> None:
    piece = dam / "clips/clip.mp4/00-00-00.500_00-00-01.200.mov"
    size = piece.stat().st_size
    assert len(piece.read_bytes()) == size > 0
    assert frames(piece) == 20
    assert os.getxattr(piece, "user.damfs.cut") == b"00-00-00.400_00-00-01.200"
    assert os.getxattr(piece, "user.damfs.method") == b"copied"
    assert os.getxattr(piece, "user.damfs.kind") == b"clip"
    probe = run("ffprobe", "-v", "error", "-show_entries", "format=format_name", piece).stdout
    assert "mov" in probe


def test_an_exact_piece_has_just_the_frames_that_were_named(dam: Daemon) -> None:
    piece = dam / "clips/clip.mp4/00-00-00.520_00-00-01.200_exact.mov"
    assert frames(piece) == 17
    assert os.getxattr(piece, "user.damfs.cut") == b"00-00-00.520_00-00-01.200"


def test_a_frame_is_a_picture(dam: Daemon) -> None:
    with Image.open(dam / "frames/clip.mp4/00-00-01.040.jpg") as picture:
        assert (picture.format, picture.size) == ("JPEG", SIZE)
    assert os.getxattr(dam / "frames/clip.mp4/00-00-01.040.jpg", "user.damfs.cut") == b"00-00-01.040"


def test_a_piece_of_sound(dam: Daemon) -> None:
    with av.open(str(dam / "clips/room.wav/00-00-00.100_00-00-00.300.mov")) as container:
        assert container.streams.audio[0].codec_context.name.startswith("pcm")
    assert not (dam / "frames/room.wav").exists()


@pytest.mark.parametrize(
    "name",
    [
        "clips/clip.mp4/00-00-00.500_00-00-09.000.mov", "clips/clip.mp4/00-00-01.200_00-00-00.500.mov",
        "clips/clip.mp4/0_1.mov", "clips/clip.mp4/00-00-00.500_00-00-01.200.mp4", "clips/clip.mp4/.hidden",
        "frames/clip.mp4/00-00-02.000.jpg", "frames/clip.mp4/00-00-01.040.png", "clips/still.jpg", "clips/absent.mov",
    ],
)  # fmt: skip
def test_what_cannot_be_is_not_there_and_starts_no_work(dam: Daemon, name: str) -> None:
    before = made(dam)
    assert refused(dam / name) == errno.ENOENT
    assert made(dam) == before


def test_listings_show_what_was_made_and_looking_around_makes_nothing(dam: Daemon) -> None:
    (dam / "clips/clip.mp4/00-00-00.000_00-00-00.400.mov").stat()
    (dam / "frames/clip.mp4/00-00-00.000.jpg").stat()
    before = made(dam)
    for view in ("clips", "frames"):
        found = run("find", dam / view, "-ls").stdout
        assert ("00-00-00.000_00-00-00.400.mov" in found) == (view == "clips")
        assert ("00-00-00.000.jpg" in found) == (view == "frames")
    assert "clip.mp4" in os.listdir(dam / "clips")
    assert "still.jpg" not in os.listdir(dam / "clips")
    assert made(dam) == before


def test_many_who_ask_at_once_wait_for_one_making(dam: Daemon) -> None:
    before, piece = made(dam), dam / "clips/clip.mp4/00-00-00.040_00-00-01.960_exact.mov"
    sizes: list[int] = []
    threads = [threading.Thread(target=lambda: sizes.append(len(piece.read_bytes()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    (dam / "clips/clip.mp4/00-00-00.000_00-00-00.800.mov").stat()  # others are answered meanwhile
    for thread in threads:
        thread.join(120)
    assert len(sizes) == 8
    assert len(set(sizes)) == 1
    assert made(dam) == before + 2


def test_nothing_can_be_created_there(dam: Daemon) -> None:
    assert run("touch", dam / "clips/clip.mp4/new.mov", check=False).returncode != 0
    assert run("mkdir", dam / "clips/new", check=False).returncode != 0


def test_the_command_cuts_through_the_daemon_and_says_where_it_is(dam: Daemon, tmp_path: Path) -> None:
    source = dam / "originals/Reel/clip.mp4"
    done = damfs("clip", source, "--in", "0:00.8", "--out", "00:00:01.200")
    shown = done.stdout.partition(" (")[0]
    assert shown == str(dam / "clips/clip.mp4/00-00-00.800_00-00-01.200.mov")
    assert frames(Path(shown)) == 10
    piece = tmp_path / "piece.mov"
    row = json.loads(damfs("clip", source, "--in", "0.8", "--out", "1", "--exact", "-o", piece, "--json").stdout)
    assert (row["cut"], row["method"], row["size"]) == ("00-00-00.800_00-00-01.000", "copied", piece.stat().st_size)
    assert frames(piece) == 5
    damfs("clip", source, "--frame", "1.04", "-o", tmp_path / "frame.jpg")
    with Image.open(tmp_path / "frame.jpg") as picture:
        assert picture.size == SIZE
    assert sorted(os.listdir(tmp_path)) == ["frame.jpg", "piece.mov"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--in", "1", "--out", "9"), "clip.mp4 ends at 00:00:02.0"),
        (("--in", "1", "--out", "1"), "--out must be later than --in"),
        (("--in", "x", "--out", "1"), "x is no time; say it like"),
        (("--in", "1"), "say where the piece begins and ends"),
        (("--frame", "1", "--exact"), "--frame is one frame"),
        (("--frame", "1", "-o", "/"), "/ is there already"),
        (("--frame", "1", "-o", "/nowhere/frame.jpg"), "/nowhere is no folder"),
        (("--in", "1:61", "--out", "3"), "1:61 is no time; say it like 00:01:12.500"),
        (("--in", "1.5", "--out", "1"), "you said --in 00:00:01.500 and --out 00:00:01.000"),
    ],
)
def test_the_command_says_what_is_wrong(dam: Daemon, words: tuple[str, ...], said: str) -> None:
    done = damfs("clip", dam / "originals/Reel/clip.mp4", *words, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_works_without_a_daemon(serve: Serve, tmp_path: Path) -> None:
    clip = h264(tmp_path / "Reel/clip.mp4", size=SIZE, options=GOP)
    dam = serve(settings=NO_PROXIES).start()
    dam.add(clip.parent)
    dam.idle()
    dam.end()
    piece = tmp_path / "piece.mov"
    damfs("clip", clip, "--in", "0", "--out", "0.4", "-o", piece, "--library", dam.library)
    assert frames(piece) == 10


def test_a_clip_that_nobody_looked_at_says_what_to_do(tmp_path: Path) -> None:
    clip, library = h264(tmp_path / "Reel/clip.mp4", size=SIZE, seconds=0.4), new_library(tmp_path / "library")
    damfs("add", library, clip.parent)
    done = damfs("clip", clip, "--in", "0", "--out", "0.2", "--library", library, check=False)
    said = (
        f"clip.mp4 was not looked at yet, which happens while its library is mounted: damfs mount {library} MOUNTPOINT"
    )
    assert (done.returncode, done.stderr) == (1, f"damfs: {said}\n")


def test_a_clip_that_does_not_play_says_why_it_is_not_cut(dam: Daemon) -> None:
    done = damfs("clip", dam / "originals/Reel/broken.mov", "--in", "0", "--out", "0.2", check=False)
    assert done.stderr.startswith("damfs: broken.mov cannot be cut; broken.mov: not playable: ")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


def test_a_watcher_hears_of_a_piece_that_is_made(dam: Daemon, tmp_path: Path) -> None:
    folder = dam / "clips/clip.mp4"
    (folder / "00-00-00.000_00-00-00.400.mov").stat()
    assert "00-00-00.800_00-00-01.600.mov" not in os.listdir(folder)
    (folder / "00-00-00.800_00-00-01.600.mov").stat()
    until(lambda: "00-00-00.800_00-00-01.600.mov" in os.listdir(folder), "the listing shows it")


def test_a_limit_removes_what_was_unused_longest_but_nothing_that_is_open(serve: Serve, tmp_path: Path) -> None:
    """Uncompressed pieces of 1.7 MB each, and room for two of them."""
    raw = Clip(codec="rawvideo", pixel_format="uyvy422", size=SIZE, seconds=2, tracks=())
    write(tmp_path / "Raw/raw.mov", raw)
    dam = serve(settings=NO_PROXIES + "[clips]\nlimit_mb = 4\n").start()
    dam.add(tmp_path / "Raw")
    dam.idle()
    folder = dam / "clips/raw.mov"
    first, second, third, fourth = (folder / f"00-00-00.{n}00_00-00-00.{n + 6}00.mov" for n in (0, 1, 2, 3))
    with first.open("rb") as held:
        second.stat()
        third.stat()
        until(lambda: len(os.listdir(folder)) == 2, "room was made")
        assert set(os.listdir(folder)) == {first.name, third.name}
        assert len(held.read()) == os.fstat(held.fileno()).st_size
    fourth.stat()
    until(lambda: set(os.listdir(folder)) == {third.name, fourth.name}, "what was closed goes as well")
    assert len(second.read_bytes()) == second.stat().st_size > 1_700_000, "made anew"

    def is_tidy() -> bool:
        files = {path.name for path in (dam.library / "state/renditions").rglob("*-clip-*")}
        return len(files) == len(rows(dam.library, "SELECT 1 FROM rendition WHERE kind = 'clip'")) <= 2

    until(is_tidy, "room was made once more, on the disk as well")


def test_a_clip_that_is_gone_is_one_line_without_a_daemon(serve: Serve, tmp_path: Path) -> None:
    dam = serve().start()
    run("cp", h264(tmp_path / "clip.mov", seconds=1.0), dam / "inbox")
    dam.idle()
    dam.end()
    for path in (dam.library / "originals").rglob("clip.mov"):
        path.unlink()
    done = damfs("clip", "clip.mov", "--library", dam.library, "--in", "0", "--out", "0.5", check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_piece_that_is_removed_is_gone_and_made_again_when_it_is_asked_for(dam: Daemon) -> None:
    folder = dam / "clips/clip.mp4"
    piece = folder / "00-00-00.120_00-00-00.720_exact.mov"
    content = piece.read_bytes()
    with piece.open("rb") as held:
        run("rm", piece)
        assert piece.name not in os.listdir(folder)
        assert held.read() == content, "who reads it reads on"
    files = {path.name for path in (dam.library / "state/renditions").rglob("*-clip-*")}
    assert not any("00-00-00.120_00-00-00.720_exact" in name for name in files)
    before = made(dam)
    assert frames(piece) == 15
    assert made(dam) == before + 1
    assert os.getxattr(piece, "user.damfs.method") == b"smart"
    assert os.getxattr(piece, "user.damfs.encoded_frames") == b"7"
    assert run("rmdir", folder, check=False).returncode != 0, "it holds pieces"
    run("rm", "-r", folder)
    assert "clip.mp4" not in os.listdir(dam / "clips")
    assert frames(piece) == 15


def test_a_file_manager_and_cp_get_a_whole_piece_at_first_sight(dam: Daemon, tmp_path: Path) -> None:
    """The first thing that touches the name is stat: what it tells is the size of the whole piece."""
    name = "00-00-00.440_00-00-01.640_exact.mov"
    run("cp", dam / "clips/clip.mp4" / name, tmp_path)
    assert frames(tmp_path / name) == 30
    told = run("stat", "-c", "%s %F", dam / "frames/clip.mp4/00-00-01.000.jpg").stdout.split(" ", 1)
    assert int(told[0]) > 1000
    assert told[1] == "regular file\n"
    other = dam / "clips/clip.mp4/00-00-00.520_00-00-01.640_exact.mov"
    probe = run("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-of", "csv=p=0",
                "-show_entries", "stream=nb_read_frames", other)  # fmt: skip
    assert probe.stdout.strip() == "28"


def test_a_piece_that_cannot_be_made_is_an_error_and_a_text_beside_it(serve: Serve, tmp_path: Path) -> None:
    """The clip is damaged after it was looked at, and no scan sees that it is another."""
    clip = h264(tmp_path / "Reel/clip.mp4", size=SIZE, options=GOP)
    dam = serve(settings=NO_PROXIES + "[indexer]\nwatch = false\n").start()
    dam.add(clip.parent)
    dam.idle()
    clip.write_bytes(b"no clip any more, though it is called one" * (clip.stat().st_size // 41))
    folder = dam / "clips/clip.mp4"
    piece = folder / "00-00-00.000_00-00-00.400.mov"
    assert refused(piece) == errno.EIO
    why = folder / f"{piece.name}.txt"
    assert why.name in os.listdir(folder)
    assert f"{piece.name} could not be made: " in why.read_text()
    assert len(why.read_bytes()) == why.stat().st_size


@pytest.fixture(scope="module")
def written_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    old = Clip(codec="mpeg4", options={"g": "300"}, size=(960, 540), seconds=12, source="mandelbrot", tracks=())
    return write(tmp_path_factory.mktemp("old") / "old.mp4", old)


@pytest.fixture
def long_clip(tmp_path: Path, written_once: Path) -> Path:
    """In a codec that nothing continues: all of an exact piece has to be encoded, which takes a while."""
    (tmp_path / "Old").mkdir()
    (tmp_path / "Old/old.mp4").hardlink_to(written_once)
    return tmp_path / "Old/old.mp4"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "alone"])
def test_a_command_that_is_interrupted_leaves_nothing_behind(
    serve: Serve, tmp_path: Path, long_clip: Path, mounted: bool, number: signal.Signals
) -> None:
    dam = serve(settings=NO_PROXIES).start()
    dam.add(long_clip.parent)
    dam.idle()
    path: Path = dam / "originals/Old/old.mp4"
    if not mounted:
        dam.end()
        path = long_clip
    piece, work = tmp_path / "piece.mov", dam.library / "state/work"
    words = ("clip", path, "--in", "0.2", "--out", "11.8", "--exact", "-o", piece, "--library", dam.library)
    with begun(*words) as process:
        until(lambda: any(work.glob("cut-*/progress")) or process.poll() is not None, "it is begun", 100)
        below = descendants(dam.pid if mounted else process.pid)
        workers = [each for each in below if has_open(each, "old.mp4")]
        process.send_signal(number)
        out, said = process.communicate(timeout=180)
    assert (process.returncode, out) == (128 + number, ""), said
    assert said.splitlines()[-1] == "interrupted; nothing was left behind"
    assert "Traceback" not in said
    assert len(workers) == 1
    await_end(workers[0])
    until(lambda: not work.exists() or not any(work.iterdir()), "the work is cleared away")
    assert os.listdir(tmp_path / "Old") == ["old.mp4"]
    assert not [each for each in os.listdir(tmp_path) if "piece" in each]
    assert rows(dam.library, "SELECT 1 FROM rendition WHERE kind = 'clip'") == []
    if number == signal.SIGINT:
        damfs(*words)
        assert frames(piece) == 290, "the same command, run again, finishes"


def test_a_piece_that_takes_too_long_says_which_limit_it_met(serve: Serve, tmp_path: Path, long_clip: Path) -> None:
    dam = serve(settings=NO_PROXIES + "[clips]\ntime_limit_s = 1\n").start()
    dam.add(long_clip.parent)
    dam.idle()
    done = damfs("clip", dam / "originals/Old/old.mp4", "--in", "0.2", "--out", "11.8", "--exact", check=False)
    assert done.returncode == 1
    assert "took longer than 1 s (clips.time_limit_s in damfs.toml) and was stopped" in done.stderr
