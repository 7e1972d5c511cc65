"""Runs pjdfstest's tests of ordinary file operations inside originals/library/ of a mount of its own.

python -m tests.mount.pjdfstest DIRECTORY_OF_PJDFSTEST [GROUP …]: the directory holds its built program and its tests;
as root, because the tests act as several users. Prints what each file of tests came to. What fails has to be in
pjdfstest_excluded.toml, and as its reason says; exits 1 when anything else fails. Everything it makes is temporary.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mount.conftest import serving

GROUPS = ("open", "mkdir", "rmdir", "rename", "unlink", "link", "truncate", "ftruncate", "utimensat", "chmod")
EXCLUDED = Path(__file__).with_name("pjdfstest_excluded.toml")
ABSENT_TYPES = re.compile(r"\b(?:fifo|block|char|socket|symlink)\b")
"""Kinds of files that a media library has not; loops over kinds go over the others."""
OVER_TYPES = re.compile(r"\s*for type\d* in ")
NOT_OK = re.compile(r"^not ok (\d+)(?: - )?(?! # TODO)(.*)$", re.MULTILINE)
"""TODO: the tests themselves do not expect that it passes everywhere."""
LIMIT_S = 900.0


@dataclass(frozen=True, slots=True)
class Result:
    name: str
    """Of the file of tests: 'rename/09.t'."""
    passed: int
    failed: Mapping[int, str]
    """What the tests that failed say of it, by number."""
    whole: bool
    """Whether the file ran to its end."""


@dataclass(frozen=True, slots=True)
class Reason:
    why: str
    says: re.Pattern[str]
    """What a test that fails for this reason says: a test that fails in another way is not excluded."""


@dataclass(frozen=True, slots=True)
class Excluded:
    numbers: Mapping[str, Mapping[int, Reason]]
    """Reason of each test that may fail, by file and number."""

    def verdict(self, result: Result) -> tuple[list[int], list[int]]:
        """Numbers that failed and are not excluded; that are excluded and did not fail."""
        may = self.numbers.get(result.name, {})
        wrong = [n for n, said in result.failed.items() if n not in may or not may[n].says.search(said)]
        return sorted(wrong), sorted(may.keys() - result.failed.keys())


def read_excluded(path: Path = EXCLUDED) -> Excluded:
    """Raises KeyError for a reason that is not explained."""
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    reasons = {name: Reason(each["why"], re.compile(each["says"])) for name, each in said["reasons"].items()}
    return Excluded(
        {
            name: {number: reasons[reason] for reason, text in each.items() for number in spelled(text)}
            for name, each in said["excluded"].items()
        }
    )


def spelled(text: str) -> Iterator[int]:
    """'1-3 7' is 1, 2, 3, 7."""
    for part in text.split():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def adapted(script: str) -> str:
    """Without the kinds of files that there are not, where a test loops over kinds."""
    return "\n".join(ABSENT_TYPES.sub("", line) if OVER_TYPES.match(line) else line for line in script.split("\n"))


def run_file(script: Path, copy: Path, directory: Path) -> Result:
    """``copy``: where the adapted script is put; it looks for its companions beside it."""
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(adapted(script.read_text(encoding="utf-8")), encoding="utf-8")
    directory.mkdir(parents=True)
    ended = subprocess.run(
        ["sh", str(copy)], cwd=directory, capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    failed = {int(number): why for number, why in re.findall(NOT_OK, ended.stdout)}
    passed = len(re.findall(r"^ok \d+", ended.stdout, re.MULTILINE))
    return Result(
        f"{script.parent.name}/{script.name}", passed, failed, whole=passed + len(failed) > 0 and not ended.returncode
    )


def files_of(program: Path, groups: tuple[str, ...]) -> list[Path]:
    return [file for group in groups for file in sorted((program / "tests" / group).glob("*.t"))]


def companions(program: Path, directory: Path) -> None:
    """The adapted scripts find the program and the shell functions of the tests as they do where they came from."""
    (directory / "tests").mkdir()
    for name in ("misc.sh", "conf"):
        (directory / "tests" / name).symlink_to(program / "tests" / name)
    (directory / "pjdfstest").symlink_to(program / "pjdfstest")


def run_all(program: Path, groups: tuple[str, ...]) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory)) as serve:
        scripts = Path(directory) / "pjdfstest"
        scripts.mkdir()
        companions(program, scripts)
        dam = serve(options=["allow_other"])
        Path(directory).chmod(0o755)
        dam.start()
        for file in files_of(program, groups):
            place = dam / "originals/library" / f"{file.parent.name}-{file.stem}"
            yield run_file(file, scripts / "tests" / file.parent.name / file.name, place)
        dam.settled()


def report(result: Result, excluded: Excluded) -> bool:
    """Whether it is as it should be."""
    wrong, better = excluded.verdict(result)
    may = len(result.failed) - len(wrong)
    print(f"{result.name}: {result.passed} passed, {may} excluded, {len(wrong)} failed", flush=True)
    for number in wrong:
        print(f"    {number}: {result.failed[number]}")
    if better:
        print(f"    excluded, but passes: {' '.join(map(str, better))}")
    if not result.whole:
        print("    it did not run")
    return not wrong and result.whole


def main(program: Path, *groups: str) -> int:
    if not (program / "pjdfstest").is_file():
        print(f"{program} holds no built pjdfstest; build it there first", file=sys.stderr)
        return 2
    excluded = read_excluded()
    fine = [report(result, excluded) for result in run_all(program.absolute(), groups or GROUPS)]
    print(f"{sum(fine)} of {len(fine)} files are as they should be")
    return 0 if fine and all(fine) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
