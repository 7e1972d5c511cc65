"""What the commands of the CLI share: common arguments, and how a help text ends. Pure."""

from __future__ import annotations

from pathlib import Path

import click

LIBRARY = click.argument("library", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")


def examples(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
