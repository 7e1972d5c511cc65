"""A field is declared, not coded: one row brings its directories, its queries, a line in `damfs info`, and news."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_a_row_more_is_a_view_a_query_and_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.service.declared_field", str(tmp_path / "library")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["view"] == "by-operator"
    assert shown["folders"] == ["Ada Lovelace", "Jules"]
    assert shown["files"] == shown["found"] == ["a.mov", "b.mov"]
    assert shown["told"] == "Jules"
    assert set(shown["touched"]) & set(shown["touches"]), "a new file with this value is told in its directory"
