"""A large vocabulary through the mount: imported, browsed, renamed, merged; synonyms; suggestions; a closed vocabulary.

How much is asked of the catalog is counted, not timed: a listing asks no question a term.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from damfs.integration.client import call
from damfs.integration.wire_terms import GetVocabulary
from tests.mount.conftest import Serve
from tests.mount.daemon_process import QUICK, Daemon, damfs, lists, rows, run, until

WIDTH, DEPTH = 10, 3
TERMS = 5_000
PREFIX = "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n@prefix t: <http://example.org/t/> .\n"


def thesaurus(number: int) -> str:
    """SKOS: a tree of ten at the top (and so on below), each term with a synonym, every tenth with a French name."""
    lines = [PREFIX]
    for each in range(number):
        broader = f" ; skos:broader t:{each // WIDTH - 1}" if each >= WIDTH else ""
        french = f' , "mot {each}"@fr' if each % WIDTH == WIDTH - 1 else ""
        lines.append(
            f't:{each} a skos:Concept ; skos:prefLabel "term {each}"@en{french} ;'
            f' skos:altLabel "alias {each}"{broader} .\n'
        )
    return "".join(lines)


def path_of(each: int) -> str:
    steps = [f"term {each}"]
    while each >= WIDTH:
        each = each // WIDTH - 1
        steps.append(f"term {each}")
    return "/".join(reversed(steps))


def statements(dam: Daemon, doing: Callable[[], object]) -> int:
    """Statements that the daemon's writer ran meanwhile: what handlers ask."""

    def counted() -> int:
        (found,) = re.findall(
            r"^damfs_catalog_statements(?:_total)? (\d+)", (dam / ".damfs/stats").read_text(), re.MULTILINE
        )
        return int(found)

    counted()
    before = counted()
    asking = counted() - before
    before = counted()
    doing()
    return counted() - before - asking


@pytest.fixture
def loaded(dam: Daemon, tmp_path: Path) -> Daemon:
    file = tmp_path / "thesaurus.ttl"
    file.write_text(thesaurus(TERMS))
    said = damfs("term", "import", dam.library, file).stdout
    assert said == f"5,000 terms from {file}: 5,000 new, 0 moved, 5,500 synonyms\n"
    return dam


def test_five_thousand_terms_are_imported_browsed_renamed_and_merged(loaded: Daemon, tmp_path: Path) -> None:
    by_tag = loaded / "by-tag"
    clip = tmp_path / "clip.txt"
    clip.write_text("clip")
    deep, other = path_of(4999), path_of(4000)
    run("cp", clip, by_tag / "term 4999")
    top = deep.split("/")[0]
    assert sorted(os.listdir(by_tag)) == sorted(f"term {each}" for each in range(WIDTH))
    assert "clip.txt" in os.listdir(by_tag / top), "a narrower term implies the broader ones"

    assert (by_tag / "term 4999").stat().st_ino != (by_tag / deep).stat().st_ino, "reached by name, another place"
    assert os.listdir(by_tag / "mot 4999") == ["clip.txt"], "by its French name"

    run("mv", "-T", by_tag / deep, by_tag / os.path.dirname(deep) / "the last")
    assert "the last" in os.listdir(by_tag / os.path.dirname(deep))
    assert not (by_tag / deep).exists()
    assert os.listdir(by_tag / "the last") == ["clip.txt"]
    assert os.listdir(by_tag / "alias 4999") == ["clip.txt"]

    run("mv", by_tag / os.path.dirname(deep) / "the last", by_tag / "term 1")
    until(lambda: "clip.txt" not in os.listdir(by_tag / top), "the broader terms are implied no more")
    until(lambda: "clip.txt" in os.listdir(by_tag / "term 1"), "but those that are broader now")

    run("mv", "-T", by_tag / "term 1/the last", by_tag / os.path.dirname(path_of(4998)) / "term 4998")
    assert os.listdir(by_tag / path_of(4998)) == ["clip.txt"], "onto a term that nothing carries: the two are one"
    assert os.listdir(by_tag / "alias 4998") == os.listdir(by_tag / "alias 4999") == ["clip.txt"]
    damfs("undo", loaded.library)
    lists(by_tag / path_of(4998))
    lists(by_tag / "term 1/the last", "clip.txt")

    assert (by_tag / "term 4000").is_dir()
    damfs("term", "merge", loaded.library, "the last", "term 4000")
    lists(by_tag / other, "clip.txt")
    until(lambda: "the last" not in os.listdir(by_tag / "term 1"), "it is not below the other any more")
    lists(by_tag / "the last", "clip.txt")  # its name is a synonym now
    until(lambda: os.path.samefile(by_tag / "the last", by_tag / "term 4000"), "they are one")
    damfs("undo", loaded.library)
    lists(by_tag / other)
    lists(by_tag / "term 1/the last", "clip.txt")


