"""All that is known of one asset's bytes, for people and scripts: fields by group, with units, and how its jobs stand.

Point reads; for a reader thread, or inline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from damfs.catalog import derived, fields, job_table
from damfs.catalog.database import Connection
from damfs.catalog.fields import FIELDS, Field, Kind
from damfs.catalog.units import shown
from damfs.model import Asset, Facts

LISTED = 12
"""Values of one field in its text."""


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field that has a value. ``text`` is for people; ``standard``: its XMP property (IPTC), "" where it has none."""

    field: str
    label: str
    group: str
    unit: str
    standard: str
    values: list[str | float]
    text: str


@dataclass(frozen=True, slots=True)
class JobInfo:
    processor: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class AssetInfo:
    asset: int
    name: str
    media: str
    size: int
    fields: list[FieldInfo]
    jobs: list[JobInfo]


def info_of(connection: Connection, asset: Asset) -> AssetInfo:
    facts = {} if asset.blob is None else derived.facts_of(connection, asset.blob)
    jobs = [] if asset.blob is None else job_table.of_blob(connection, asset.blob)
    found = [info for field in FIELDS if (info := field_info(field, facts)) is not None]
    standing = [JobInfo(processor, state, error) for processor, state, error in jobs]
    return AssetInfo(asset.id, asset.name, str(asset.media), asset.size, found, standing)


def field_info(field: Field, facts: Mapping[str, Facts]) -> FieldInfo | None:
    """None when nothing is said."""
    values: list[str | float] = []
    if field.kind is Kind.NUMBER:
        values.extend(fields.numbers(field, facts))
    else:
        values.extend(fields.texts(field, facts))
    if not values:
        return None
    texts = [each if isinstance(each, str) else shown(each, field.unit) for each in values]
    text = ", ".join(texts[:LISTED]) + (f" and {len(texts) - LISTED} more" if len(texts) > LISTED else "")
    return FieldInfo(
        field.name, field.label, str(field.group), str(field.unit).partition(" ")[0], field.standard, values, text
    )
