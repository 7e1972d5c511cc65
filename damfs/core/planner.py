"""Which jobs are due for a blob: reads what is known of it, asks the pure `pipeline`, and enqueues.

Runs inside a transaction, on the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec

from damfs.catalog import assets, derived, job_table, spaces, term_names
from damfs.catalog.database import Connection
from damfs.core import pipeline
from damfs.core.model_choice import choose_model
from damfs.core.processors.processor import Processor, Subject
from damfs.core.words import words_of
from damfs.model import Asset, AssetState, BlobId, Facts, Media
from damfs.settings import Settings
from damfs.storage.droppings import is_temporary

MODEL_USERS = frozenset({"embedding", "wording", "moments", "auto_tag"})
"""Processors whose settings say which model is in use, and the id of its space once it is known."""


class Planner:
    def __init__(self, processors: Sequence[Processor], settings: Settings) -> None:
        self._processors = processors
        self._own = cache(settings.of_processor)
        self._model = choose_model(settings.model.name).name
        self._terms: list[dict[str, str]] | None = None

    def plan_jobs(self, tx: Connection, blob: BlobId, at_ns: int) -> None:
        asset = self.speaker(tx, blob)
        if asset is None:
            return
        states = job_table.states_of(tx, blob)
        done = {name: version for name, (state, version) in states.items() if state == "done"}
        busy = {name for name, (state, _) in states.items() if state in {"waiting", "leased"}}
        current = {processor.name: processor.version for processor in self._processors}
        failed = {
            name for name, (state, version) in states.items() if state == "failed" and version == current.get(name)
        }
        looks_at_words = any(each.wants_words and each.name in done for each in self._processors)
        subject = self.subject(tx, asset, words=looks_at_words)
        settings = self._all_settings(tx)
        for planned in pipeline.plan(subject, done, busy | failed, self._processors, settings, failed):
            job_table.enqueue(tx, blob, planned.processor, planned.version, planned.priority, at_ns)

    def plan_arrived(self, tx: Connection, arrived: Sequence[tuple[BlobId, str, Media, int]], at_ns: int) -> None:
        """What `plan_jobs` does, for blobs of which nothing is known but the name, media and size of their asset."""
        settings = self._all_settings(tx)
        jobs = []
        for blob, name, media, size in arrived:
            if not is_temporary(name):
                planned = pipeline.plan(Subject(name, media, size), {}, frozenset(), self._processors, settings)
                jobs += [(blob, each.processor, each.version, each.priority) for each in planned]
        job_table.enqueue_new(tx, jobs, at_ns)

    def subject(self, connection: Connection, asset: Asset, *, words: bool) -> Subject:
        """What a processor may know of an asset, without renditions and settings. ``words``: whether it looks at them,
        which takes a question for each asset of the bytes, and more."""
        if asset.blob is None:
            return Subject(asset.name, asset.media, asset.size)
        return Subject(
            asset.name,
            asset.media,
            asset.size,
            derived.facts_of(connection, asset.blob),
            models=frozenset(derived.models_of(connection, asset.blob)),
            words=words_of(connection, asset.blob) if words and asset.media is not Media.OTHER else (),
        )

    def settings_of(self, connection: Connection, processor: str) -> Facts:
        """A processor's own table; auto_tag's with the vocabulary and the model's."""
        return self._settings_in(connection, processor, self._space(connection) if processor in MODEL_USERS else {})

    def _all_settings(self, connection: Connection) -> dict[str, Facts]:
        space = self._space(connection)
        return {each.name: self._settings_in(connection, each.name, space) for each in self._processors}

    def _space(self, connection: Connection) -> Facts:
        """What the settings say of the model in use, once it is known."""
        found = spaces.named(connection, self._model)
        return {} if found is None else {"space": found.id, "pictures": found.pictures}

    def _settings_in(self, connection: Connection, processor: str, space: Facts) -> Facts:
        own = self._own(processor)
        if processor in MODEL_USERS:
            own = {**self._own("embedding"), **own, "name": self._model, **space}
        if processor != "auto_tag":
            return own
        if self._terms is None:
            self._terms = [
                {"name": name, "prompt": prompt, "broader": broader}
                for name, prompt, broader in term_names.prompts(connection)
            ]
        return {**own, "terms": self._terms}

    def situation(self, connection: Connection) -> str:
        """What decides, beside the assets, on which jobs there are. Of the vocabulary only whether there is one: a
        term more does not send every picture through the model again."""
        tables = {name: dict(table) for name, table in self._all_settings(connection).items()}
        for table in tables.values():
            table["terms"] = bool(table.get("terms"))
        versions = {each.name: each.version for each in self._processors}
        return msgspec.json.encode([versions, tables], order="sorted").decode()

    def speaker(self, connection: Connection, blob: BlobId) -> Asset | None:
        """The asset that speaks for a blob: the first that is there under its final name."""
        for asset in assets.of_blob(connection, blob):
            if asset.state is AssetState.PRESENT and not is_temporary(asset.name):
                return asset
        return None

    def forget_vocabulary(self) -> None:
        self._terms = None
