"""A person's models through a real daemon and a real worker: one that is gone, one that works, and a change of mind."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import Daemon, damfs, run, until
from tests.sample_media import h264, jpeg
from tests.sample_media.models import tiny_clip

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

needs_models = pytest.mark.skipif(
    os.environ.get("DAMFS_NO_MODELS") == "1", reason="installed without models (./bootstrap --no-models)"
)
REST = "threads = 1\n[proxy]\nenabled = false\n[auto_tag]\nenabled = false\n"
LIMIT_S = 110.0


def model_status(dam: Daemon) -> dict[str, object]:
    answer = json.loads(damfs("model", "status", dam.library, "--json", check=False).stdout)
    assert isinstance(answer, dict)
    return answer


def states(dam: Daemon, by: str = "name") -> dict[str, str]:
    return {each[by]: each["state"] for each in json.loads(damfs("model", "list", dam.library, "--json").stdout)}


@needs_models
@pytest.mark.timeout(400)
def test_a_model_that_is_gone_then_one_that_works_then_another(serve: Serve, tmp_path: Path) -> None:
    one, other = (tiny_clip(tmp_path / f"clip-{size}", dimension=size) for size in (32, 48))
    dam = serve(settings=f'[model]\nname = "{tmp_path}/gone"\n{REST}').start()
    for scene in ("beach", "city", "flowers"):
        jpeg(tmp_path / f"{scene}.jpg", scene=scene, size=(320, 240))
        run("cp", tmp_path / f"{scene}.jpg", dam / "inbox")
    h264(tmp_path / "take.mp4", seconds=1.0, size=(320, 180))
    run("cp", tmp_path / "take.mp4", dam / "inbox")

    until(lambda: bool(model_status(dam)["trouble"]), "the trouble is known", LIMIT_S)
    status = dam.idle(LIMIT_S)
    assert "the built-in visual descriptor answers" in status.model
    assert "there is no directory" in status.model
    assert (status.failures, status.to_do) == ([], 0), "one line, not a failed job for each file"
    assert len(os.listdir(dam / "similar-to/beach.jpg")) == 3
    assert damfs("model", "status", dam.library, check=False).returncode == 1

    refused = damfs("model", "use", dam.library, str(tmp_path / "nowhere"), check=False)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("damfs: model.name: there is no directory")
    assert model_status(dam)["wanted"] == f"{tmp_path}/gone", "what does not work changes nothing"

    damfs("model", "use", dam.library, str(one), "--wait", limit_s=LIMIT_S)
    found = model_status(dam)
    assert (found["answers"], found["trouble"]) == (str(one), "")
    assert f'name = "{one}"' in (dam.library / "damfs.toml").read_text()
    assert len(os.listdir(dam / "similar-to/beach.jpg")) == 3

    damfs("model", "use", dam.library, str(other), "--wait", limit_s=LIMIT_S)
    assert states(dam) == {str(one): "is kept", str(other): "answers"}
    in_use = damfs("model", "drop", dam.library, str(other), check=False)
    assert "in use" in in_use.stderr
    dropped = json.loads(damfs("model", "drop", dam.library, str(one), "--json").stdout)
    assert dropped["vectors"] >= 8, "pictures, moments, words"
    assert states(dam) == {str(other): "answers"}
    assert len(os.listdir(dam / "similar-to/beach.jpg")) == 3
    check_consistent(dam)
