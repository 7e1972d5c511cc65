"""Programs that are killed in the middle of a question: the daemon goes on for everybody and everything else."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from damfs.presentation.fuse import native
from tests.mount.conftest import Serve

ROUNDS = 60
PROGRAMS = 6
ANSWER_LIMIT_S = 90.0


def ask_without_end(directory: Path) -> None:
    for number in count():
        with suppress(FileNotFoundError):
            os.stat(directory / f"{os.getpid()}-{number}")


@pytest.mark.parametrize("switch", ["on", native.OFF])
def test_what_is_taken_back_keeps_nobody_waiting(serve: Serve, switch: str) -> None:
    """Their last questions vanish just when they are about to be read. The daemon is asked by its socket then: another
    question to the mount would set it going again."""
    dam = serve(environment={native.SWITCH: switch}).start()
    dice, fork = random.Random(7), multiprocessing.get_context("fork")
    for number in range(ROUNDS):
        programs = [fork.Process(target=ask_without_end, args=(dam / "by-tag",)) for _ in range(PROGRAMS)]
        for each in programs:
            each.start()
        threading.Event().wait(dice.uniform(0, 0.02))
        for each in programs:
            each.kill()
        for each in programs:
            each.join()
        asking = fork.Process(target=dam.status)
        asking.start()
        asking.join(ANSWER_LIMIT_S)
        code = asking.exitcode
        asking.kill()
        assert code == 0, f"no answer in round {number}"
