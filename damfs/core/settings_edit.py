"""Changes one setting in damfs.toml and leaves everything else in it, comments too, as it is.

Blocks. Crash rule: the file is replaced as a whole, durably, or stays as it was.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from damfs.errors import BadSettings
from damfs.settings import SETTINGS_FILE, Settings, parse_settings, read_settings


def choose_model_in_settings(library: Path, name: str) -> Settings:
    """The settings with another model.name. Raises BadSettings when they cannot be used or written."""
    read_settings(library)
    path = library / SETTINGS_FILE
    text = with_text_setting(path.read_text(encoding="utf-8"), "model", "name", name)
    settings = parse_settings(text, str(path))
    if settings.model.name != name:
        raise BadSettings(f"{path} has an unusual form; set model.name in it by hand, then: damfs model status")
    try:
        _replace(path, text)
    except OSError as error:
        raise BadSettings(f"{path} cannot be written: {error.strerror}; check its permissions and the disk") from None
    return settings


def with_text_setting(text: str, table: str, key: str, value: str) -> str:
    line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
    lines = text.splitlines()
    begin = next((number for number, each in enumerate(lines) if each.strip() == f"[{table}]"), None)
    if begin is None:
        return "\n".join([*lines, "", f"[{table}]", line, ""])
    end = next((number for number in range(begin + 1, len(lines)) if lines[number].startswith("[")), len(lines))
    for pattern in (rf"\s*{key}\s*=", rf"#\s*{key}\s*="):
        for number in range(begin + 1, end):
            if re.match(pattern, lines[number]):
                commented = lines[number].startswith("#")
                return "\n".join([*lines[: number + commented], line, *lines[number + 1 :], ""])
    return "\n".join([*lines[: begin + 1], line, *lines[begin + 1 :], ""])


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(path.stat().st_mode & 0o777)
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
