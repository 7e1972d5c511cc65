"""Programs that save by renaming the old file away: `x` becomes `x~`, `x` is made anew, `x~` is removed.

What was renamed away so is remembered for a minute, so that who comes under its name is known for its heir. Loop's
thread only. Crash rule: nothing is kept; after a restart the two files are two assets, as their names say.
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.core.inheriting import Inherit
from damfs.core.library import Library
from damfs.model import Asset, AssetId, AssetState
from damfs.presentation.views.view import Place
from damfs.storage.droppings import is_backup

ACTOR = "fuse"
REMEMBERED_NS = 60_000_000_000
MOST = 1000


class Away(NamedTuple):
    asset: AssetId
    backup: str
    """What it is called now."""
    at_ns: int


class RenamedAway:
    """Of one mount: by the directory, and the name that was given up there."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._away: dict[tuple[Place, str], Away] = {}

    def moved(self, asset: Asset, place: Place, name: str, to: Place, new_name: str) -> None:
        """An asset got another name or place: it is away, or it takes the name of one that is."""
        if place == to and asset.state is AssetState.PRESENT and is_backup(new_name) and not is_backup(name):
            self._away.pop((place, name), None)
            self._away[place, name] = Away(asset.id, new_name, self._library.clock())
            if len(self._away) > MOST:
                del self._away[next(iter(self._away))]
        else:
            self.arrived(asset.id, to, new_name)

    def arrived(self, asset: AssetId, place: Place, name: str) -> None:
        """A file was made: it inherits from the one that was called so."""
        away = self._away_from(place, name)
        if away is None:
            return
        if away.asset == asset:  # it is back
            del self._away[place, name]
        else:
            self._library.execute([Inherit(away.asset, asset)], ACTOR)

    def former_name(self, asset: AssetId, place: Place, name: str) -> str | None:
        """What an asset that is to be removed was called before it was renamed away; None: it was not."""
        former = (key[1] for key, away in self._away.items() if key[0] == place and away[:2] == (asset, name))
        found = next(former, None)
        return None if found is None or self._away_from(place, found) is None else found

    def _away_from(self, place: Place, name: str) -> Away | None:
        away = self._away.get((place, name))
        if away is None:
            return None
        known = self._library.asset(away.asset)
        if known is None or known.state is not AssetState.PRESENT or self._is_over(away):
            del self._away[place, name]
            return None
        return away

    def _is_over(self, away: Away) -> bool:
        return not 0 <= self._library.clock() - away.at_ns <= REMEMBERED_NS
