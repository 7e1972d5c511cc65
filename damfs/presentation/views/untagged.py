"""untagged/: no term yet. Moving from here into by-tag/ tags, and so leaves by itself."""

from __future__ import annotations

from typing import ClassVar

from damfs.catalog.predicates import Predicate
from damfs.catalog.predicates import Untagged as IsUntagged
from damfs.presentation.views.facet import FlatView


class Untagged(FlatView):
    name = "untagged"
    predicate: ClassVar[Predicate] = IsUntagged()
