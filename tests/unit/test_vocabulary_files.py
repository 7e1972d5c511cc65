"""Files of vocabularies: each format there and back, what other programs write, and files that are wrong."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damfs.core.concepts import Concept, ConceptLabel, checked
from damfs.core.importing_terms import Imported, import_terms
from damfs.core.library import Library
from damfs.errors import BadVocabulary, Refused
from damfs.integration.terms import list_concepts
from damfs.integration.vocabulary_files import files, keyword_lists
from tests.small_library import opened, term

THESAURUS = """\
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix ex: <http://example.org/> .
ex:place a skos:Concept ; skos:prefLabel "place"@en , "Ort"@de ; skos:narrower ex:beach .
ex:beach a skos:Concept ; skos:prefLabel "Strand"@de , "beach"@en , "plage"@fr ; skos:altLabel "seashore"@en ;
  skos:hiddenLabel "baech" ; skos:scopeNote "sand or pebbles"@en ; skos:related ex:surfing .
ex:surfing a skos:Concept ; skos:prefLabel "surfing"@en ; skos:broader ex:sport , ex:water .
ex:sport a skos:Concept ; skos:prefLabel "sport" .
ex:water a skos:Concept ; skos:prefLabel "water"@en-GB .
"""
LIGHTROOM = "[places]\n\tFrance\n\t\t{Frankreich}\n\t\tParis\n\t\t\t{Lutetia}\n\tTexas\n\t\tParis\nsunset\n"


def concepts_of(library: Library) -> dict[str, Concept]:
    return {concept.name: concept for concept in list_concepts(library.db.writer)}


def plain(library: Library) -> dict[str, object]:
    """All that is said of each term, with names instead of numbers."""
    found = concepts_of(library)
    names = {concept.key: name for name, concept in found.items()}
    return {
        name: (
            names.get(each.broader), each.language, set(each.labels), each.notes,
            {names[other] for other in each.related}, each.prompt, each.grouping,
        )
        for name, each in found.items()
    }  # fmt: skip


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def take_over(library: Library, path: Path, kind: str = "") -> Imported:
    return imported(library, files.read_file(path, kind).concepts)


def imported(library: Library, concepts: Sequence[Concept]) -> Imported:
    return trio.run(import_terms, library, concepts, "test")


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def full(library: Library, tmp_path: Path) -> None:
    """A vocabulary with all there is."""
    take_over(library, written(tmp_path / "full.ttl", THESAURUS))
    made = [
        Concept("a", "work", prompt="people at their desks", grouping=True),
        Concept("b", "Büro 2", broader="a", labels=(ConceptLabel("desk; and chair"), ConceptLabel("日本", "ja"))),
        Concept("c", 'say "x", y', broader="b", notes={"": "two\nlines"}),
    ]
    imported(library, checked(made, "made").concepts)


def test_skos_there_and_back(library: Library, tmp_path: Path) -> None:
    full(library, tmp_path)
    text = files.FORMATS["skos"].write(list_concepts(library.db.writer), "x")
    with opened(tmp_path / "second") as second:
        take_over(second, written(tmp_path / "out.ttl", text))
        assert plain(second) == plain(library)
        again = files.FORMATS["skos"].write(list_concepts(second.db.writer), "x")
        assert sorted(again.split()) == sorted(text.split())


@pytest.mark.parametrize("kind", ["lightroom", "paths", "csv"])
def test_lists_there_and_back(kind: str, library: Library, tmp_path: Path) -> None:
    """What the format can say comes back; written once more it is the same text."""
    full(library, tmp_path)
    text = files.FORMATS[kind].write(list_concepts(library.db.writer), "x")
    with opened(tmp_path / "second") as second:
        take_over(second, written(tmp_path / "out", text), kind)
        assert files.FORMATS[kind].write(list_concepts(second.db.writer), "x") == text
        here, there = concepts_of(library), concepts_of(second)
        assert set(there) == set(here)
        for name, concept in there.items():
            above = next((each.name for each in here.values() if each.key == here[name].broader), None)
            assert next((each.name for each in there.values() if each.key == concept.broader), None) == above
            if kind != "paths":
                assert {each.name for each in concept.labels} == {each.name for each in here[name].labels}


def test_what_a_thesaurus_says_is_taken_over(library: Library, tmp_path: Path) -> None:
    take_over(library, written(tmp_path / "x.ttl", THESAURUS))
    found = concepts_of(library)
    names = {concept.key: name for name, concept in found.items()}
    beach, surfing = found["beach"], found["surfing"]
    assert names[beach.broader] == "place"
    assert beach.language == "en"
    assert set(beach.labels) == {
        ConceptLabel("Strand", "de", preferred=True), ConceptLabel("plage", "fr", preferred=True),
        ConceptLabel("seashore", "en"), ConceptLabel("baech"),
    }  # fmt: skip
    assert beach.notes == {"en": "sand or pebbles"}
    assert beach.uri == "http://example.org/beach"
    assert names[surfing.broader] == "sport"
    assert {names[key] for key in surfing.related} == {"beach", "water"}, "a second broader term becomes a related one"


def test_a_file_again_changes_nothing_and_a_renamed_term_is_known_by_its_uri(library: Library, tmp_path: Path) -> None:
    path = written(tmp_path / "x.ttl", THESAURUS)
    take_over(library, path)
    before = plain(library)
    again = take_over(library, path)
    assert (again.added, again.moved, again.labels) == (0, 0, 0)
    assert plain(library) == before
    changed = THESAURUS.replace('"beach"@en', '"the beach"@en')
    take_over(library, written(tmp_path / "y.ttl", changed))
    found = concepts_of(library)
    assert set(found) == set(before), "what a person calls it here stays"
    assert ConceptLabel("the beach", "en", preferred=True) in found["beach"].labels


def test_a_lightroom_list(library: Library, tmp_path: Path) -> None:
    found = files.read_file(written(tmp_path / "k.txt", b"\xef\xbb\xbf" + LIGHTROOM.replace("\n", "\r\n").encode()))
    assert [concept.name for concept in found.concepts] == [
        "places", "France", "Paris", "Texas", "Paris (Texas)", "sunset",
    ]  # fmt: skip
    assert found.remarks == ['line 7: there is another "Paris" in the file; this one is called "Paris (Texas)"']
    assert [concept.grouping for concept in found.concepts] == [True, False, False, False, False, False]
    assert found.concepts[2].labels == (ConceptLabel("Lutetia"),)
    utf_16 = files.read_file(written(tmp_path / "u.txt", LIGHTROOM.encode("utf-16")))
    assert utf_16.concepts == found.concepts


def test_lists_of_paths_as_digikam_and_others_write_them(tmp_path: Path) -> None:
    found = files.read_file(written(tmp_path / "k.txt", "People/Anna\nPlaces|France|Paris\nPlaces|France\nsunset\n"))
    assert [(each.name, each.where) for each in found.concepts] == [
        ("People", "line 1"), ("Anna", "line 1"), ("Places", "line 2"), ("France", "line 2"), ("Paris", "line 2"),
        ("sunset", "line 4"),
    ]  # fmt: skip


def test_a_table(tmp_path: Path) -> None:
    text = 'name;broader;synonyms;note\nbeach;place;"plage@fr; shore";"sand; or pebbles"\n\nsea;place;;\n'
    found = files.read_file(written(tmp_path / "t.csv", text)).concepts
    assert [(each.name, each.broader) for each in found] == [("place", ""), ("beach", "place"), ("sea", "place")]
    assert found[1].labels == (ConceptLabel("plage", "fr"), ConceptLabel("shore"))
    assert found[1].notes == {"": "sand; or pebbles"}


LONG = "x" * 1_000_000
WRONG: dict[str, tuple[str | bytes | None, str]] = {
    "circle.csv": ("name,broader\na,b\nb,c\nc,a\n", 'line 2: broader terms go in a circle: "a" > "c" > "b" > "a"'),
    "itself.csv": ("name,broader\na,a\n", 'line 2: broader terms go in a circle: "a" > "a"'),
    "twice.csv": ("name,broader\na,\nb,\na,b\n", 'line 4: "a" is there already (line 2)'),
    "head.csv": ("term,parent\na,b\n", 'line 1: there is no column "term"'),
    "columns.csv": ("name,broader\na,b,c\n", "line 2: 3 columns, but the head has 2"),
    "quote.csv": ('name,note\na,"b\n', "line 2: unexpected end of data"),
    "field.csv": (f"name,note\na,{LONG}\n", "line 2: field larger than field limit"),
    "latin.csv": ("name\ncafé\n".encode("latin-1"), "line 2: no UTF-8 text (byte 0xe9); save it as UTF-8"),
    "zero.txt": (b"a\nb\0\n", "line 2: no text (a zero byte)"),
    "long.txt": (f"a\n{LONG}\n", "line 2: 1,000,000 characters; this is no list of terms"),
    "name.txt": (f"a\n\t{'y' * 300}\n", "is 300 characters long; a term has at most 255 bytes"),
    "deep.txt": ("a\n\t\t\tb\n", "line 2: indented by 3 tabs below one with 0"),
    "first.txt": ("{b}\n", 'line 1: the synonym "b" stands below no keyword'),
    "empty.txt": ("\n \n", "there are no terms in it"),
    "what.xyz": ("a\n", "which format? name it with --format: skos, lightroom, paths, csv"),
    "dropping.csv": ("name\nThumbs.db\n", 'line 2: "Thumbs.db" is a name that desktops leave behind'),
    "syntax.ttl": ("@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n<a> a skos:Concept ; !!\n",
                   "line 2: no valid Turtle"),
    "none.ttl": ("<http://e/a> <http://e/b> <http://e/c> .\n", "no skos:Concept and no skos:prefLabel in it"),
    "circle.ttl": (THESAURUS + "ex:place skos:broader ex:beach .\n", "broader terms go in a circle"),
    "itself.ttl": (THESAURUS + "ex:sport skos:broader ex:sport .\n", 'circle: "sport" > "sport"'),
    "long.ttl": (THESAURUS.replace('"sport"', f'"{LONG}"'), "is 1,000,000 characters long"),
    "nested.ttl": (THESAURUS + "ex:a ex:b " + "[ ex:b " * 50_000 + "1" + "]" * 50_000 + " .\n", "nested too deeply"),
    "many.txt": ("".join(f"{each:x}\n" for each in range(1_000_000)),
                 "more than 100,000 terms; import a part of it, or is this"),
    "many.csv": ("name\n" + "".join(f"{each:x}\n" for each in range(100_002)), "more than 100,000 terms"),
    "sixteen.txt": ("beach\n\tsea\n".encode("utf-16-le"), "line 1: this seems to be UTF-16 without its mark"),
    "sixteen.ttl": (THESAURUS.encode("utf-16-be"), "line 1: this seems to be UTF-16 without its mark"),
    "half.txt": ("beach\n".encode("utf-16")[:-1], "no UTF-16 text"),
    "prefix.ttl": (THESAURUS.replace("ex: <", "other: <"), "line 3: no valid Turtle"),
    "missing.ttl": (None, "cannot be read: No such file or directory"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_file_that_is_wrong_is_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    text, line = WRONG[name]
    path = tmp_path / name
    if text is not None:
        written(path, text)
    with pytest.raises(BadVocabulary) as told:
        files.read_file(path)
    said = str(told.value)
    assert said.startswith(str(path))
    assert line in said
    assert "\n" not in said
    assert len(said) < 400 + len(str(path))


@pytest.mark.parametrize("code", ["utf-16", "utf-8-sig", "utf-8"])
def test_lists_in_the_encodings_that_programs_write(code: str, tmp_path: Path) -> None:
    found = files.read_file(written(tmp_path / "keywords.txt", "Küste\r\n\tStrand\r\n\t\t{海岸}\r\n".encode(code)))
    assert [(each.name, [label.name for label in each.labels]) for each in found.concepts] == [
        ("Küste", []), ("Strand", ["海岸"])
    ]  # fmt: skip


def test_a_table_with_marks_and_lines_in_its_cells(tmp_path: Path) -> None:
    text = 'name,note\r\n"say ""x"", y","two\r\nlines, and ""marks"""\r\n'
    (found,) = files.read_file(written(tmp_path / "t.csv", text)).concepts
    assert (found.name, found.notes) == ('say "x", y', {"": 'two\r\nlines, and "marks"'})


