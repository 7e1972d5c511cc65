"""What the requests about the vocabulary and about suggestions do.

Runs on the loop of whoever owns the library; reading all terms in a reader thread. Errors are damfs errors.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from damfs.catalog import proposals, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.term_names import Label
from damfs.core.asset_names import clean_name
from damfs.core.commands import Command, RemoveTerm, RenameTerm
from damfs.core.concepts import Concept, ConceptLabel
from damfs.core.importing_terms import import_terms
from damfs.core.judging import judge_all
from damfs.core.library import Library
from damfs.core.merging_terms import merge
from damfs.core.suggesting import SuggestAgain
from damfs.core.term_commands import (
    AddLabel,
    IntroduceTerm,
    RelateTerms,
    RemoveLabel,
    SetTermDetail,
    SetTermNote,
    unknown,
)
from damfs.errors import NotFound
from damfs.integration.wire import Progress
from damfs.integration.wire_terms import (
    AddTerm,
    ChangeTerm,
    DescribeTerm,
    Editing,
    GetSuggestions,
    GetVocabulary,
    ImportVocabulary,
    Judge,
    LabelTerm,
    MergeTerm,
    OnTerms,
    RelateTerm,
    SuggestAll,
)
from damfs.model import AssetId, Term, TermId

ACTOR = "cli"


class Terms:
    def __init__(self, library: Library) -> None:
        self._library = library

    async def answer(self, request: OnTerms, report: Callable[[Progress], None]) -> object:
        match request:
            case GetVocabulary():
                return msgspec.to_builtins(await self._library.db.read(list_concepts))
            case ImportVocabulary():
                return await self._import(request, report)
            case GetSuggestions():
                return await self._suggestions(request)
            case Judge():
                return await self._judge(request)
            case SuggestAll():
                return {"jobs": self._library.perform(SuggestAgain(), ACTOR)}
            case MergeTerm():
                source, target = self._term(request.term), self._term(request.into)
                return {"assets": await merge(self._library, source.id, target.id, ACTOR)}
            case _:
                return self._edit(request)

    async def _import(self, request: ImportVocabulary, report: Callable[[Progress], None]) -> object:
        def tell(done: int, total: int) -> None:
            report(Progress("terms", done, total, unit="terms"))

        return await import_terms(self._library, request.concepts, ACTOR, tell)

    def _edit(self, request: Editing) -> object:
        match request:
            case AddTerm():
                commands: list[Command[object]] = [self._introduction(request)]
            case ChangeTerm():
                commands = self._changes(request)
            case DescribeTerm():
                commands = self._description(request)
            case LabelTerm():
                commands = [self._label(request)]
            case RelateTerm():
                pair = self._term(request.term).id, self._term(request.other).id
                commands = [RelateTerms(*pair, related=not request.remove)]
            case _:
                raise AssertionError(request)
        self._library.execute(commands, ACTOR)
        return {}

    def _introduction(self, request: AddTerm) -> IntroduceTerm:
        synonyms = tuple(map(clean_name, request.synonyms))
        return IntroduceTerm(request.name, self._below(request.below), synonyms, request.note, request.prompt)

    def _changes(self, request: ChangeTerm) -> list[Command[object]]:
        term = self._term(request.term)
        if request.remove:
            return [RemoveTerm(term.id)]
        name = request.name or term.name
        broader = self._below(request.below) if request.move else term.broader
        commands: list[Command[object]] = [RenameTerm(term.id, name, broader)]
        if request.keep and name != term.name:
            language = term_names.detail(self._library.db.writer, term.id).language
            commands.append(AddLabel(term.id, Label(language, term.name)))
        return commands

    def _description(self, request: DescribeTerm) -> list[Command[object]]:
        term = self._term(request.term)
        commands: list[Command[object]] = []
        if request.note is not None:
            commands.append(SetTermNote(term.id, request.language, request.note))
        detail = term_names.detail(self._library.db.writer, term.id)
        if request.prompt is not None:
            detail = detail._replace(prompt=request.prompt)
        if request.grouping is not None:
            detail = detail._replace(grouping=request.grouping)
        return [*commands, SetTermDetail(term.id, detail)]

    def _label(self, request: LabelTerm) -> Command[object]:
        term, name = self._term(request.term), clean_name(request.label)
        if request.remove:
            return RemoveLabel(term.id, name)
        return AddLabel(term.id, Label(request.language, name, request.preferred))

    def _below(self, name: str) -> TermId | None:
        return self._term(name).id if name else None

    def _term(self, name: str) -> Term:
        """By any of its names. Raises NotFound."""
        connection = self._library.db.writer
        found = term_names.resolve(connection, clean_name(name))
        if found is None:
            raise NotFound(unknown(connection, name))
        return found

    async def _suggestions(self, request: GetSuggestions) -> object:
        term = self._term(request.term).id if request.term else None
        found = await self._library.db.read(lambda x: proposals.list_proposed(x, request.above, term))
        return [each._asdict() for each in found]

    async def _judge(self, request: Judge) -> object:
        """What is named and not suggested is an error, before anything is judged."""
        term = self._term(request.term).id if request.term else None
        wanted = {AssetId(id_) for id_ in request.assets}
        connection = self._library.db.writer
        found = await self._library.db.read(lambda x: proposals.list_proposed(x, request.above, term))
        chosen = [each for each in found if not wanted or each.asset in wanted]
        missing = wanted - {each.asset for each in chosen}
        if missing:
            what = f'"{request.term}"' if request.term else "nothing"
            raise NotFound(f"{what} is not suggested for {self._library.known(min(missing)).name}")
        terms = {name: vocabulary.term_named(connection, name) for name in {each.term for each in chosen}}
        pairs = [(each.asset, about.id) for each in chosen if (about := terms[each.term]) is not None]
        return {"suggestions": await judge_all(self._library, pairs, ACTOR, accept=request.accept)}


def list_concepts(connection: Connection) -> list[Concept]:
    """The whole vocabulary, in six statements. For a reader thread."""
    counts = vocabulary.list_counts(connection)
    details = term_names.list_details(connection)
    labels: dict[int, list[ConceptLabel]] = {}
    for id_, label in term_names.list_labels(connection):
        labels.setdefault(id_, []).append(ConceptLabel(label.name, label.language, label.preferred))
    notes: dict[int, dict[str, str]] = {}
    for id_, language, note in term_names.list_notes(connection):
        notes.setdefault(id_, {})[language] = note
    related: dict[int, list[str]] = {}
    for one, other in term_names.list_related(connection):
        related.setdefault(one, []).append(str(other))
        related.setdefault(other, []).append(str(one))
    return [
        Concept(
            str(term.id), term.name, str(term.broader or ""), detail.language, tuple(labels.get(term.id, ())),
            notes.get(term.id, {}), tuple(related.get(term.id, ())), detail.prompt, detail.uri, detail.grouping,
            assets=count,
        )
        for term, count in counts
        for detail in [details.get(term.id, term_names.PLAIN)]
    ]  # fmt: skip
