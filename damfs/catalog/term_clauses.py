"""How SQL asks for any of many terms: there may be thousands below one. Pure."""

from __future__ import annotations

from damfs.model import TermId

MARKS = 1000
"""Terms that are told one by one: SQLite takes some 30,000 values, and there may be more below one."""
TermClause = tuple[str, tuple[int | str, ...]]


def one_of(terms: tuple[TermId, ...]) -> TermClause:
    """That the asset ``a`` carries one of the terms itself. It has few, and these may be thousands: the sign keeps
    SQLite from asking the index for each of them in turn."""
    marks, values = term_marks(terms)
    return f"EXISTS (SELECT 1 FROM tagging WHERE asset = a.id AND +term IN ({marks}))", values  # noqa: S608  # marks only


def term_marks(terms: tuple[TermId, ...]) -> TermClause:
    many = len(terms) > MARKS
    return ("SELECT value FROM json_each(?)", (str(list(terms)),)) if many else (", ".join("?" * len(terms)), terms)
