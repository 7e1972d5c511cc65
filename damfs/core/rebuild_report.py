"""What a rebuild of the catalog brought back and what not, as plain data and as text. Pure: the CLI needs it alone."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RebuildReport:
    library: str
    aside: str = ""
    """Where the old catalog lies now; empty when there was none."""
    new_settings: str = ""
    """Where they were written, because there were none."""
    sources: list[str] = field(default_factory=list)
    """Catalogs that names, dates and tags were read from."""
    stores: list[str] = field(default_factory=list)
    files: int = 0
    """Met in the stores."""
    assets: int = 0
    """That have a file."""
    known: int = 0
    """Of these, those that an old catalog knew: their names, dates and states are back."""
    missing: int = 0
    """Assets whose file is not there now; they wait for it with their tags."""
    terms: int = 0
    tags: int = 0
    blobs: int = 0
    """Files whose facts, pictures and vectors need not be made again."""
    sidecars: int = 0
    """That said something no old catalog did."""
    staged: list[str] = field(default_factory=list)
    """Files that were being received; they are in originals/ now."""
    offline: list[str] = field(default_factory=list)
    from_notes: bool = False
    """Whether the notes of the store were used, because no catalog could be read without gaps."""
    versions: int = 0
    """Before the current ones, that are back."""
    without_bytes: int = 0
    """Of these, those whose bytes no store has."""
    old_versions: int = 0
    """Not back: versions before the current one, of files that are not there."""
    trashed: int = 0
    """Assets in the trash whose former place and time are back."""
    folders: int = 0
    """Whose permissions, owners and times are back."""
    unrecalled: int = 0
    """Assets that something was noted of, and that are not there."""
    lost: dict[str, int] = field(default_factory=dict)
    """Rows that could not be read, by source and table; -1: nothing of the table could."""
    problems: list[str] = field(default_factory=list)


def as_text(report: RebuildReport) -> str:
    """For people: a line for each thing that came back or did not."""
    return "\n".join([*_back(report), *_not_back(report), *_to_do(report)]) + "\n"


def _back(report: RebuildReport) -> list[str]:
    notes = ["the notes that the store keeps"] if report.from_notes else []
    sources = " and ".join([*report.sources, *notes]) or "no old catalog could be read"
    lines = [
        f"read       {sources}",
        f"back       stores: {', '.join(report.stores)}",
        f"back       {report.assets:,} assets from {report.files:,} files",
        f"back       names and dates of {report.known:,} of them; the others have those of their files",
        f"back       {report.tags:,} tags of {report.terms:,} terms",
        f"back       what was derived from {report.blobs:,} files; the rest is made again while mounted",
    ]
    lines += _also_back(report)
    if report.sidecars:
        lines.append(f"back       what {report.sidecars:,} sidecars say beside that")
    if report.missing:
        lines.append(f"back       {report.missing:,} assets whose files are not there now: missing, with their tags")
    lines += [f"back       {name}, which was being received: in originals/ now" for name in report.staged]
    return lines


def _also_back(report: RebuildReport) -> list[str]:
    found = {
        "earlier versions": report.versions,
        "assets in the trash: since when, and from where": report.trashed,
        "folders: permissions, owners and times that were set": report.folders,
    }
    return [f"back       {number:,} {what}" for what, number in found.items() if number]


def _not_back(report: RebuildReport) -> list[str]:
    lines = []
    if not report.sources:
        lines.append(
            "not back   terms, tags, ratings and comments that no sidecar says; names that files have not; what was in"
            " the inbox; saved searches; read-only stores: no old catalog could be read"
        )
    if not (report.sources or report.from_notes):
        lines.append("not back   earlier versions, former places of the trash, permissions: nothing tells of them")
    if report.without_bytes:
        lines.append(f"not back   the bytes of {report.without_bytes:,} earlier versions: no store has them")
    if report.old_versions:
        lines.append(f"not back   {report.old_versions:,} earlier versions of files that are not there")
    if report.unrecalled:
        lines.append(f"not back   permissions, versions or trash of {report.unrecalled:,} files that are not there")
    lines.append("not back   history and undo; what models propose is asked again; inode numbers of the mount are new")
    for what, number in report.lost.items():
        lines.append(f"not back   {what}: {'nothing could be read' if number < 0 else f'{number:,} rows at most'}")
    return lines


def _to_do(report: RebuildReport) -> list[str]:
    lines = [
        f"offline    {name}: connect its volume, then: damfs scan {report.library} {name}" for name in report.offline
    ]
    lines += [f"left out   {problem}" for problem in report.problems]
    if report.new_settings:
        lines.append(f"settings   there were none; the usual ones are in {report.new_settings} now")
    if report.aside:
        lines.append(f"the old catalog is kept: {report.aside}")
    lines.append(f"next       damfs check {report.library}")
    return lines
