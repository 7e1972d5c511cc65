"""What a check of the catalog found, as plain data and as text. Pure: the CLI needs it without a catalog."""

from __future__ import annotations

from dataclasses import dataclass, field

EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that does not hold, or did not before the repair."""

    rule: str
    meaning: str
    remedy: str
    """What the repair does or did; where none helps, what a person can do."""
    mendable: bool
    number: int
    """Violations."""
    examples: list[str]
    """The first of them."""
    mended: bool = False
    problem: str = ""
    """Why the repair failed."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    library: str
    rules: int
    """How many were checked."""
    findings: list[Finding] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Rules that can only be checked while the library is not mounted."""
    backup: str = ""
    """Where the catalog was copied to before the repair."""

    @property
    def clean(self) -> bool:
        """Nothing is wrong (any more)."""
        return all(finding.mended for finding in self.findings)


def as_text(report: CheckReport) -> str:
    """For people: a line for each rule, its violations below it."""
    lines = [line for finding in report.findings for line in _lines(finding)]
    if report.backup:
        lines.append(f"before the repair the catalog was copied to {report.backup}")
    if report.left_out:
        lines.append(f"not checked while mounted: {', '.join(report.left_out)}")
    lines.append(_verdict(report))
    return "\n".join(lines) + "\n"


def _lines(finding: Finding) -> list[str]:
    state = "mended" if finding.mended else "WRONG"
    lines = [f"{state:<7} {finding.rule}: not so: {finding.meaning} ({finding.number:,})"]
    lines += [f"          {example}" for example in finding.examples]
    if finding.number > len(finding.examples):
        lines.append(f"          … and {finding.number - len(finding.examples):,} more")
    if finding.problem:
        lines.append(f"        the repair failed: {finding.problem}")
    if finding.mended:
        lines.append(f"        done: {finding.remedy}")
    else:
        lines.append(f"        {'--repair' if finding.mendable else 'what to do'}: {finding.remedy}")
    return lines


def _verdict(report: CheckReport) -> str:
    wrong = sum(not finding.mended for finding in report.findings)
    if wrong:
        mendable = any(finding.mendable and not finding.mended for finding in report.findings)
        hint = f"; repair with: damfs check {report.library} --repair" if mendable and not report.backup else ""
        return f"{wrong} of {report.rules} rules do not hold{hint}"
    return f"all {report.rules} rules hold"