def test_a_file_without_an_end_is_read_so_far_and_no_further() -> None:
    with pytest.raises(BadVocabulary, match="is larger than 64 MB"):
        files.read_file(Path("/dev/zero"), "paths")


def test_prefixes_that_mean_something_else_later_and_further_broader_terms(tmp_path: Path) -> None:
    text = THESAURUS + "@prefix ex: <http://other.example/> .\n@base <file:///etc/> .\nex:beach a skos:Concept ;"
    text += ' skos:prefLabel "another beach"@en ; skos:broader <passwd> .\n'
    found = files.read_file(written(tmp_path / "x.ttl", text))
    assert {each.name: each.uri for each in found.concepts}["another beach"] == "http://other.example/beach"
    assert found.remarks == ['http://example.org/surfing: further broader terms became related ones: "water"']


def test_a_circle_with_what_is_there_changes_nothing(library: Library, tmp_path: Path) -> None:
    term(library, "a", term(library, "b"))
    before = plain(library)
    with pytest.raises(Refused, match='the file has "b" below "a", which is narrower here'):
        take_over(library, written(tmp_path / "x.csv", "name,broader\nnew,\nb,a\n"))
    assert plain(library) == before


def test_a_name_that_a_list_of_paths_cannot_say(library: Library) -> None:
    term(library, "a|b")
    with pytest.raises(BadVocabulary, match="export as skos"):
        keyword_lists.write_paths(list_concepts(library.db.writer), "x.list")


