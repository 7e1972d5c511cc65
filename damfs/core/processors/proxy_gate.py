"""What passes the gate: whether a clip that was made again by a profile is published, and who is to blame if not. Pure.

Both what a proxy is kept for and what clips are joined from goes by this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from damfs.errors import BadMedia, DamfsError

if TYPE_CHECKING:  # the daemon may import this module and must not load what decodes
    from damfs.core.processors.conformance import Row
    from damfs.core.processors.transcode import Tally


class UnequalProxy(DamfsError):
    """The proxy came out different from its source, and the source is not to blame."""


def check_tally(tally: Tally, held: int, name: str, refused: str = "no proxy") -> None:
    """``held``: frames of the source by its index or packets; ``refused``: what does not come of it. Raises BadMedia
    when more is missing than single damaged frames, UnequalProxy when they came out of the decoder and are missing all
    the same."""
    written, damage = len(tally.times), tally.damage
    if written and held - written <= damage.errors:
        return
    if damage.frames > written:
        raise UnequalProxy(f"{name}: {refused}: frames: {damage.frames} came out of the decoder, {written} are written")
    why = damage.first or ("it ends before its index says" if damage.packets < held else "nothing says why")
    raise BadMedia(
        f"{name}: {refused}: frames: only {written} of {held} can be read ({why}); copy the file again from its source"
    )


def check_rows(rows: tuple[Row, ...], tally: Tally, name: str, refused: str = "no proxy") -> None:
    """The gate. Raises BadMedia or UnequalProxy with the property named, by whether the source is to blame. Of several
    the one is named that says why."""
    unequal = [row for row in rows if row.verdict == "unequal"]
    for row in sorted(unequal, key=lambda row: not row.why):
        damage = f"the file is damaged ({tally.damage.first})" if tally.damage.errors else ""
        advice = "copy it again from its source" if damage else "wrap it anew (ffmpeg -i FILE -c copy NEW)"
        if row.why or damage:
            raise BadMedia(f"{name}: {refused}: {row.name}: {row.why or damage}; {advice}")
        raise UnequalProxy(
            f"{name}: {refused}: {row.name} would be {row.proxy} instead of {row.source}; please report this file"
        )
