"""SKOS in Turtle (https://www.w3.org/TR/skos-reference/), which thesauri are exchanged as. Blocks: some seconds.

A concept has one broader term here, as a directory is in one directory; further ones become related terms. What damfs
knows beside (prompt, grouping) goes by properties of its own.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from rdflib import RDF, SKOS, BNode, Graph, Literal, URIRef
from rdflib.plugins.parsers.notation3 import BadSyntax
from rdflib.term import Node

from damfs.core.concepts import Concept, ConceptLabel
from damfs.errors import BadVocabulary

OWN = "urn:damfs:"
NAME, PROMPT, GROUPING = URIRef(OWN + "name"), URIRef(OWN + "prompt"), URIRef(OWN + "grouping")
SCHEME = URIRef(OWN + "vocabulary")
LINE = re.compile(r"at line (\d+)")


def read(text: str, file: str, language: str = "en") -> list[Concept]:
    """``language``: whose preferred labels become names, where there are any. Raises BadVocabulary."""
    graph = _parsed(text, file)
    concepts = sorted(set(graph.subjects(RDF.type, SKOS.Concept)) | set(graph.subjects(SKOS.prefLabel, None)), key=str)
    if not concepts:
        raise BadVocabulary(f"{file}: no skos:Concept and no skos:prefLabel in it; is this a SKOS vocabulary?")
    return [_concept(graph, node, language) for node in concepts]


def _parsed(text: str, file: str) -> Graph:
    graph = Graph()
    logging.getLogger("rdflib").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph.parse(data=text, format="turtle")
    except BadSyntax as error:
        line = LINE.search(str(error))
        where = f", line {int(line[1])}" if line else ""
        reason = " ".join(str(getattr(error, "message", "") or "no Turtle").split())[:120]
        raise BadVocabulary(f"{file}{where}: no valid Turtle: {reason}") from None
    except RecursionError:
        raise BadVocabulary(f"{file}: nested too deeply") from None
    except Exception as error:  # noqa: BLE001  # the parser lets whatever its own code raises pass
        raise BadVocabulary(f"{file}: no valid Turtle: {' '.join(str(error).split())[:120]}") from None
    return graph


def _concept(graph: Graph, node: Node, language: str) -> Concept:
    own = set(graph.objects(node, NAME))
    preferred = sorted(
        _literals(graph, node, SKOS.prefLabel), key=lambda each: (each not in own, _rank(each, language))
    )
    name = str(preferred[0]) if preferred else re.split(r"[/#:]", str(node))[-1]
    labels = [ConceptLabel(str(each), each.language or "", preferred=True) for each in preferred[1:]]
    for kind in (SKOS.altLabel, SKOS.hiddenLabel):
        labels += [ConceptLabel(str(each), each.language or "") for each in sorted(_literals(graph, node, kind))]
    broader = sorted({*graph.objects(node, SKOS.broader), *graph.subjects(SKOS.narrower, node)} - {node}, key=str)
    itself = node in set(graph.objects(node, SKOS.broader))
    related = sorted({*graph.objects(node, SKOS.related), *graph.subjects(SKOS.related, node), *broader[1:]}, key=str)
    return Concept(
        str(node), name, str(node) if itself else (str(broader[0]) if broader else ""),
        (preferred[0].language or "") if preferred else "", tuple(labels), _notes(graph, node),
        tuple(map(str, related)), next((str(each) for each in graph.objects(node, PROMPT)), ""),
        "" if isinstance(node, BNode) else str(node), any(map(bool, graph.objects(node, GROUPING))), str(node),
        remark=_further(graph, broader[1:], language),
    )  # fmt: skip


def _further(graph: Graph, broader: Sequence[Node], language: str) -> str:
    """A directory is in one directory."""
    labels = (
        sorted(_literals(graph, each, SKOS.prefLabel), key=lambda label: _rank(label, language)) for each in broader
    )
    names = ", ".join(f'"{found[0]}"' if found else str(each) for each, found in zip(broader, labels, strict=True))
    return f"further broader terms became related ones: {names}" if names else ""


def _called(graph: Graph, node: Node, language: str) -> str:
    labels = sorted(_literals(graph, node, SKOS.prefLabel), key=lambda label: _rank(label, language))
    return str(labels[0]) if labels else str(node)


def _rank(label: Literal, language: str) -> tuple[int, str, str]:
    """The wanted language first, then one of its countries, then no language."""
    own = (label.language or "").casefold()
    wanted = language.casefold()
    near = 0 if own == wanted else 1 if own.startswith(wanted + "-") else 2 if not own else 3
    return near, own, str(label)


def _literals(graph: Graph, node: Node, kind: URIRef) -> Iterable[Literal]:
    return [each for each in graph.objects(node, kind) if isinstance(each, Literal)]


def _notes(graph: Graph, node: Node) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    kind = SKOS.scopeNote if any(True for _ in graph.objects(node, SKOS.scopeNote)) else SKOS.definition
    for note in sorted(_literals(graph, node, kind)):
        found.setdefault(note.language or "", []).append(str(note))
    return {language: "\n\n".join(notes) for language, notes in found.items()}


def write(concepts: Sequence[Concept], _: str) -> str:
    graph = Graph()
    graph.bind("skos", SKOS)
    graph.bind("damfs", OWN)
    graph.add((SCHEME, RDF.type, SKOS.ConceptScheme))
    nodes = {concept.key: URIRef(concept.uri or OWN + "term:" + quote(concept.name, safe="")) for concept in concepts}
    for concept in concepts:
        node = nodes[concept.key]
        graph.add((node, RDF.type, SKOS.Concept))
        graph.add((node, SKOS.inScheme, SCHEME))
        for kind, value in _said(concept, nodes):
            graph.add((node, kind, value))
    return graph.serialize(format="turtle")


def _said(concept: Concept, nodes: dict[str, URIRef]) -> Iterable[tuple[URIRef, Node]]:
    yield SKOS.prefLabel, _literal(concept.name, concept.language)
    if any(label.preferred for label in concept.labels):
        yield NAME, _literal(concept.name, concept.language)  # in whatever language: it is the directory's
    for label in concept.labels:
        yield SKOS.prefLabel if label.preferred else SKOS.altLabel, _literal(label.name, label.language)
    for language, note in concept.notes.items():
        yield SKOS.scopeNote, _literal(note, language)
    above = nodes.get(concept.broader)
    yield (SKOS.topConceptOf, SCHEME) if above is None else (SKOS.broader, above)
    for other in concept.related:
        yield SKOS.related, nodes[other]
    if concept.prompt:
        yield PROMPT, Literal(concept.prompt)
    if concept.grouping:
        yield GROUPING, Literal(lexical_or_value=True)


def _literal(text: str, language: str) -> Literal:
    return Literal(text, lang=language or None)
