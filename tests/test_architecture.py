"""Rules that neither ruff, mypy nor import-linter can hold, read off the syntax trees of damfs/ and daemon/.

Each rule is a pure function from a module to its offences, and each is shown a bad sample that it must catch.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAX_FUNCTION_LINES = 60
MAX_MODULE_LINES = 400
VAGUE_NAMES = frozenset({"util", "utils", "helper", "helpers", "manager", "managers", "common", "base", "misc"})
SQL = re.compile(
    r"\b(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|REPLACE\s+INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s)|^\s*WITH\s"
)
SQL_PARTS = frozenset({"clause", "marks"})
"""What SQL may be put together from, beside constants in capitals: conditions made by predicates, and rows of "?"."""
DATA_BASES = frozenset({"StrEnum", "IntEnum", "Enum", "Struct", "NamedTuple", "TypedDict"})


@dataclass(frozen=True, slots=True)
class Module:
    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)


def modules() -> list[Module]:
    paths = sorted(path for top in ("damfs", "daemon") for path in (ROOT / top).rglob("*.py"))
    return [Module(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in paths]


def sample(text: str, path: str = "damfs/sample.py") -> Module:
    return Module(Path(path), f'"""A sample."""\n{text}')


def long_functions(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}"


def long_modules(module: Module) -> Iterator[str]:
    lines = len(module.text.splitlines())
    if lines > MAX_MODULE_LINES:
        yield f"{lines}: the module has more than {MAX_MODULE_LINES} lines"


def vague_names(module: Module) -> Iterator[str]:
    for part in (*module.path.parts[:-1], module.path.stem):
        if VAGUE_NAMES & set(part.split("_")):
            yield f'1: "{part}" says nothing about what is in it'


def missing_docstrings(module: Module) -> Iterator[str]:
    """The docstring of a module speaks for its only class; a dataclass or an enum is said by its fields."""
    tree = module.tree
    if tree.body and not ast.get_docstring(tree):
        yield "1: the module has no docstring"
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and acts(node)]
    for node in classes:
        if len(classes) > 1 and not ast.get_docstring(node):
            yield f"{node.lineno}: class {node.name} has no docstring"


def acts(node: ast.ClassDef) -> bool:
    """Whether the class is public and more than data."""
    if node.name.startswith("_"):
        return False
    names = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    names |= {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in node.decorator_list}
    return not names & (DATA_BASES | {"dataclass"})


def awaits_in_transactions(module: Module) -> Iterator[str]:
    """A transaction holds the writer's lock: no other task may run before it is committed."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.With | ast.AsyncWith) and any(opens_transaction(item) for item in node.items):
            for inner in (inner for statement in node.body for inner in ast.walk(statement)):
                if suspends(inner):
                    line = getattr(inner, "lineno", node.lineno)
                    yield f"{line}: another task may run here, inside the transaction of line {node.lineno}"


def opens_transaction(item: ast.withitem) -> bool:
    call = item.context_expr
    if not isinstance(call, ast.Call):
        return False
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "transaction"


def suspends(node: ast.AST) -> bool:
    if isinstance(node, ast.comprehension):
        return bool(node.is_async)
    return isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith | ast.Yield | ast.YieldFrom)


