"""What is answered of the small copies that a camera recorded beside a clip: used or not, and why. Point reads."""

from __future__ import annotations

from collections.abc import Mapping

from damfs.catalog import assets, derived, stores
from damfs.core.library import Library
from damfs.core.processors.camera_proxy import JUDGED, PAIR
from damfs.errors import Unavailable
from damfs.integration.proxy_report import ProxyRow
from damfs.model import Asset, BlobId, Digest, Facts

CAMERA = "camera"


def rows(library: Library, clip: BlobId) -> tuple[ProxyRow, ...]:
    """One for each copy."""
    facts = derived.facts_of(library.db.writer, clip)
    copies = facts.get(PAIR, {}).get("proxies", ())
    judged = facts.get(JUDGED, {})
    return tuple(_row(library, str(digest), judged) for digest in (copies if isinstance(copies, list) else ()))


def copied(library: Library, copy: BlobId) -> str:
    """The name of the clip that these bytes are a copy of; '' for other bytes."""
    of = derived.facts_by(library.db.writer, copy, PAIR).get("of")
    found = None if of is None else _asset(library, str(of))
    return "" if found is None else found.name


def _row(library: Library, digest: str, judged: Facts) -> ProxyRow:
    copy = _asset(library, digest)
    file, size = (_file(library, copy), copy.size) if copy is not None else ("", 0)
    refused = judged.get("refused", {})
    if judged.get("proxy") == digest:
        return ProxyRow(CAMERA, "made", True, file, size, report=_object(judged.get("report")))
    if isinstance(refused, Mapping) and digest in refused:
        told = _object(refused[digest])
        why = str(told.get("why", ""))
        return ProxyRow(CAMERA, "refused", False, file, size, reason=why, report=_object(told.get("report")))
    if judged.get("proxy"):
        return ProxyRow(CAMERA, "refused", False, file, size, reason="another one was looked at first, and conforms")
    return ProxyRow(CAMERA, "waiting", False, file, size)


def _asset(library: Library, digest: str) -> Asset | None:
    blob = stores.blob_of(library.db.writer, Digest(bytes.fromhex(digest)))
    found = [] if blob is None else assets.of_blob(library.db.writer, blob)
    return found[0] if found else None


def _file(library: Library, asset: Asset) -> str:
    try:
        return "" if asset.blob is None else str(library.source_paths(asset.blob, asset.id)[0])
    except Unavailable:
        return ""


def _object(found: object) -> dict[str, object]:
    return dict(found) if isinstance(found, Mapping) else {}
