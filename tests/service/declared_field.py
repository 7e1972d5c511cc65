"""A field that nobody knew is declared before anything else is loaded: what a row of the table brings by itself. Prints
JSON: its directories, the files in one, what a query finds, and what `damfs info` tells.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import trio

from damfs.catalog import fields
from damfs.catalog.fields import Field, Group

OPERATOR = Field("operator", "Operator", Group.CAMERA, "crew.operator", processor="slate", browsable=True)
SAID = {"a.mov": "Ada Lovelace", "b.mov": "ada  LOVELACE", "c.mov": "Jules", "d.mov": None}


def declare(field: Field) -> None:
    """As one row more in `fields.FIELDS`."""
    fields.FIELDS = (*fields.FIELDS, field)
    fields.BY_NAME = {each.name: each for each in fields.FIELDS}
    fields.BROWSABLE = tuple(each.name for each in fields.FIELDS if each.browsable)


async def shown(path: Path) -> dict[str, object]:
    from damfs.catalog import assets, derived
    from damfs.core.asset_info import info_of
    from damfs.core.selecting import predicate_of
    from damfs.presentation.views.by_field import view_of
    from damfs.presentation.views.view import Place
    from tests.small_library import opened, received, the_asset

    with opened(path) as library:
        for name, operator in SAID.items():
            made = await received(library, name, name.encode())
            assert made.blob is not None
            with library.db.transaction() as tx:
                derived.set_facts(tx, made.blob, "slate", {"crew": {"operator": operator}} if operator else {})
        connection, view = library.db.writer, view_of(OPERATOR)(library)
        folders = view.list(connection, view.root())
        ada = next(entry.node for entry in folders if entry.name == "Ada Lovelace")
        assert isinstance(ada, Place)
        found = assets.list_place(connection, predicate_of(connection, 'operator:"ada lovelace"'))
        told = {each.label: each.text for each in info_of(connection, the_asset(library, "c.mov")).fields}
        return {
            "view": view.name,
            "folders": sorted(entry.name for entry in folders),
            "files": sorted(entry.name for entry in view.list(connection, ada)),
            "found": sorted(row.name for row in found),
            "told": told["Operator"],
            "touched": sorted(facet for facet in view.facets(connection, ada)),
            "touches": sorted(assets.facets(connection, the_asset(library, "a.mov").id)),
        }


if __name__ == "__main__":
    declare(OPERATOR)
    print(json.dumps(trio.run(shown, Path(sys.argv[1]))))
