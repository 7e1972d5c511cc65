"""What travels over the control socket: one JSON object a line, requests one way, progress and one answer back.

Pure: encoding and checking. A line that does not fit is an error the peer is told of, never a crash.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from damfs.integration.wire_models import Modelling
from damfs.integration.wire_pairs import Dedupe, SyncSidecars
from damfs.integration.wire_search import Searching
from damfs.integration.wire_terms import OnTerms

LINE_LIMIT = 64 << 20
"""A vocabulary is one request."""


class Add(Struct, frozen=True, tag="add"):
    """Index a folder in place. The same folder again is a rescan."""

    folder: str
    name: str = ""


class Scan(Struct, frozen=True, tag="scan"):
    """Look for changes in one store, or in all."""

    store: str = ""


class GetStatus(Struct, frozen=True, tag="status"):
    pass


class GetStores(Struct, frozen=True, tag="stores"):
    pass


class GetTags(Struct, frozen=True, tag="tags"):
    pass


class Tag(Struct, frozen=True, tag="tag"):
    """Tag or untag assets. Terms that do not exist are made. ``paths``: of files in stores, absolute, without links."""

    assets: tuple[int, ...]
    terms: tuple[str, ...]
    remove: bool = False
    paths: tuple[bytes, ...] = ()
    everywhere: bool = False
    """With ``remove``: from every asset that carries the terms."""


class Target(Struct, frozen=True):
    """A file: by its asset, or by its path in a store, absolute, without links."""

    asset: int = 0
    path: bytes = b""


class GetVersions(Struct, frozen=True, tag="versions"):
    target: Target


class GetInfo(Struct, frozen=True, tag="info"):
    """All that is known of a file; answered with an AssetInfo."""

    target: Target


class GetTagsOf(Struct, frozen=True, tag="tags-of"):
    """The terms a file carries and those that are suggested, answered with a list of SaidTag."""

    target: Target


class Revert(Struct, frozen=True, tag="revert"):
    """Make a new version with the bytes of an earlier one."""

    target: Target
    number: int


class VersionRow(Struct, frozen=True):
    """What is answered of a version. ``digest``: BLAKE3, hexadecimal."""

    number: int
    size: int
    mtime_ns: int
    created_ns: int
    digest: str
    current: bool


class Cut(Struct, frozen=True, tag="cut"):
    """A piece of a clip, or with ``at_ms`` one frame. Milliseconds from the first frame."""

    target: Target
    start_ms: int = 0
    end_ms: int = 0
    exact: bool = False
    at_ms: int = -1
    withdraw: bool = False
    """Stop making it, unless somebody else waits for it."""


class Retry(Struct, frozen=True, tag="retry"):
    """Failed jobs again; of one processor, or of all."""

    processor: str = ""


class Verify(Struct, frozen=True, tag="verify"):
    """Read the files of one store, or of all, and compare them with their digests."""

    store: str = ""
    limit_s: float = 0
    """0: no limit."""


class Check(Struct, frozen=True, tag="check"):
    """Check the rules of the catalog; mend what breaks them."""

    repair: bool = False


class TrashAssets(Struct, frozen=True, tag="trash"):
    """Into the trash. ``paths``: of files in stores, absolute, without links."""

    assets: tuple[int, ...] = ()
    paths: tuple[bytes, ...] = ()


class RestoreAssets(Struct, frozen=True, tag="restore"):
    """Out of the trash: by number, or by the names that assets there have."""

    assets: tuple[int, ...] = ()
    names: tuple[str, ...] = ()


class GetTrash(Struct, frozen=True, tag="get-trash"):
    pass


class UndoLast(Struct, frozen=True, tag="undo"):
    """Take back the last group of changes that a person made."""


class GetUndo(Struct, frozen=True, tag="get-undo"):
    """What could be taken back, latest first."""

    limit: int = 20


class Transcode(Struct, frozen=True, tag="transcode"):
    """Make proxies by a profile, and wait for them. ``query``: as in search/; ``paths``: of files in stores, absolute,
    without links. ``profile``: '' for that of the settings."""

    query: str = ""
    assets: tuple[int, ...] = ()
    paths: tuple[bytes, ...] = ()
    profile: str = ""
    withdraw: bool = False
    """Take back what still waits of such a request."""
    all_the_same: bool = False
    """Also of small copies that cameras made, and of clips for which such a copy stands in."""


class GetProxies(Struct, frozen=True, tag="get-proxies"):
    """What there is, and is to be, of one file by each profile."""

    target: Target


class Stop(Struct, frozen=True, tag="stop"):
    """Unmount and end the daemon."""


TakingBack = TrashAssets | RestoreAssets | GetTrash | UndoLast | GetUndo
Asking = GetStatus | GetStores | GetTags
Indexing = Add | Scan
Tagging = Tag
History = GetVersions | GetInfo | GetTagsOf | Revert
Cutting = Cut
Caring = Verify | Check
Making = Retry | Transcode | GetProxies
Keeping = Caring | SyncSidecars | Dedupe | TakingBack | History
Request = Indexing | Asking | Tagging | Keeping | Searching | Making | Cutting | Modelling | OnTerms | Stop


class Progress(Struct, frozen=True, tag="progress"):
    """How far a long request is: ``done`` of ``total`` (0: not known yet) units and bytes."""

    what: str
    done: int
    total: int
    size_done: int = 0
    size: int = 0
    unit: str = "files"


class Answer(Struct, frozen=True, tag="answer"):
    value: object


class Failure(Struct, frozen=True, tag="failure"):
    kind: str
    """Name of the class in damfs.errors."""
    text: str


Reply = Progress | Answer | Failure

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> Request | None:
    """None when the line is no request."""
    try:
        return _requests.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def decode_reply(line: bytes) -> Reply:
    return _replies.decode(line)
