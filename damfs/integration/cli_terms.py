"""The commands about the vocabulary: `damfs term …`. Added to the command group of `cli`.

Blocks. Files of other programs are read and written here, not in the daemon.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from damfs.core.concepts import Concept
from damfs.errors import NotFound, Refused
from damfs.integration import progress
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.vocabulary_files import files
from damfs.integration.wire import Progress, Request
from damfs.integration.wire_terms import (
    AddTerm,
    ChangeTerm,
    DescribeTerm,
    GetVocabulary,
    ImportVocabulary,
    LabelTerm,
    MergeTerm,
    RelateTerm,
)

TERM = click.argument("name", metavar="TERM")
LANGUAGE = click.option("--language", default="", help="As a tag: fr, pt-BR, zh-Hant.")
FORMAT = click.option(
    "--format", "kind", type=click.Choice(list(files.FORMATS)), help="Of the file; by its ending if left out."
)
REMARKS_SHOWN = 20


@click.group(
    epilog=examples(
        "damfs term import ~/library places.ttl",
        "damfs term list ~/library",
        "damfs term add ~/library beach --below place",
        "damfs term synonym ~/library beach plage --language fr",
        "damfs term merge ~/library shore beach",
        "damfs term export ~/library backup.ttl",
    )
)
def term() -> None:
    """The vocabulary: its terms, what they are called, what is broader and narrower."""


@term.command("list", epilog=examples("damfs term list ~/library", "damfs term list ~/library --below place --json"))
@LIBRARY
@click.option("--below", default="", metavar="TERM", help="Only this term and what is narrower.")
@AS_JSON
def list_(library: Path, below: str, as_json: bool) -> None:
    """The terms as a tree, with how many assets were given each."""
    concepts = _vocabulary(library)
    shown = _below(concepts, below) if below else concepts
    if as_json:
        click.echo(json.dumps([_told(each, concepts) for each in shown], indent=2, ensure_ascii=False))
        return
    if not concepts:
        click.echo(f"no terms yet; make one with: damfs term add {library} beach")
    keys = {each.key for each in shown}
    children: dict[str, list[Concept]] = {}
    for each in shown:
        children.setdefault(each.broader if each.broader in keys else "", []).append(each)
    waiting = [(0, each) for each in reversed(children.get("", []))]
    while waiting:
        depth, each = waiting.pop()
        others = ", ".join(label.name for label in each.labels)
        click.echo(f"{each.assets:>8,}  {'  ' * depth}{each.name}" + (f"  ({others})" if others else ""))
        waiting += [(depth + 1, child) for child in reversed(children.get(each.key, []))]


@term.command(epilog=examples("damfs term show ~/library beach", "damfs term show ~/library plage --json"))
@LIBRARY
@TERM
@AS_JSON
def show(library: Path, name: str, as_json: bool) -> None:
    """All that is said of a term."""
    concepts = _vocabulary(library)
    told = _told(_found(concepts, name), concepts)
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for what, value in told.items():
        lines = value if isinstance(value, list) else [value]
        if any(lines):
            click.echo(f"{what:<10} {', '.join(map(_text, lines))}")


@term.command(epilog=examples("damfs term add ~/library beach", "damfs term add ~/library beach --below place"))
@LIBRARY
@TERM
@click.option("--below", default="", metavar="TERM", help="The broader term.")
@click.option("--synonym", "synonyms", multiple=True, help="Another name; may be given again.")
@click.option("--note", default="", help="What it means, when to use it.")
@click.option("--prompt", default="", help='What a picture of it shows, for suggestions: "a photo taken on a beach".')
def add(library: Path, name: str, below: str, synonyms: tuple[str, ...], note: str, prompt: str) -> None:
    """Define a term, also where the vocabulary is closed."""
    _ask(library, AddTerm(name, below, synonyms, note, prompt))


@term.command(epilog=examples('damfs term rename ~/library "see side" sea', "damfs term rename ~/library a b --keep"))
@LIBRARY
@TERM
@click.argument("new_name", metavar="NEW")
@click.option("--keep", is_flag=True, help="The old name stays as a synonym.")
def rename(library: Path, name: str, new_name: str, keep: bool) -> None:
    """Give a term another name; what is tagged with it stays tagged."""
    _ask(library, ChangeTerm(name, new_name, keep))


@term.command(epilog=examples("damfs term move ~/library beach --below place", "damfs term move ~/library beach"))
@LIBRARY
@TERM
@click.option("--below", default="", metavar="TERM", help="The broader term; left out: none, it becomes a top term.")
def move(library: Path, name: str, below: str) -> None:
    """Give a term another broader term."""
    _ask(library, ChangeTerm(name, move=True, below=below))


@term.command(epilog=examples("damfs term merge ~/library shore beach"))
@LIBRARY
@TERM
@click.argument("into", metavar="INTO")
@AS_JSON
def merge(library: Path, name: str, into: str, as_json: bool) -> None:
    """Make one term part of another: its assets, what is narrower, its names. Its name becomes a synonym."""
    answer = _ask(library, MergeTerm(name, into))
    assert isinstance(answer, dict)
    said = f'"{name}" is part of "{into}" now, {answer["assets"]:,} assets; to take that back: damfs undo {library}'
    click.echo(json.dumps(answer) if as_json else said)


@term.command(epilog=examples("damfs term remove ~/library beach"))
@LIBRARY
@TERM
def remove(library: Path, name: str) -> None:
    """Remove a term that nothing is tagged with and nothing is narrower than."""
    _ask(library, ChangeTerm(name, remove=True))


@term.command(
    epilog=examples(
        "damfs term synonym ~/library beach seashore",
        "damfs term synonym ~/library beach plage --language fr --preferred",
        "damfs term synonym ~/library beach seashore --remove",
    )
)
@LIBRARY
@TERM
@click.argument("label", metavar="SYNONYM")
@LANGUAGE
@click.option("--preferred", is_flag=True, help="It is what the term is called in that language.")
@click.option("--remove", "gone", is_flag=True, help="Take it away.")
def synonym(library: Path, name: str, label: str, language: str, preferred: bool, gone: bool) -> None:
    """Another name that leads to the term, also in by-tag/ and in damfs tag."""
    _ask(library, LabelTerm(name, label, language, preferred, gone))


@term.command(epilog=examples("damfs term relate ~/library beach surfing"))
@LIBRARY
@TERM
@click.argument("other", metavar="OTHER")
@click.option("--remove", "gone", is_flag=True, help="They have nothing to do with each other.")
def relate(library: Path, name: str, other: str, gone: bool) -> None:
    """Say that two terms have to do with each other, and neither is broader."""
    _ask(library, RelateTerm(name, other, gone))


@term.command(
    epilog=examples(
        'damfs term describe ~/library beach --note "sand or pebbles, no harbours"',
        'damfs term describe ~/library work --prompt "people at their desks"',
        "damfs term describe ~/library places --grouping",
    )
)
@LIBRARY
@TERM
@click.option("--note", default=None, help="What it means, when to use it.")
@LANGUAGE
@click.option("--prompt", default=None, help="What a picture of it shows, for suggestions.")
@click.option("--grouping/--no-grouping", default=None, help="It only holds others together and is never suggested.")
def describe(
    library: Path, name: str, note: str | None, language: str, prompt: str | None, grouping: bool | None
) -> None:
    """Say what a term means and what pictures of it show."""
    if note is None and prompt is None and grouping is None:
        raise click.UsageError("say what to change: --note, --prompt, --grouping")
    _ask(library, DescribeTerm(name, note, language, prompt, grouping))


@term.command(
    "import",
    epilog=examples(
        "damfs term import ~/library thesaurus.ttl",
        "damfs term import ~/library keywords.txt --format lightroom",
        "damfs term import ~/library terms.csv --json",
    ),
)
@LIBRARY
@click.argument("file", type=click.Path(path_type=Path))
@FORMAT
@AS_JSON
def import_(library: Path, file: Path, kind: str | None, as_json: bool) -> None:
    """Take over a vocabulary: SKOS (Turtle), a Lightroom keyword list, a list of paths a/b/c, a table (CSV).

    A term that is there keeps its name, its tags and its other names, comes below what the file says, and gets what it
    does not have yet. The same file again changes nothing; one that was interrupted goes on. damfs undo takes all of
    it back, but for what people have used or changed since.
    """
    with progress.shown(quiet=as_json) as report:
        report(Progress(f"reading {file.name}", 0, 0))
        found = files.read_file(file, kind or "")
        answer = call(library.absolute(), ImportVocabulary(tuple(found.concepts)), report)
    assert isinstance(answer, dict)
    remarks = [*found.remarks, *answer["remarks"]]
    if as_json:
        click.echo(json.dumps({**answer, "terms": len(found.concepts), "remarks": remarks}, ensure_ascii=False))
        return
    counts = f"{answer['added']:,} new, {answer['moved']:,} moved, {answer['labels']:,} synonyms"
    click.echo(f"{len(found.concepts):,} terms from {file}: {counts}")
    for remark in remarks[:REMARKS_SHOWN]:
        click.echo(f"  {remark}", err=True)
    if len(remarks) > REMARKS_SHOWN:
        click.echo(f"  and {len(remarks) - REMARKS_SHOWN:,} more; --json shows all", err=True)


@term.command(epilog=examples("damfs term export ~/library terms.ttl", "damfs term export ~/library - --format csv"))
@LIBRARY
@click.argument("file", type=click.Path(path_type=Path))
@FORMAT
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def export(library: Path, file: Path, kind: str | None, force: bool) -> None:
    """Write the vocabulary to a file, or to - for standard output."""
    as_kind = files.kind_for_writing(file, kind or "") if str(file) != "-" or kind else "skos"
    text = files.FORMATS[as_kind].write(_vocabulary(library), str(file))
    if str(file) == "-":
        sys.stdout.write(text)
        return
    try:
        with file.open("w" if force else "x", encoding="utf-8", newline="") as out:
            out.write(text)
    except FileExistsError:
        raise Refused(f"{file} is there already; --force writes over it") from None


def _vocabulary(library: Path) -> list[Concept]:
    return msgspec.convert(_ask(library, GetVocabulary()), list[Concept])


def _found(concepts: list[Concept], name: str) -> Concept:
    """By its own name, else by a label. Raises NotFound."""
    own = [each for each in concepts if each.name == name]
    found = own or [each for each in concepts if any(label.name == name for label in each.labels)]
    if not found:
        from damfs.core.term_commands import did_you_mean  # the catalog takes long to import

        raise NotFound(f'there is no term "{name}"{did_you_mean(name, [each.name for each in concepts])}')
    return found[0]


def _below(concepts: list[Concept], name: str) -> list[Concept]:
    keys = {_found(concepts, name).key}
    grown = True
    while grown:
        more = {each.key for each in concepts if each.broader in keys} - keys
        keys |= more
        grown = bool(more)
    return [each for each in concepts if each.key in keys]


def _told(concept: Concept, concepts: list[Concept]) -> dict[str, object]:
    names = {each.key: each.name for each in concepts}
    return {
        "term": concept.name, "language": concept.language, "broader": names.get(concept.broader),
        "narrower": [each.name for each in concepts if each.broader == concept.key],
        "related": [names[key] for key in concept.related],
        "labels": [msgspec.to_builtins(label) for label in concept.labels],
        "notes": [{"language": language, "note": note} for language, note in concept.notes.items()],
        "prompt": concept.prompt, "uri": concept.uri, "grouping": concept.grouping, "assets": concept.assets,
    }  # fmt: skip


def _text(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    said = str(value.get("name") or value.get("note"))
    return f"{said} ({value['language']})" if value["language"] else said


def _ask(library: Path, request: Request) -> object:
    return call(library.absolute(), request)


COMMANDS = (term,)
