"""Checks the rules of the catalog, and mends what breaks them after a backup.

Concurrency: looking happens in a reader thread, in one snapshot; repairs go through the one door, each rule in a
transaction of its own. Crash rule: a repair may be killed and run again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

import trio

from damfs.catalog import invariants
from damfs.catalog.database import Connection
from damfs.catalog.invariants import Invariant, UnableToMend
from damfs.catalog.predicates import ALL_FACET
from damfs.core.backups import back_up
from damfs.core.check_report import EXAMPLES, CheckReport, Finding
from damfs.core.commands import Execution
from damfs.core.folders import settle_moves
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.rendition_upkeep import tidy_renditions
from damfs.core.trashing import settle_interrupted_trash
from damfs.core.upkeep import settle_interrupted
from damfs.errors import DamfsError

log = logging.getLogger(__name__)

ACTOR = "check"
BACKUP = "catalog-before-repair"
PASSES = 5
"""One repair may lay bare what another mends; no chain is longer."""


async def _settle_staging(library: Library) -> None:
    await settle_interrupted(library, Reception(library))


async def _all_renditions(library: Library) -> None:
    """Nothing makes renditions while the library is repaired: every file may be looked at."""
    await tidy_renditions(library, library.clock())


WORK_ON_FILES: dict[str, Callable[[Library], Awaitable[None]]] = {
    "receiving-staged": _settle_staging,
    "staged-received": _settle_staging,
    "rewrite-staged": _settle_staging,
    "folder-moved": settle_moves,
    "file-moved": settle_moves,
    "trashed-aside": settle_interrupted_trash,
    "rendition-file": _all_renditions,
    "file-rendition": _all_renditions,
}
"""Repairs that SQL cannot do: the ones that start-up does as well."""


@dataclass(frozen=True, slots=True)
class Mend:
    """Run the repair of a rule."""

    rule: Invariant

    def apply(self, x: Execution) -> None:
        invariants.observe(x.tx, (), ())
        for blob in invariants.mend(x.tx, self.rule):
            x.planner.plan_jobs(x.tx, blob, x.at_ns)
        x.changes.record("repaired", {ALL_FACET}, detail={"rule": self.rule.name})


async def check(library: Library, *, at_rest: bool) -> CheckReport:
    """Every rule, or (not ``at_rest``: mounted) those that hold at any moment. Changes nothing."""
    rules = [rule for rule in invariants.rules() if at_rest or not rule.at_rest]
    left_out = [rule.name for rule in invariants.rules() if rule not in rules]
    findings = [_finding(rule, found) for rule, found in (await _violated(library, rules)).items()]
    return CheckReport(str(library.path), len(rules), findings, left_out)


async def repair(library: Library) -> CheckReport:
    """Check, mend, check again. For a library that is not mounted."""
    report = await check(library, at_rest=True)
    if not any(finding.mendable for finding in report.findings):
        return report
    directory = library.state / "backups"
    backup = await library.db.read(lambda connection: back_up(connection, directory, BACKUP))
    seen = {finding.rule: finding for finding in report.findings}
    problems: dict[str, str] = {}
    for _ in range(PASSES):
        problems = await _mend_all(library, report)
        report = await check(library, at_rest=True)
        seen = {finding.rule: finding for finding in report.findings} | seen
        if not any(finding.mendable for finding in report.findings):
            break
    left = {finding.rule for finding in report.findings}
    findings = [
        replace(finding, mended=name not in left, problem=problems.get(name, "")) for name, finding in seen.items()
    ]
    return replace(report, findings=findings, backup=str(backup))


async def _violated(library: Library, rules: list[Invariant]) -> dict[Invariant, list[str]]:
    staged = await trio.to_thread.run_sync(library.staging.entries)
    files = await trio.to_thread.run_sync(partial(_rendition_files, library))

    def ask(connection: Connection) -> dict[Invariant, list[str]]:
        invariants.observe(connection, staged, files)
        found = {rule: invariants.violations(connection, rule) for rule in rules}
        return {rule: lines for rule, lines in found.items() if lines}

    return await library.db.read(ask)


def _rendition_files(library: Library) -> list[str]:
    root = library.renditions
    return [str(path.relative_to(root)) for path in root.glob("*/*") if path.is_file() and not path.is_symlink()]


def _finding(rule: Invariant, found: list[str]) -> Finding:
    return Finding(rule.name, rule.meaning, rule.remedy, rule.mendable, len(found), found[:EXAMPLES])


async def _mend_all(library: Library, report: CheckReport) -> dict[str, str]:
    """One repair after the other; why some failed, by rule."""
    problems = {}
    by_name = {rule.name: rule for rule in invariants.rules()}
    for finding in report.findings:
        try:
            if finding.rule in WORK_ON_FILES:
                await WORK_ON_FILES[finding.rule](library)
            elif finding.mendable:
                library.perform(Mend(by_name[finding.rule]), ACTOR, durable=True)
        except (UnableToMend, DamfsError) as error:
            problems[finding.rule] = str(error)
            log.info("the repair of %s failed: %s", finding.rule, error)
    return problems
