"""Processors are found by entry point; a broken one is a status, never a failure to start."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from damfs.core.processor_registry import GROUP, ProcessorRef, ProcessorRegistry
from damfs.core.processors.processor import Output, Processor, Subject, Worker


class First(Processor):
    name = "first"
    version = 3

    def accepts(self, subject: Subject) -> bool:
        return True

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output()


class Second(First):
    name = "second"
    needs = frozenset({"first"})
    worker = Worker.MODEL
    timeout_s = 5.0


class Third(First):
    name = "third"
    needs = frozenset({"second", "absent"})


class Fourth(First):
    name = "fourth"
    needs = frozenset({"third"})


class Chicken(First):
    name = "chicken"
    needs = frozenset({"egg"})


class Egg(First):
    name = "egg"
    needs = frozenset({"chicken"})


class Nameless(First):
    name = ""


class Versionless(First):
    version = 0


class Abstract(Processor):
    name = "abstract"
    version = 1


class Explodes(First):
    def __init__(self) -> None:
        raise RuntimeError("no\nluck")


not_a_class = 5


def points(*names: str) -> list[EntryPoint]:
    return [EntryPoint(name.lower(), f"{__name__}:{name}", GROUP) for name in names]


def test_processors_stand_after_what_they_need() -> None:
    registry = ProcessorRegistry.load(points("Second", "First"))
    assert [processor.name for processor in registry.processors] == ["first", "second"]
    assert registry.statuses == {"first": "ready", "second": "ready"}
    assert registry.references["second"] == ProcessorRef("second", f"{__name__}:Second", Worker.MODEL, 5.0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (
            "no_such_module_of_damfs:X",
            "cannot be loaded: ModuleNotFoundError: No module named 'no_such_module_of_damfs'",
        ),
        (f"{__name__}:Missing", "cannot be loaded: AttributeError"),
        (f"{__name__}:not_a_class", "no subclass of Processor"),
        ("pathlib:Path", "no subclass of Processor"),
        (f"{__name__}:Nameless", "has no name"),
        (f"{__name__}:Versionless", "has no version"),
        (f"{__name__}:Abstract", "abstract"),
        (f"{__name__}:Explodes", "RuntimeError: no luck"),
    ],
)
@pytest.mark.expect_warnings(r"^processor broken \(.+:.+\) cannot be loaded$")
def test_a_broken_one_gets_a_status(value: str, reason: str) -> None:
    registry = ProcessorRegistry.load([EntryPoint("broken", value, GROUP), *points("First")])
    assert [processor.name for processor in registry.processors] == ["first"]
    assert reason in registry.statuses["broken"]
    assert "\n" not in registry.statuses["broken"]


def test_a_name_that_is_taken() -> None:
    twice = [*points("First"), EntryPoint("other", f"{__name__}:First", GROUP)]
    registry = ProcessorRegistry.load(twice)
    assert len(registry.processors) == 1
    assert registry.statuses == {
        "first": "ready",
        f"first ({__name__}:First)": f'the name "first" is taken by {__name__}:First',
    }


def test_needs_that_are_not_installed() -> None:
    registry = ProcessorRegistry.load(points("Fourth", "Third", "Second", "First"))
    assert [processor.name for processor in registry.processors] == ["first", "second"]
    assert registry.statuses == {
        "first": "ready",
        "second": "ready",
        "third": "needs absent, which is not installed",
        "fourth": "needs third, which cannot be used",
    }


def test_a_circle_stops_nothing_else() -> None:
    registry = ProcessorRegistry.load(points("Chicken", "Egg", "First"))
    assert [processor.name for processor in registry.processors] == ["first"]
    assert "need each other" in registry.statuses["egg"]
    assert registry.statuses["egg"] == registry.statuses["chicken"]


def test_the_daemon_loads_processors_without_codecs_and_models() -> None:
    """In a fresh interpreter, with what is really installed."""
    program = (
        "import sys\n"
        "from damfs.core.processor_registry import ProcessorRegistry\n"
        "registry = ProcessorRegistry.load()\n"
        "print(sorted(set(sys.modules) & {'av', 'PIL', 'torch', 'sentence_transformers', 'rawpy', 'pillow_heif'}))\n"
        "print(sorted(set(registry.statuses.items())))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy, statuses = run.stdout.splitlines()
    assert heavy == "[]"
    own = (
        "auto_tag", "editor_hash", "embedding", "moments", "preview", "probe", "proxy", "scenes", "sheet", "sprite",
        "waveform", "wording",
    )  # fmt: skip
    expected = [(name, "ready") for name in own]
    assert set(expected) <= set(ast.literal_eval(statuses)), statuses
