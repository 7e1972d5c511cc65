"""What the gate found of everything that may stand in for some bytes: proxies by profile, and the camera's own copy.

Point reads.
"""

from __future__ import annotations

from collections.abc import Mapping

from damfs.catalog import derived, stores
from damfs.catalog.database import Connection
from damfs.core.processors.camera_proxy import JUDGED, PAIR
from damfs.model import BlobId, Digest, Facts

CAMERA = "camera"


def reports_of(connection: Connection, blob: BlobId) -> dict[str, Facts]:
    """By profile. ``camera``: of a clip the report of the copy that stands in for it; of a copy its own."""
    facts = derived.facts_of(connection, blob)
    report = facts.get(JUDGED, {}).get("report") or _of_copy(connection, blob, facts.get(PAIR, {}).get("of"))
    camera: dict[str, Facts] = {CAMERA: report} if isinstance(report, Mapping) else {}
    return {**derived.proxy_reports(connection, blob), **camera}


def _of_copy(connection: Connection, copy: BlobId, clip: object) -> object:
    of = stores.blob_of(connection, Digest(bytes.fromhex(clip))) if isinstance(clip, str) else None
    judged = {} if of is None else derived.facts_by(connection, of, JUDGED)
    own = stores.digest_of(connection, copy).hex()
    if judged.get("proxy") == own:
        return judged.get("report")
    refused = judged.get("refused")
    found = refused.get(own) if isinstance(refused, Mapping) else None
    return found.get("report") if isinstance(found, Mapping) else None
