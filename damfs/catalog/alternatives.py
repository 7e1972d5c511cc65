"""The alternatives of a query: ``red (car OR boat)`` asks for ``red car`` and for ``red boat``, each in its order.

Pure. How many there are is limited; what would be more stays one condition, as all does that ranks nothing.
"""

from __future__ import annotations

from damfs.catalog.query_text import Condition, Either, Every, Node, Phrase, Word

LIMIT = 16
"""Each alternative is a search of its own."""
LIKE = "like"

Side = tuple[Node, ...]
"""Parts that have to hold together."""


def sides_of(tree: Node) -> list[Side]:
    """One where no word stands beside OR. Those that rank nothing are the last of them, together."""
    sides = _expanded(tree)
    plain = [side for side in sides if not any(map(ranks, side))]
    if len(plain) < 2:
        return [side for side in sides if side not in plain] + plain
    together = Either(tuple(part for side in plain for part in _alternatives(side)))
    return [*(side for side in sides if side not in plain), (together,)]


def sentences_of(tree: Node) -> list[str]:
    """The words of each alternative as one text for a model; those that have none are left out."""
    told = (" ".join(part.text for part in side if isinstance(part, Word | Phrase)) for side in sides_of(tree))
    return [sentence for sentence in dict.fromkeys(told) if sentence]


def ranks(node: Node) -> bool:
    """Whether anything in it gives an order: what is not wanted gives none."""
    match node:
        case Word() | Phrase():
            return True
        case Condition():
            return node.name == LIKE
        case Every() | Either():
            return any(map(ranks, node.parts))
        case _:
            return False


def _expanded(tree: Node) -> list[Side]:
    if isinstance(tree, Either) and ranks(tree):
        found = [side for part in tree.parts for side in _expanded(part)]
        return found if len(found) <= LIMIT else [(tree,)]
    sides: list[Side] = [()]
    for part in tree.parts if isinstance(tree, Every) else (tree,):
        choices = _expanded(part) if isinstance(part, Either) and ranks(part) else [(part,)]
        if len(sides) * len(choices) > LIMIT:
            choices = [(part,)]
        sides = [(*side, *choice) for side in sides for choice in choices]
    return sides


def _alternatives(side: Side) -> tuple[Node, ...]:
    """What OR joins: no Either in an Either."""
    if len(side) > 1:
        return (Every(side, side[0].at),)
    return side[0].parts if isinstance(side[0], Either) else side
