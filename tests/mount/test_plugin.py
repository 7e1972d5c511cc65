"""A processor of another distribution: found, planned, run, shown with its status; broken ones are harmless."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.mount.daemon_process import QUICK, damfs, rows
from tests.sample_media import jpeg

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

SOURCE = Path(__file__).parent.parent / "plugin"
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"
SUITE = "tests/contracts/test_processors.py"
NO_MODELS = QUICK + "[indexer]\nworkers = 1\nattempts = 2\n[proxy]\nenabled = false\n[metadata]\nexiftool = false\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder into which it was installed, built by its own pyproject.toml without any network."""
    directory = tmp_path_factory.mktemp("plugin")
    source, wheels, target = directory / "source", directory / "wheels", directory / "site"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    wheels.mkdir()
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(wheels)], cwd=source, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(wheels / built.stdout.split()[-1]) as wheel:
        wheel.extractall(target)
    return target


def environment(installed: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])}


def status(library: Path, installed: Path, *options: str) -> str:
    command = [sys.executable, "-c", "from damfs.integration.cli import main; main()", "status", str(library), *options]
    env = {**os.environ, **environment(installed)}
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=180).stdout


def test_it_works_beside_its_broken_siblings(serve: Serve, installed: Path, tmp_path: Path) -> None:
    unloadable = r"processor unfinished \(damfs_brightness.unfinished:Unfinished\) cannot be loaded"
    dam = serve(settings=NO_MODELS, announced=[unloadable, "Traceback"], environment=environment(installed)).start()
    shutil.copy(jpeg(tmp_path / "beach.jpg", size=(64, 48)), dam / "inbox/beach.jpg")
    shutil.copy(jpeg(tmp_path / "fragile.jpg", size=(64, 48), scene="city"), dam / "inbox/fragile.jpg")
    found = dam.idle()
    assert found.processors["brightness"] == found.processors["fragile"] == "ready"
    assert found.processors["unfinished"].startswith("cannot be loaded: ModuleNotFoundError")
    done = {count.processor: (count.done, count.failed) for count in found.jobs}
    assert (done["brightness"], done["fragile"], done["preview"]) == ((2, 0), (0, 1), (2, 0))
    (failure,) = found.failures
    assert (failure.processor, failure.name) == ("fragile", "fragile.jpg")
    assert "its worker" in failure.error
    facts = [
        json.loads(str(text)) for (text,) in rows(dam.library, "SELECT facts FROM fact WHERE processor = 'brightness'")
    ]
    assert all(0 < fact["mean"] < 1 for fact in facts)
    kinds = rows(dam.library, "SELECT kind, profile FROM rendition WHERE profile = 'brightness-swatch'")
    assert kinds == [("other", "brightness-swatch")] * 2
    shown = [status(dam.library, installed), (dam / ".damfs/status").read_text()]
    for text in shown:
        assert "jobs      brightness: 2 done" in text
        assert "processor unfinished: cannot be loaded: ModuleNotFoundError" in text
        assert "failed    fragile: fragile.jpg" in text
    assert json.loads(status(dam.library, installed, "--json"))["processors"]["brightness"] == "ready"
    assert (dam / "inbox/fragile.jpg").read_bytes() == (tmp_path / "fragile.jpg").read_bytes()


def test_what_it_reads_is_searched_for_in_any_script(serve: Serve, installed: Path, tmp_path: Path) -> None:
    unloadable = r"processor unfinished \(damfs_brightness.unfinished:Unfinished\) cannot be loaded"
    dam = serve(settings=NO_MODELS, announced=[unloadable, "Traceback"], environment=environment(installed)).start()
    plain = jpeg(tmp_path / "plain.jpg", size=(64, 48))
    for name, comment in (("a.jpg", "東京タワーの夜景"), ("b.jpg", "Ｓcene 42 prêt à tourner"), ("京都2024.jpg", "")):
        with Image.open(plain) as picture:
            picture.save(tmp_path / "made.jpg", comment=comment.encode())
        shutil.copy(tmp_path / "made.jpg", dam / "inbox" / name)
    dam.idle()
    found = {"タワー": ["01 a.jpg"], '"夜景"': ["01 a.jpg"], "scene pret": ["01 b.jpg"], "2024": ["01 京都2024.jpg"]}
    for query, names in {**found, "京都": ["01 京都2024.jpg"], "都京": []}.items():
        assert sorted(os.listdir(dam / "search" / query)) == names, query
    (row,) = json.loads(damfs("search", dam.library, "東京", "--json").stdout)["rows"]
    assert (row["name"], row["why"]) == ("a.jpg", "東京: text: transcript")


def test_the_contract_suite_runs_on_it(installed: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        "[brightness",
        "--no-header",
        SUITE,
    ]
    env = {**os.environ, **environment(installed)}
    root = SOURCE.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, env=env, check=False, timeout=180)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(done.stdout.rsplit(" passed", 1)[0].split()[-1]) >= 10, done.stdout[-500:]


def test_a_rendition_of_its_own_kind_that_gets_lost_is_made_again(
    serve: Serve, installed: Path, tmp_path: Path
) -> None:
    dam = serve(
        settings=NO_MODELS, announced=[r"processor unfinished", "Traceback"], environment=environment(installed)
    )
    dam.start()
    shutil.copy(jpeg(tmp_path / "beach.jpg", size=(64, 48)), dam / "inbox/beach.jpg")
    dam.idle()
    dam.end()
    (swatch,) = (dam.library / "state/renditions").rglob("*brightness-swatch*")
    swatch.unlink()
    dam.start()
    dam.idle()
    assert swatch.is_file()
    assert rows(dam.library, "SELECT kind FROM rendition WHERE profile = 'brightness-swatch'") == [("other",)]