def test_a_term_with_all_others_below_is_renamed_and_moved_at_the_cost_of_one(dam: Daemon, tmp_path: Path) -> None:
    by_tag, file = dam / "by-tag", tmp_path / "tree.csv"
    lines = [f"term {each},{f'term {each // WIDTH - 1}' if each >= WIDTH else ''}\n" for each in range(TERMS)]
    file.write_text("name,broader\n" + "".join(lines))
    assert damfs("term", "import", dam.library, file).stdout.endswith("5,000 new, 0 moved, 0 synonyms\n")
    (tmp_path / "clip.txt").write_text("clip")
    run("cp", tmp_path / "clip.txt", by_tag / "term 4999")
    for name in ("all", "above"):
        (by_tag / name).mkdir()

    def moved(before: str, after: str) -> int:
        return statements(dam, lambda: (by_tag / before).rename(by_tag / after))

    dam.idle()
    dam.stats_at_rest()
    asked = [moved(f"term {each}", f"all/term {each}") for each in range(WIDTH)]
    asked += [moved("all", "everything"), moved("everything", "above/everything")]
    assert max(asked) <= 200, "of 5,000 terms"
    assert sorted(os.listdir(by_tag)) == ["above"]
    assert "clip.txt" in os.listdir(by_tag / "above")
    assert "clip.txt" in os.listdir(by_tag / "above/everything" / path_of(4999))
    wrong = damfs("term", "merge", dam.library, "everything", "term 0", check=False)
    assert wrong.stderr == (
        'damfs: "term 0" is narrower than "everything": merge it the other way round, or move it first\n'
    )
    said = damfs("term", "merge", dam.library, "everything", "above").stdout
    assert said.startswith('"everything" is part of "above" now')
    assert sorted(set(os.listdir(by_tag / "above")) - {"clip.txt"}) == sorted(f"term {each}" for each in range(WIDTH))
    groups = damfs("undo", dam.library, "--list").stdout.splitlines()
    assert "1 term merged" in groups[0]
    assert f"{TERMS:,} things imported into the vocabulary" in groups[-1]


def test_an_import_is_undone_while_the_mount_goes_on(dam: Daemon, tmp_path: Path) -> None:
    (dam / "by-tag/mine").mkdir()
    (dam / "by-tag/mine/a.txt").write_text("a")
    file = tmp_path / "flat.csv"
    file.write_text("name,broader,synonyms\n" + "".join(f"word {each},mine,wort {each}@de\n" for each in range(500)))
    assert damfs("term", "import", dam.library, file).stdout.endswith("500 new, 0 moved, 500 synonyms\n")
    assert damfs("term", "import", dam.library, file).stdout.endswith("0 new, 0 moved, 0 synonyms\n")
    run("cp", dam / "by-tag/mine/a.txt", dam / "by-tag/wort 7/b.txt")
    dam.settled()
    assert len(os.listdir(dam / "by-tag/mine")) == 502
    damfs("undo", dam.library)
    said = damfs("undo", dam.library)
    assert said.stdout.startswith("undone: 1,000 things imported into the vocabulary")
    until(lambda: sorted(os.listdir(dam / "by-tag/mine")) == ["a.txt"], "nothing of it is left")
    assert os.listdir(dam / "by-tag") == ["mine"]