def composed_sql(module: Module) -> Iterator[str]:
    """Values belong into parameters; only constants, conditions of predicates and rows of "?" may be put into SQL."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.expr) or not composes_sql(node):
            continue
        parts = interpolated(node)
        bad = [ast.unparse(part) for part in parts if not may_be_in_sql(part)]
        if bad:
            yield f"{node.lineno}: SQL made of {', '.join(bad)}"


def composes_sql(node: ast.expr) -> bool:
    """Whether the expression puts together a text that holds SQL: f-string, %, + or .format()."""
    match node:
        case ast.JoinedStr(values=values):
            return SQL.search("".join(literal(value) for value in values)) is not None
        case ast.BinOp(left=left, op=ast.Mod() | ast.Add()):
            return SQL.search(literal(left)) is not None
        case ast.Call(func=ast.Attribute(value=text, attr="format")):
            return SQL.search(literal(text)) is not None
    return False


def literal(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(literal(value) for value in values)
    return ""


def interpolated(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.JoinedStr(values=values):
            return [value.value for value in values if isinstance(value, ast.FormattedValue)]
        case ast.BinOp(right=right):
            return [right]
        case ast.Call(args=args, keywords=keywords):
            return [*args, *(keyword.value for keyword in keywords)]
    return []


def may_be_in_sql(part: ast.expr) -> bool:
    return isinstance(part, ast.Name) and (part.id.isupper() or part.id in SQL_PARTS)


Rule = Callable[[Module], Iterator[str]]
RULES: tuple[Rule, ...] = (
    long_functions,
    long_modules,
    vague_names,
    missing_docstrings,
    awaits_in_transactions,
    composed_sql,
)

LONG = "\n".join("    x = 1" for _ in range(MAX_FUNCTION_LINES))
BAD: list[tuple[Rule, Module]] = [
    (long_functions, sample(f"def f():\n{LONG}")),
    (long_functions, sample(f"class C:\n    async def f(self):\n{LONG.replace('    ', '        ')}")),
    (long_modules, sample("\n" * MAX_MODULE_LINES)),
    (vague_names, sample("", "damfs/core/utils.py")),
    (vague_names, sample("", "damfs/core/job_manager.py")),
    (vague_names, sample("", "damfs/common/names.py")),
    (missing_docstrings, Module(Path("damfs/x.py"), "import os")),
    (missing_docstrings, sample("class One:\n    '''Said.'''\nclass Two:\n    def run(self): ...")),
    (awaits_in_transactions, sample("async def f(c):\n    with c.transaction() as tx:\n        await g()")),
    (
        awaits_in_transactions,
        sample("async def f(c):\n    with a.b.transaction('bulk'):\n        if x:\n            y = [await g()]"),
    ),
    (awaits_in_transactions, sample("async def f(c):\n    with c.transaction():\n        async for x in y: ...")),
    (awaits_in_transactions, sample("async def f(c):\n    with c.transaction():\n        async with y: ...")),
    (awaits_in_transactions, sample("async def f(c):\n    with c.transaction():\n        [x async for x in y]")),
    (awaits_in_transactions, sample("def f(c):\n    with c.transaction() as tx:\n        yield tx")),
    (composed_sql, sample("q = f'SELECT * FROM asset WHERE name = {name}'")),
    (composed_sql, sample("q = f'SELECT {COLUMNS} FROM asset WHERE name = {asset.name}'")),
    (composed_sql, sample("q = 'SELECT a ' f'FROM b WHERE {x}'")),
    (composed_sql, sample("q = f'a.id IN (SELECT asset FROM tagging WHERE term = {term})'")),
    (composed_sql, sample("q = 'DELETE FROM asset WHERE id = %d' % id_")),
    (composed_sql, sample("q = 'UPDATE asset SET name = {}'.format(name)")),
    (composed_sql, sample("q = 'INSERT INTO asset VALUES (' + values + ')'")),
    (composed_sql, sample("q = f'WITH page AS ({page}) SELECT 1'")),
]
GOOD: list[tuple[Rule, Module]] = [
    (long_functions, sample("def f():\n" + "\n".join("    x = 1" for _ in range(MAX_FUNCTION_LINES - 1)))),
    (long_modules, sample("\n" * (MAX_MODULE_LINES - 2))),
    (vague_names, sample("", "damfs/storage/database.py")),
    (missing_docstrings, Module(Path("damfs/__init__.py"), "")),
    (missing_docstrings, sample("class Only:\n    def run(self): ...")),
    (missing_docstrings, sample("@dataclass(frozen=True)\nclass Row:\n    id: int\nclass Kind(StrEnum):\n    A = 'a'")),
    (
        awaits_in_transactions,
        sample("async def f(c):\n    with c.transaction() as tx:\n        tx.run()\n    await g()"),
    ),
    (composed_sql, sample("q = f'SELECT {COLUMNS} FROM asset AS a WHERE {clause} AND id IN ({marks})'")),
    (composed_sql, sample("raise Refused(f'{name} cannot be selected with this')")),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.__name__))
def test_no_module_breaks(rule: Rule) -> None:
    assert len(modules()) > 5
    offences = [f"{module.path}:{offence}" for module in modules() for offence in rule(module)]
    assert not offences, "\n".join(offences)


@pytest.mark.parametrize(("rule", "module"), BAD)
def test_rule_catches_a_bad_sample(rule: Rule, module: Module) -> None:
    assert list(rule(module))


@pytest.mark.parametrize(("rule", "module"), GOOD)
def test_rule_lets_a_good_sample_pass(rule: Rule, module: Module) -> None:
    assert not list(rule(module))


def imported_by(statement: str) -> set[str]:
    """The modules a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
    )


HEAVY = {"av", "PIL", "rawpy", "pillow_heif", "torch", "sentence_transformers", "transformers"}


def test_the_daemon_loads_no_codec_and_no_model() -> None:
    """A decoder that crashes must take a worker with it, not the mount (design, section 8)."""
    loaded = imported_by("import daemon.compose")
    assert "daemon.compose" in loaded
    assert not loaded & HEAVY


def test_a_loaded_codec_would_be_seen() -> None:
    assert imported_by("import av, PIL") & HEAVY == {"av", "PIL"}