@given(st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@pytest.mark.parametrize("kind", ["lightroom", "paths", "csv"])
def test_any_bytes_are_a_vocabulary_or_a_clear_error(kind: str, tmp_path: Path, data: bytes) -> None:
    found, told = read_or_told(written(tmp_path / "any", data), kind)
    names = [concept.name for concept in found]
    assert bool(names) != told.startswith(str(tmp_path / "any"))
    assert len(set(names)) == len(names)


def read_or_told(path: Path, kind: str) -> tuple[Sequence[Concept], str]:
    try:
        return files.read_file(path, kind).concepts, ""
    except BadVocabulary as error:
        return [], str(error)


def test_damaged_turtle_is_a_vocabulary_or_a_clear_error(tmp_path: Path) -> None:
    chance = random.Random(7)
    for _ in range(60):
        at = chance.randrange(len(THESAURUS))
        text = THESAURUS[:at] + chance.choice(["", '"', "<", "[", "(", ";", ".", "\\", "@"]) + THESAURUS[at + 1 :]
        found, told = read_or_told(written(tmp_path / "d.ttl", text[: chance.randrange(len(text))]), "skos")
        assert bool(found) != told.startswith(str(tmp_path / "d.ttl"))


def test_rdflib_is_loaded_only_for_a_file_of_skos() -> None:
    code = "import sys, daemon.compose, damfs.integration.cli; sys.exit('rdflib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
