"""What there is of a video by each profile, as text for people. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from damfs.integration.proxy_report import ProxyReport, ProxyRow

MEGABYTE = 1e6
STATES = {
    "made": "made",
    "running": "is being made",
    "waiting": "waits for its turn",
    "failed": "failed",
    "needless": "not needed",
    "none": "not made",
}
OF_CAMERAS = {
    "made": "the camera's own copy is used",
    "refused": "the camera's own copy is not used",
    "waiting": "the camera's own copy is yet to be looked at",
}
Rows = Mapping[str, Mapping[str, object]]


def as_text(report: ProxyReport, path: str) -> str:
    lines = [report.name]
    if report.copy_of:
        lines += ["", f"The small copy that a camera recorded beside {report.copy_of}: no proxy is made of it."]
    for row in report.rows:
        lines += ["", *_of_profile(row)]
    if any(row.state in {"needless", "none", "failed"} for row in report.rows):
        lines += ["", f"To have one made: damfs proxy {path} --make --profile NAME"]
    return "\n".join(lines) + "\n"


def _of_profile(row: ProxyRow) -> Iterator[str]:
    states = OF_CAMERAS if row.profile == "camera" else STATES
    said = f"{row.profile:<16}{states[row.state]}"
    if row.instead:
        said += f", as {row.instead}"
    if row.shown:
        said += ", shown in proxies/"
    if row.file and "width" in row.report:
        said += f": {row.report.get('width')}x{row.report.get('height')}, {row.size / MEGABYTE:,.1f} MB, "
        said += f"by {row.report.get('encoder')}"
    if row.report.get("decoder"):
        said += f", decoded by {row.report['decoder']}"
    yield said
    if row.report.get("passed_over"):
        yield f"  in software, because {row.report['passed_over']}"
    if row.reason:
        yield f"  {row.reason}"
    if row.file:
        yield f"  {row.file}"
        yield from _properties(row)


def _properties(row: ProxyRow) -> Iterator[str]:
    found = row.report.get("properties")
    properties: Rows = found if isinstance(found, dict) else {}
    if not properties:
        return
    width = max(map(len, properties))
    values = {name: (_said(each.get("source")), _said(each.get("proxy"))) for name, each in properties.items()}
    source, proxy = (max(len(pair[side]) for pair in values.values()) for side in (0, 1))
    yield f"  {'':<{width}}  {'original':<{source}}  {'proxy':<{proxy}}"
    for name, each in properties.items():
        verdict = f"{each.get('verdict')}: {each['why']}" if each.get("why") else str(each.get("verdict"))
        yield f"  {name:<{width}}  {values[name][0]:<{source}}  {values[name][1]:<{proxy}}  {verdict}"


def _said(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(_said, value)) or "none"
    return "-" if value is None else str(value)
