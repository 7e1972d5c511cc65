"""What a library says of its models. Scans: for a reader thread."""

from __future__ import annotations

from dataclasses import replace

from damfs.catalog import spaces
from damfs.catalog.database import Connection
from damfs.catalog.spaces import Space
from damfs.core.model_choice import BUILT_IN, WORDS, choose_model
from damfs.core.model_health import ModelHealth
from damfs.core.model_progress import progress_of
from damfs.core.model_report import ModelStatus, SpaceStatus, progress_words

ANSWERS, IS_MADE, IS_KEPT = "answers", "is made", "is kept"


def model_status(connection: Connection, wanted: str, health: ModelHealth, per_second: float) -> ModelStatus:
    progress, answering = progress_of(connection), spaces.answering(connection)
    kept = [_space(connection, each, answering, wanted) for each in spaces.list_spaces(connection)]
    answers = "" if answering is None else answering.name
    bare = ModelStatus(
        wanted,
        answers,
        "",
        health.trouble,
        progress.done,
        progress.steps,
        per_second,
        notice=health.notice,
        spaces=kept,
    )
    return replace(bare, words=_words(bare))


def _space(connection: Connection, each: Space, answering: Space | None, wanted: str) -> SpaceStatus:
    comes = spaces.named(connection, wanted)
    state = IS_KEPT
    if answering is not None and each.id == answering.id:
        state = ANSWERS
    elif comes is not None and each.id == comes.id:
        state = IS_MADE
    return SpaceStatus(each.id, each.name, state, spaces.list_count(connection, each.models), dict(each.dimensions))


def _words(status: ModelStatus) -> str:
    """One line: what answers, and what a person should know or do."""
    choice = choose_model(status.wanted)
    now = WORDS.get(status.answers, status.answers) or BUILT_IN
    if status.trouble:
        return f"{now} answers, for {status.wanted} cannot be used: {status.trouble}"
    if status.notice:
        return f"{now} answers, {status.wanted} {status.notice}"
    if choice.name != status.wanted or not status.answers:
        return choice.words  # not installed, switched off, or nothing is embedded yet
    if status.answers != status.wanted:
        return f"{now} answers, {status.wanted} is made: {progress_words(status)}"
    return now
