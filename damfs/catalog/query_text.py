"""The text of a query and its syntax tree: ``beach -tag:work (type:video OR rating:>=4) "red car"``.

Pure, and the same text comes back from a tree. A text that is no query is a BadQuery whose line names the character
and what was expected there. Length, depth and number of terms are limited, so that any text is answered at once.
What the words mean is `query_language`'s business.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from damfs.catalog.predicates import quoted
from damfs.errors import BadQuery

LENGTH_LIMIT = 4_000
DEPTH_LIMIT = 20
TERMS_LIMIT = 64
TOLD_LIMIT = 60

GRAMMAR = r"""
start: either
either: every (_OR every)*
every: _one (_AND? _one)*
_one: without | word | phrase | condition | _OPEN either _CLOSE
without: (_NOT | _MINUS) _one
word: WORD
phrase: QUOTED
condition: FIELD (VALUE | QUOTED)

FIELD.5: /[A-Za-z][A-Za-z0-9_-]*:/
VALUE.4: /[^\s()"]+/
_OR.3: /OR(?![^\s()"])/
_AND.3: /AND(?![^\s()"])/
_NOT.3: /NOT(?![^\s()"])/
QUOTED.2: /"(?:[^"\\]|\\.)*"/
_MINUS.2: /-(?=[^\s)])/
WORD: /(?!(?:OR|AND|NOT)(?![^\s()"]))[^\s()"\-][^\s()"]*/
_OPEN: "("
_CLOSE: ")"
%ignore /\s+/
"""
"""LALR: no recursion, however deep a text nests. A colon after letters always belongs to a field."""

AT_START = "something to search for, like beach, tag:beach or type:video"


@dataclass(frozen=True, slots=True)
class Word:
    """``prefix``: it was written as ``sun*``. ``at``, everywhere: the character it begins at, from 1."""

    text: str
    prefix: bool = False
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Everywhere:
    """``*``: everything there is."""

    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Condition:
    """``name:value``."""

    name: str
    value: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Without:
    part: Node
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Every:
    """Of two parts or more; none of them is an Every."""

    parts: tuple[Node, ...]
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Either:
    """Of two parts or more; none of them is an Either."""

    parts: tuple[Node, ...]
    at: int = field(default=0, compare=False)


Node = Word | Phrase | Everywhere | Condition | Without | Every | Either


def bad(at: int, what: str) -> BadQuery:
    error = BadQuery(f"character {at}: {what}")
    error.at = at
    return error


def cut(text: str) -> str:
    """As much of a text as fits into a line."""
    return text if len(text) <= TOLD_LIMIT else text[: TOLD_LIMIT - 1] + "…"


def parsed(text: str) -> Node:
    """The tree of a query. Raises BadQuery."""
    text = unicodedata.normalize("NFC", text)
    _check(text)
    try:
        tree: object = _parser().parse(text)
    except VisitError as error:
        raise error.orig_exc from None
    except UnexpectedInput as error:
        raise _explained(text, error) from None
    assert isinstance(tree, Node)
    if number(tree) > TERMS_LIMIT:
        raise BadQuery(f"a query has at most {TERMS_LIMIT} terms, this one has {number(tree):,}; ask for less at once")
    return tree


def text_of(node: Node) -> str:
    """What `parsed` reads as the same tree."""
    match node:
        case Word():
            return node.text + ("*" if node.prefix else "")
        case Everywhere():
            return "*"
        case Phrase():
            return _marked(node.text)
        case Condition():
            return f"{node.name}:{quoted(node.value)}"
        case Without():
            return "-" + _grouped(node.part, Every, Either)
        case Every():
            return " ".join(_grouped(part, Either) for part in node.parts)
        case Either():
            return " OR ".join(text_of(part) for part in node.parts)


def number(node: Node) -> int:
    """How many words, phrases and conditions there are in it."""
    if isinstance(node, Without):
        return number(node.part)
    return sum(map(number, node.parts)) if isinstance(node, Every | Either) else 1


def _grouped(node: Node, *kinds: type[Node]) -> str:
    return f"({text_of(node)})" if isinstance(node, kinds) else text_of(node)


def _marked(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _check(text: str) -> None:
    """What would take long, or could be no name."""
    if len(text) > LENGTH_LIMIT:
        raise BadQuery(f"a query has at most {LENGTH_LIMIT:,} characters, this one has {len(text):,}")
    for position, char in enumerate(text, start=1):
        category = unicodedata.category(char)
        if category == "Cs":
            raise bad(position, "these bytes are no text in UTF-8")
        if category == "Cc":
            raise bad(position, f"a control character (U+{ord(char):04X}) cannot be part of a query")
    _check_depth(text)


def _check_depth(text: str) -> None:
    depth = 0
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[()]', text):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth > DEPTH_LIMIT:
            raise bad(match.start() + 1, f"parentheses are nested more than {DEPTH_LIMIT} deep")


@v_args(inline=True)
class _Build(Transformer[Token, Node]):
    def word(self, token: Token) -> Node:
        if token == "*":
            return Everywhere(_at(token))
        text, prefix = (token[:-1], True) if token.endswith("*") else (str(token), False)
        if not any(map(str.isalnum, text)):
            raise bad(_at(token), f'"{cut(token)}" holds no letter or digit to search for')
        return Word(text, prefix, _at(token))

    def phrase(self, token: Token) -> Node:
        text = _unmarked(token)
        if not any(map(str.isalnum, text)):
            raise bad(_at(token), "the quotation marks hold no letter or digit to search for")
        return Phrase(text, _at(token))

    def condition(self, name: Token, value: Token) -> Node:
        text = _unmarked(value) if value.type == "QUOTED" else str(value)
        if not text.strip():
            raise bad(_at(value), f'expected a value after "{cut(name)}"')
        return Condition(name[:-1].lower(), text, _at(name))

    def without(self, part: Node) -> Node:
        return part.part if isinstance(part, Without) else Without(part, part.at)

    def every(self, *parts: Node) -> Node:
        flat = tuple(each for part in parts for each in (part.parts if isinstance(part, Every) else (part,)))
        return flat[0] if len(flat) == 1 else Every(flat, flat[0].at)

    def either(self, *parts: Node) -> Node:
        flat = tuple(each for part in parts for each in (part.parts if isinstance(part, Either) else (part,)))
        return flat[0] if len(flat) == 1 else Either(flat, flat[0].at)

    def start(self, node: Node) -> Node:
        return node


def _at(token: Token) -> int:
    return (token.start_pos or 0) + 1


def _unmarked(token: Token) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1])


@cache
def _parser() -> Lark:
    return Lark(GRAMMAR, parser="lalr", lexer="contextual", transformer=_Build())


def _explained(text: str, error: UnexpectedInput) -> BadQuery:
    at, wanted = _place_of(text, error)
    char = text[at - 1 : at]
    if char == '"':
        return bad(at, "this quotation mark is never closed")
    if char == "-":
        return bad(at, 'expected what is not wanted right after "-"; to search for a dash, put it in quotation marks')
    met = f'"{cut(text[at - 1 :].split()[0])}"' if char else "the end"
    return bad(at, f"expected {_expected(text, at, wanted)}, not {met}")


def _place_of(text: str, error: UnexpectedInput) -> tuple[int, set[str]]:
    """The character, and the terminals that could stand there."""
    if isinstance(error, UnexpectedCharacters):
        return (error.pos_in_stream or 0) + 1, set(error.allowed or ())
    assert isinstance(error, UnexpectedToken)
    at_end = error.token.type == "$END"
    return len(text) + 1 if at_end else _at(error.token), set(error.accepts or error.expected)


def _expected(text: str, at: int, tokens: set[str]) -> str:
    before = text[: at - 1].rstrip()
    if tokens <= {"VALUE", "QUOTED"}:
        return f'a value after "{cut(before.split()[-1].lstrip("(-"))}"'
    if "_CLOSE" in tokens and "$END" not in tokens:
        return f'")" for the "(" at character {_open_at(before)}'
    if "$END" in tokens:
        return 'another term, AND, OR or the end (no ")" without a "(")'
    return AT_START if not before else f'a term after "{cut(before.split()[-1])}"'


def _open_at(text: str) -> int:
    """Of the innermost parenthesis that is open at the end."""
    opened: list[int] = []
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[()]', text):
        if match[0] == "(":
            opened.append(match.start() + 1)
        elif match[0] == ")" and opened:
            opened.pop()
    return opened[-1] if opened else 1