def test_a_listing_asks_no_question_a_term(dam: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "flat.csv"
    file.write_text("name,broader\n" + "".join(f"word {each},\n" for each in range(2_000)))
    damfs("term", "import", dam.library, file)
    by_tag = dam / "by-tag"
    dam.stats_at_rest()
    few = statements(dam, lambda: os.listdir(dam / "suggested"))
    assert statements(dam, lambda: os.listdir(by_tag)) <= few + 100
    assert len(os.listdir(by_tag)) == 2_000
    looked = statements(dam, lambda: [(by_tag / f"word {each}/word {each + 1}").stat() for each in range(100, 150)])
    assert looked <= 50 * 2 * 20 + 100, "a lookup asks a fixed number of questions"


def test_a_synonym_is_the_same_directory_and_is_not_listed(dam: Daemon) -> None:
    (dam / "by-tag/beach").mkdir()
    with pytest.raises(FileNotFoundError):
        (dam / "by-tag/plage").stat()
    damfs("term", "synonym", dam.library, "beach", "plage", "--language", "fr")
    beach, plage = dam / "by-tag/beach", dam / "by-tag/plage"
    until(plage.exists, "the synonym leads somewhere")
    assert plage.stat().st_ino == beach.stat().st_ino
    assert os.listdir(dam / "by-tag") == ["beach"]
    with pytest.raises(FileExistsError):
        plage.mkdir()
    (plage / "a.txt").write_text("a")
    assert os.listdir(beach) == ["a.txt"]
    for refused in (lambda: plage.rename(dam / "by-tag/other"), plage.rmdir):
        with pytest.raises(PermissionError):
            refused()
    damfs("tag", dam / "by-tag/beach/a.txt", "plage")
    assert os.listdir(dam / "by-tag") == ["beach"]
    damfs("term", "synonym", dam.library, "beach", "plage", "--remove")
    until(lambda: not plage.exists(), "the synonym leads nowhere")
    assert os.listdir(beach) == ["a.txt"]


def test_onto_an_unused_term_and_onto_one_in_use(dam: Daemon) -> None:
    by_tag = dam / "by-tag"
    for name in ("shore", "coast", "used"):
        (by_tag / name).mkdir()
    damfs("term", "synonym", dam.library, "coast", "littoral")
    (by_tag / "shore/a.txt").write_text("a")
    (by_tag / "used/b.txt").write_text("b")
    with pytest.raises(OSError, match="Directory not empty") as told:
        (by_tag / "shore").rename(by_tag / "used")
    assert told.value.errno == errno.ENOTEMPTY
    (by_tag / "shore").rename(by_tag / "coast")
    assert sorted(os.listdir(by_tag)) == ["coast", "used"]
    assert os.listdir(by_tag / "coast") == ["a.txt"]
    assert os.listdir(by_tag / "littoral") == ["a.txt"]
    assert not (by_tag / "shore").exists()
    damfs("undo", dam.library)
    lists(by_tag, "coast", "shore", "used")
    lists(by_tag / "shore", "a.txt")
    lists(by_tag / "littoral")
    (by_tag / "used/b.txt").unlink()  # that somebody judged so keeps nobody from using the name
    (by_tag / "shore").rename(by_tag / "used")
    assert os.listdir(by_tag / "used") == ["a.txt"]


def test_a_closed_vocabulary(serve: Serve) -> None:
    dam = serve(settings=QUICK + "[vocabulary]\nopen = false\n").start()
    damfs("term", "add", dam.library, "beach")
    (dam / "inbox/a.txt").write_text("a")
    dam.settled()
    with pytest.raises(PermissionError):
        (dam / "by-tag/bech").mkdir()
    with pytest.raises(PermissionError):
        os.setxattr(dam / "inbox/a.txt", "user.xdg.tags", b"bech")
    why = (dam / ".damfs/refused").read_text().splitlines()
    assert [line[21:] for line in why] == [
        f'{operation}: there is no term "bech" (did you mean beach?);'
        " the vocabulary is closed: damfs term add LIBRARY NAME adds one"
        for operation in ("mkdir", "setxattr")
    ]
    said = damfs("tag", dam / "inbox/a.txt", "bech", check=False)
    assert said.returncode == 1
    assert said.stderr == (
        'damfs: there is no term "bech" (did you mean beach?);'
        " the vocabulary is closed: damfs term add LIBRARY NAME adds one\n"
    )
    damfs("tag", dam / "inbox/a.txt", "beach")
    lists(dam / "by-tag/beach", "a.txt")
    assert [concept["name"] for concept in call(dam.library, GetVocabulary())] == ["beach"]  # type: ignore[attr-defined]  # JSON


@pytest.fixture
def proposed(dam: Daemon) -> Daemon:
    """beach is proposed for a.txt, b.txt, c.txt: by hand, as no model can be sure of a test."""
    for name in "abcd":
        (dam / f"inbox/{name}.txt").write_text(name)
    for name in ("beach", "sea"):
        (dam / "by-tag" / name).mkdir()
    dam.settled()
    dam.idle()
    dam.end()
    propose(dam.library, "a.txt", "b.txt", "c.txt")
    return dam.start()


def propose(library: Path, *names: str) -> None:
    from damfs.catalog.proposals import Origin
    from damfs.core.library import open_library
    from damfs.core.suggesting import Suggest
    from tests.small_library import term, the_asset

    with open_library(library) as opened:
        found = [(term(opened, "beach"), 0.8)]
        opened.execute(
            [Suggest(the_asset(opened, name).id, Origin("auto_tag/9", "m"), found) for name in names], "test"
        )


def test_suggestions_are_accepted_and_refused_by_file_operations(proposed: Daemon) -> None:
    dam, beach = proposed, proposed / "by-tag/beach"
    suggested = dam / "suggested/beach"
    assert os.listdir(dam / "suggested") == ["beach"]
    assert sorted(os.listdir(suggested)) == ["a.txt", "b.txt", "c.txt"]
    assert os.getxattr(suggested / "a.txt", "user.damfs.suggested") == b"beach 0.80 (auto_tag/9, m)"
    assert os.getxattr(suggested / "a.txt", "user.damfs.score") == b"0.8000"
    assert os.getxattr(suggested / "a.txt", "user.damfs.why") == b"suggested:beach: auto_tag/9, m"
    assert (suggested / "a.txt").stat().st_ino == (dam / "inbox/a.txt").stat().st_ino
    run("mv", suggested / "a.txt", beach)
    run("cp", suggested / "b.txt", beach)
    dam.settled()
    until(lambda: os.listdir(suggested) == ["c.txt"], "what was accepted is not proposed any more")
    assert sorted(os.listdir(beach)) == ["a.txt", "b.txt"]
    (suggested / "c.txt").unlink()
    assert os.listdir(suggested) == []
    assert os.listdir(dam / "suggested") == []
    suggested.rmdir()
    assert os.getxattr(beach / "a.txt", "user.damfs.tags") == b"beach person"
    for refused in (lambda: (dam / "suggested/new").mkdir(), lambda: (dam / "suggested/sea/x").write_text("x")):
        with pytest.raises(PermissionError):
            refused()
    dam.end()
    propose(dam.library, "a.txt", "b.txt", "c.txt", "d.txt")
    dam.start()
    assert os.listdir(suggested) == ["d.txt"], "what a person has judged is never proposed again"


def test_damfs_suggest(proposed: Daemon) -> None:
    dam = proposed
    said = damfs("suggest", dam.library).stdout.splitlines()
    assert said == [f"0.80  beach  {name}.txt" for name in "abc"]
    assert damfs("suggest", dam.library, "list", "--above", "0.9").stdout.startswith("nothing is suggested")
    damfs("suggest", dam.library, "accept", "beach", dam / "suggested/beach/b.txt")
    lists(dam / "by-tag/beach", "b.txt")
    wrong = damfs("suggest", dam.library, "accept", "beach", dam / "inbox/d.txt", check=False)
    assert wrong.stderr == 'damfs: "beach" is not suggested for d.txt\n'
    assert damfs("suggest", dam.library, "refuse", "beach").stdout.startswith("2 refused; ")
    lists(dam / "suggested/beach")
    damfs("undo", dam.library)
    lists(dam / "suggested/beach", "a.txt", "c.txt")
    damfs("undo", dam.library)
    lists(dam / "suggested/beach", "a.txt", "b.txt", "c.txt")
    lists(dam / "by-tag/beach")
    assert rows(dam.library, "SELECT count(*) FROM judgement") == [(0,)]


def test_damfs_tags_says_who_says_so(proposed: Daemon) -> None:
    dam = proposed
    (dam / "by-tag/place").mkdir()
    run("mv", dam / "by-tag/sea", dam / "by-tag/place")
    file, other, plain = (dam / f"inbox/{name}.txt" for name in "abd")
    assert damfs("tags", plain).stdout == f"no terms yet; give it one with: damfs tag {plain} TERM\n"
    damfs("tag", file, "sea")
    assert damfs("tags", file).stdout.splitlines() == [
        "sea    person  (below place)",
        "beach  suggested 0.80, auto_tag/9, m",
    ]
    assert json.loads(damfs("tags", file, "--json").stdout) == [
        {
            "term": "sea", "path": ["place", "sea"], "source": "person", "confidence": 1.0, "processor": "",
            "version": 0, "model": "",
        },
        {
            "term": "beach", "path": ["beach"], "source": "suggested", "confidence": 0.8, "processor": "auto_tag",
            "version": 9, "model": "m",
        },
    ]  # fmt: skip
    two = damfs("tags", file, other).stdout.splitlines()
    assert two[0] == f"{file}:"
    assert two[3:] == [f"{other}:", "beach  suggested 0.80, auto_tag/9, m"]
    assert damfs("tags", dam / "by-tag").returncode == 0
    assert damfs("tags", dam / "inbox/none.txt", check=False).stderr.startswith("damfs: ")
