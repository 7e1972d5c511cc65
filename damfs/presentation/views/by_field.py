"""by-<field>/<value>: the one view of every field that is declared browsable in `catalog.fields`.

Assets whose bytes do not say are in none of its directories.
"""

from __future__ import annotations

from typing import ClassVar

from damfs.catalog import field_values
from damfs.catalog.database import Connection
from damfs.catalog.field_predicates import HasText, field_facet
from damfs.catalog.fields import BY_NAME, Field, directories_of, key_of, text_of
from damfs.catalog.predicates import Predicate
from damfs.core.asset_names import is_text
from damfs.model import Facet
from damfs.presentation.views.facet import FacetView


class FieldView(FacetView):
    """*MUST* set ``field``; `view_of` does."""

    field: ClassVar[Field]

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        if path and not self.field.levels:
            return []
        values = field_values.list_keys(connection, self.field.name, self._key(path))
        names = (directories_of(self.field, text)[len(path)] for _, text in values)
        return list({key_of(name): name for name in names}.values())

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        leads = is_text(name) and (self.field.levels or not path)
        text = text_of(self.field, (*path, name))
        return leads and field_values.has_key(connection, self.field.name, text, key_of(text))

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        return HasText(self.field.name, self._key(path)) if path else None

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        return frozenset({field_facet(self.field.name, self._key(path) or None)})

    def _key(self, path: tuple[str, ...]) -> str:
        return key_of(text_of(self.field, path))


def view_of(field: Field) -> type[FieldView]:
    return type(f"By{field.name.title()}", (FieldView,), {"name": f"by-{field.name}", "field": field})


ByCamera = view_of(BY_NAME["camera"])
ByCodec = view_of(BY_NAME["codec"])
ByLens = view_of(BY_NAME["lens"])
ByPlace = view_of(BY_NAME["place"])
ByResolution = view_of(BY_NAME["resolution"])
