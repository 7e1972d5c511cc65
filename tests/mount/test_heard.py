"""What a plug-in of another distribution hears or reads in a clip is found by its words, and the answer says so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.daemon_process import QUICK, damfs, run
from tests.sample_media import h264

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

PLUGIN = """
from damfs.core.processors.processor import Output, Processor
from damfs.model import Media


class Heard(Processor):
    name = "heard"
    version = 1
    needs = frozenset({"probe"})

    def accepts(self, subject):
        return subject.media is Media.VIDEO

    def run(self, source, out, subject):
        if subject.name.startswith("sign"):
            return Output(facts={"text": "No swimming beyond the buoys"})
        lines = ("good evening", "the lighthouse keeper tells of the storm")
        return Output(facts={"text": [{"at_ns": at * 10**9, "text": line} for at, line in enumerate(lines)]})
"""
HALF = "[proxy]\nenabled = false\n[metadata]\nexiftool = false\n[previews]\nsprites = false\nsheets = false\n"


def installed(directory: Path) -> Path:
    """As pip leaves a distribution with an entry point."""
    told = directory / "heard-1.dist-info"
    told.mkdir(parents=True)
    (directory / "heard.py").write_text(PLUGIN)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: heard\nVersion: 1\n")
    (told / "entry_points.txt").write_text("[damfs.processors]\nheard = heard:Heard\n")
    return directory


def test_what_is_heard_and_read_is_found_with_the_reason(serve: Serve, tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(installed(tmp_path / "site")), os.environ.get("PYTHONPATH")]))
    dam = serve(settings=QUICK + HALF, environment={"PYTHONPATH": path}).start()
    for name, source in (("interview.mp4", "testsrc2"), ("sign.mp4", "beach")):
        h264(tmp_path / name, source=source, seconds=1.0, size=(160, 90))
        run("cp", tmp_path / name, dam / "inbox")
    assert dam.idle().processors["heard"] == "ready"
    for words, name in (
        ("lighthouse keeper", "interview.mp4"),
        ("swimming", "sign.mp4"),
        ("text:storm", "interview.mp4"),
    ):
        found = os.listdir(dam / "search" / words)
        assert [each.split(" ")[-1] for each in found] == [name]
        answer = json.loads(damfs("search", dam.library, words, "--json").stdout)
        assert [row["name"] for row in answer["rows"]] == [name]
        assert answer["spaces"] == []
    assert os.listdir(dam / "search/lighthouse")
    why = os.getxattr(dam / "search/lighthouse/01 interview.mp4", "user.damfs.why").decode()
    assert why == "lighthouse: text: transcript"
