"""Encoders and decoders of graphics cards: proven by what they do, passed over file by file. There is no card here: the
proofs of real ones fail, and encoders in software are declared as if they were a card's."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from damfs.core.processors import apart, hardware, media, proxy
from damfs.core.processors.processor import MadeRendition, Output, Subject
from damfs.core.processors.profiles import PROFILES, Encoder
from damfs.core.processors.proxy import Proxy
from damfs.errors import BadSettings
from damfs.model import Facts, Media
from damfs.settings import parse_settings
from tests import sample_media
from tests.mount.daemon_process import state_of, until
from tests.unit import faulty_encoders
from tests.unit.test_proxy import frame_times

SOFTWARE = Encoder("mpeg4", "yuv420p", {"g": "1"})
AS_IF = Encoder("libx264", "yuv420p", {"preset": "ultrafast", "crf": "30"}, hardware=True)
LYING = Encoder("libx264", "yuv420p", {"preset": "ultrafast", "x264-params": "bff=1"}, hardware=True)
"""It writes pictures as fields."""
PROFILE = replace(PROFILES["h264-intra"], encoders=(AS_IF, SOFTWARE))
FRAMES = 10


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Device files are there; what works is for the proofs to find out."""
    monkeypatch.setattr(hardware, "has_device", lambda: True)
    caches = hardware.proven, hardware.device_for
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return sample_media.h264(tmp_path / "a.mov", size=(320, 180), seconds=FRAMES / 25, options={"preset": "ultrafast"})


def made(
    clip: Path, monkeypatch: pytest.MonkeyPatch, profile: object = PROFILE, settings: Facts | None = None
) -> Facts:
    """The report of a proxy that was made, and published by the gate."""
    monkeypatch.setitem(PROFILES, "h264-intra", profile)
    told = {"profile": "h264-intra", "needless": True, **(settings or {})}
    output: Output = Proxy().run(clip, clip.parent, Subject(clip.name, Media.VIDEO, 1, settings=told))
    (rendition,) = output.renditions
    assert isinstance(rendition, MadeRendition)
    assert len(frame_times(rendition.path)) == FRAMES
    return rendition.detail


def test_one_that_works_is_used(card: None, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detail = made(clip, monkeypatch)
    assert detail["encoder"] == "libx264"
    assert "passed_over" not in detail


def test_the_setting_turns_it_off(card: None, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("off", False):
        assert made(clip, monkeypatch, settings={"hardware": value})["encoder"] == "mpeg4"


@pytest.mark.parametrize(
    ("attempt", "stalled_s", "why"),
    [
        (faulty_encoders.dies, 60.0, "it crashed (SIGKILL)"),
        (faulty_encoders.hangs, 1.0, "it stood still for 1 s"),
        (faulty_encoders.drops, 60.0, f"{FRAMES} came out of the decoder, {FRAMES - 1} are written"),
    ],
    ids=["dies", "hangs", "drops a frame"],
)
def test_one_that_fails_in_the_middle_of_a_file_is_passed_over(
    card: None,
    clip: Path,
    monkeypatch: pytest.MonkeyPatch,
    attempt: Callable[..., object],
    stalled_s: float,
    why: str,
) -> None:
    """On a loaded machine any process stands still for a second, so that only one that hangs has no more."""
    monkeypatch.setattr(proxy, "ATTEMPT", attempt)
    monkeypatch.setattr(proxy, "STALLED_S", stalled_s)
    detail = made(clip, monkeypatch)
    assert detail["encoder"] == "mpeg4"
    assert str(detail["passed_over"]).startswith("libx264: ")
    assert why in str(detail["passed_over"])


def test_one_whose_result_the_gate_refuses_is_passed_over(
    card: None, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detail = made(clip, monkeypatch, replace(PROFILE, encoders=(LYING, SOFTWARE)))
    assert detail["encoder"] == "mpeg4"
    assert "field_order would be" in str(detail["passed_over"])


def test_a_decoder_that_fails_for_a_file_is_passed_over(
    card: None, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claimed to be proven: it is asked for, fails, and software does it."""
    monkeypatch.setattr(hardware, "device_for", lambda codec: "cuda" if codec == "h264" else "")
    detail = made(clip, monkeypatch, replace(PROFILE, encoders=(SOFTWARE,)))
    assert detail["encoder"] == "mpeg4"
    assert str(detail["passed_over"]).startswith("cuda decoding and mpeg4: ")
    assert "not playable" not in str(detail["passed_over"])
    assert "decoder" not in detail


def test_a_proof_that_fails_here_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    """What `damfs doctor` reads."""
    hardware.tell()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"h264_nvenc", "h264_qsv"} <= {each["name"] for each in told if each["kind"] == "encoder"}
    assert {"h264", "hevc"} <= {each["what"] for each in told if each["kind"] == "decoder"}
    for proof in told:
        assert "needs an" in proof["why"], f"{proof}: this machine has a card: these tests say nothing of it"


def test_what_cannot_be_proven_is_not_used(card: None) -> None:
    assert hardware.way(PROFILES["h264"], "h264") is None
    assert hardware.why_not_encode("no_such_encoder", "yuv420p")


def test_a_proof_compares_what_came_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hardware.prove_encoder("libx264", "yuv420p")
    path = tmp_path / "a.mp4"
    hardware.encode_sample(path, "libx264", "yuv420p", {})
    monkeypatch.setattr(hardware, "GREY", 200)
    with media.opened(path, "a.mp4") as container, pytest.raises(RuntimeError, match="not those that were encoded"):
        hardware.check_sample(container)


def test_without_device_files_nothing_is_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    hardware.proven.cache_clear()
    monkeypatch.setattr(hardware, "has_device", lambda: False)
    monkeypatch.setattr(apart, "call", lambda *_, **__: pytest.fail("a process was started"))
    assert hardware.way(PROFILES["h264"], "h264") is None
    hardware.proven.cache_clear()


def stay(pid_file: str) -> None:
    Path(pid_file).write_text(str(os.getpid()), encoding="ascii")
    threading.Event().wait()


PARENT = """
import sys
from damfs.core.processors import apart
from tests.unit.test_hardware import stay
apart.call(stay, sys.argv[1], stalled_s=600)
"""


def test_it_ends_with_the_worker_that_started_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", PARENT, str(pid_file)], env=env) as parent:
        until(lambda: pid_file.exists() and pid_file.read_text(encoding="ascii") != "", "it runs")
        child = int(pid_file.read_text(encoding="ascii"))
        parent.kill()
    until(lambda: state_of(child) in "ZX", "it ended")


def limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_AS)[0], resource.getrlimit(resource.RLIMIT_DATA)[0]


def limited(megabytes: int) -> tuple[int, int]:
    """Of a child of a worker with that limit."""
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return apart.call(limits, stalled_s=120)


def test_drivers_may_reserve_addresses_and_use_no_more_memory() -> None:
    addresses, used = apart.call(limited, 3072, stalled_s=120)
    assert (addresses, used) == (resource.getrlimit(resource.RLIMIT_AS)[1], 3072 << 20)


def test_the_setting_is_auto_or_off_or_as_it_was() -> None:
    for text, value in (('"auto"', "auto"), ('"off"', "off"), ("false", False)):
        assert parse_settings(f"[proxy]\nhardware = {text}\n", "x").proxy.hardware == value
    with pytest.raises(BadSettings, match="hardware"):
        parse_settings('[proxy]\nhardware = "cuda"\n', "x")
