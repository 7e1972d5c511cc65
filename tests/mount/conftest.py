"""Fixtures of the mount tests: a library, a daemon that serves it, files to put in. A daemon is ended and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, new_library

Serve = Callable[..., Daemon]


@contextmanager
def serving(directory: Path) -> Iterator[Serve]:
    """A function that makes a daemon in ``directory``; each it made is ended, checked and cleaned up after."""
    made: list[Daemon] = []

    def serve(library: Path | None = None, *, settings: str | None = None, **more: object) -> Daemon:
        if library is None:
            path = directory / f"library-{len(made)}"
            library = new_library(path) if settings is None else new_library(path, settings)
        mountpoint = directory / f"dam-{len(made)}"
        mountpoint.mkdir()
        daemon = Daemon(library, mountpoint, **more)  # type: ignore[arg-type]  # the caller's keywords are Daemon's
        made.append(daemon)
        return daemon

    try:
        yield serve
        for daemon in made:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.end()
    finally:
        for daemon in made:
            daemon.wreck()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Makes daemons that are not started yet."""
    with serving(tmp_path) as make:
        yield make


@pytest.fixture
def dam(serve: Serve) -> Daemon:
    """A fresh library, mounted."""
    return serve().start()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One mounted library for a module: tests use names of their own in it."""
    with serving(tmp_path_factory.mktemp("shared")) as make:
        yield make().start()
