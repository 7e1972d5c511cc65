"""The daemon's words to systemd, read from a real datagram socket as systemd would."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon import sd_notify


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        yield listener


def heard(listener: socket.socket) -> list[str]:
    return listener.recv(4096).decode().split("\n")


def test_ready_with_a_status(systemd: socket.socket) -> None:
    sd_notify.ready("12 assets at /srv/damfs/one")
    assert heard(systemd) == ["READY=1", "STATUS=12 assets at /srv/damfs/one"]


def test_each_word_is_one_datagram(systemd: socket.socket) -> None:
    sd_notify.ready()
    sd_notify.status("scanning")
    sd_notify.alive()
    sd_notify.stopping("saving")
    assert [heard(systemd) for _ in range(4)] == [
        ["READY=1"],
        ["STATUS=scanning"],
        ["WATCHDOG=1"],
        ["STOPPING=1", "STATUS=saving"],
    ]


def test_reloading_carries_the_time_systemd_wants(systemd: socket.socket) -> None:
    sd_notify.reloading()
    word, time = heard(systemd)
    assert word == "RELOADING=1"
    assert int(time.removeprefix("MONOTONIC_USEC=")) > 0


def test_a_status_cannot_smuggle_in_another_word(systemd: socket.socket) -> None:
    sd_notify.status("a file called\nREADY=1")
    assert heard(systemd) == ["STATUS=a file called READY=1"]


def test_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"damfs-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        sd_notify.alive()
        assert heard(listener) == ["WATCHDOG=1"]


@pytest.mark.parametrize("address", ["", "/nobody/listens/here", "vsock:2:1234"])
def test_without_a_listener_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    sd_notify.ready("anyone there?")


def test_a_full_queue_does_not_block(systemd: socket.socket) -> None:
    for number in range(2000):
        sd_notify.status(f"line {number}")
    assert heard(systemd) == ["STATUS=line 0"]


def test_signs_of_life_are_due_twice_in_the_time_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert sd_notify.watchdog_interval_s() == 15.0


@pytest.mark.parametrize(("allowed", "pid"), [("", ""), ("0", ""), ("soon", ""), ("30000000", "1")])
def test_no_watchdog(allowed: str, pid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", allowed)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert sd_notify.watchdog_interval_s() is None
