"""What the daemon tells systemd: ready, a line of status, still alive, reloading, stopping. Silent without systemd.

Each call sends one datagram and does not block; systemd gone or deaf is not the daemon's trouble, so errors are
logged once at debug level and otherwise ignored. Reads the environment at each call, so a test can set it.
"""

from __future__ import annotations

import logging
import os
import socket
import time

log = logging.getLogger(__name__)


def ready(status: str = "") -> None:
    """The mount answers: units ordered after this one may start."""
    _send("READY=1", *_status(status))


def status(text: str) -> None:
    """One line for ``systemctl status``."""
    _send(*_status(text))


def reloading() -> None:
    """Settings are being read again; ``ready`` ends it."""
    _send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")


def stopping(status: str = "") -> None:
    _send("STOPPING=1", *_status(status))


def alive() -> None:
    """To be sent from the event loop, at least every ``watchdog_interval_s``: a loop that hangs is restarted."""
    _send("WATCHDOG=1")


def watchdog_interval_s() -> float | None:
    """Seconds between two signs of life, half of what the unit allows; None when systemd does not watch us."""
    try:
        allowed_us = int(os.environ.get("WATCHDOG_USEC", ""))
        watched = int(os.environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    if allowed_us <= 0 or watched != os.getpid():
        return None
    return allowed_us / 2_000_000


def _status(text: str) -> list[str]:
    return [f"STATUS={' '.join(text.split())}"] if text else []


def _send(*lines: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not lines or not address.startswith(("/", "@")):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
            sender.sendto("\n".join(lines).encode(), address)
    except OSError as error:
        log.debug("systemd was not told %r: %s", lines, error)
