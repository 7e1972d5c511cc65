"""A desktop of its own for a test: an X server without a screen, a session bus, a home directory; file managers in it.

Blocks. Everything that was started, also by the session bus, is ended when the session is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageGrab

from tests.mount.daemon_process import LIMIT_S, await_end

OUTPUT = Path(__file__).parent.parent.parent / "test-output"
"""Pictures are kept here, to be looked at; git ignores it."""
MARK = "DAMFS_TEST_DESKTOP"
SIZE = (1000, 700)
END_LIMIT_S = 90.0
WINDOW = """\
<?xml version="1.0" encoding="UTF-8"?>
<channel name="thunar" version="1.0">
  <property name="last-window-width" type="int" value="960"/>
  <property name="last-window-height" type="int" value="660"/>
  <property name="last-icon-view-zoom-level" type="string" value="THUNAR_ZOOM_LEVEL_200_PERCENT"/>
</channel>
"""
"""How large Thunar shows itself and its icons; what it does about thumbnails is as it comes."""


@dataclass(slots=True)
class Desktop:
    display: str
    environment: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def thunar(self, directory: Path) -> None:
        """A window; the first starts the program."""
        command = ["thunar", str(directory)]
        self.started.append(subprocess.Popen(command, env=self.environment, stderr=subprocess.DEVNULL))

    def gio(self, *words: str) -> str:
        """What it printed."""
        command = ["gio", *words]
        done = subprocess.run(
            command, env=self.environment, check=True, timeout=END_LIMIT_S, stdout=subprocess.PIPE, text=True
        )
        return done.stdout

    def click(self, x: int, y: int) -> None:
        self._do("mousemove", str(x), str(y), "click", "1")

    def press(self, key: str) -> None:
        """As X calls it, in the window that has the focus."""
        self._do("key", key)

    def _do(self, *words: str) -> None:
        subprocess.run(["xdotool", *words], env=self.environment, check=True, timeout=END_LIMIT_S)

    def screen(self) -> Image.Image:
        return ImageGrab.grab(xdisplay=self.display)

    def keep(self, name: str) -> Path:
        """A picture of the screen as test output."""
        OUTPUT.mkdir(exist_ok=True)
        path = OUTPUT / f"{name}.png"
        self.screen().save(path)
        return path


@contextmanager
def desktop(home: Path) -> Iterator[Desktop]:
    """``home``: a directory that is made."""
    mark = uuid.uuid4().hex
    environment = {**os.environ, **_home(home), MARK: mark}
    started: list[subprocess.Popen[bytes]] = []
    try:
        server, display = _x_server(environment)
        started.append(server)
        environment["DISPLAY"] = display
        bus, address = _session_bus(environment)
        started.append(bus)
        environment["DBUS_SESSION_BUS_ADDRESS"] = address
        yield Desktop(display, environment, started)
    finally:
        _end_all(mark)
        for process in started:
            process.wait(END_LIMIT_S)


def _home(home: Path) -> dict[str, str]:
    settings = home / ".config/xfce4/xfconf/xfce-perchannel-xml"
    settings.mkdir(parents=True)
    (settings / "thunar.xml").write_text(WINDOW)
    (home / "run").mkdir(mode=0o700)
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "LC_ALL": "C.UTF-8",
        "NO_AT_BRIDGE": "1",
        "GIO_USE_VOLUME_MONITOR": "unix",  # nobody asks for the disks of this machine
    }


def _x_server(environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    """It says itself which display it took, when it is ready; it does not begin anew when its last client leaves."""
    read_end, write_end = os.pipe()
    screen = ["-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24"]
    command = ["Xvfb", "-displayfd", str(write_end), *screen, "-nolisten", "tcp", "-noreset"]
    server = subprocess.Popen(command, pass_fds=(write_end,), env=environment, stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        number = pipe.readline().strip()
    assert number, "the X server did not start"
    return server, f":{number}"


def _session_bus(environment: dict[str, str]) -> tuple[subprocess.Popen[bytes], str]:
    command = ["dbus-daemon", "--session", "--nofork", "--print-address=1"]
    bus = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert bus.stdout is not None
    with bus.stdout as pipe:
        address = pipe.readline().decode().strip()
    assert address, "the session bus did not start"
    return bus, address


def _end_all(mark: str) -> None:
    """What carries the mark in its environment: services of the bus are children of nobody."""
    for number, limit_s in ((signal.SIGTERM, 3.0), (signal.SIGKILL, LIMIT_S)):
        for pid in _marked(mark):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            with suppress(AssertionError):
                await_end(pid, limit_s)
    assert _marked(mark) == []


def _marked(mark: str) -> list[int]:
    wanted, found = f"{MARK}={mark}".encode(), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
