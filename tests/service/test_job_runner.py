"""Jobs run in real workers, and whatever becomes of one is one transaction with a reason a person can read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from damfs.catalog import derived, job_table
from damfs.core import job_runner
from damfs.core.commands import Command, DefineTerm, SetOnline
from damfs.core.job_runner import JobRunner
from damfs.core.library import Library
from damfs.core.model_health import ModelHealth
from damfs.core.reception import Reception
from damfs.core.results import BACKOFF_FIRST_S, UNREACHABLE_S, RetryFailed
from damfs.core.upkeep import repair
from damfs.core.worker_pool import open_worker_pool
from damfs.model import Asset, BlobId, Change, Media
from tests.service.job_processors import (
    FIFO,
    Bad,
    Batch,
    Crashing,
    Elsewhere,
    Endless,
    Failing,
    First,
    Hanging,
    NoModel,
    Second,
    TooLong,
    Unstorable,
)
from tests.small_library import (
    added,
    asset,
    entry_points_of,
    files_below,
    opened,
    received,
    scanned,
    store_named,
    tags,
    term,
    the_asset,
)

ALL = entry_points_of(
    First, Second, Bad, Elsewhere, Crashing, Endless, TooLong, Failing, Unstorable, NoModel, Hanging, Batch
)
SECOND_NS = 1_000_000_000


class Watch:
    """Sees every command that is performed, and sets the time."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.now = 1_000 * SECOND_NS
        self.performed: list[Command[object]] = []
        self._more = trio.Event()
        perform = library.perform

        def watched(command: Command[object], actor: str, *, durable: bool = False) -> object:
            answer = perform(command, actor, durable=durable)
            self.performed.append(command)
            self._more.set()
            self._more = trio.Event()
            return answer

        library.perform = watched  # type: ignore[method-assign, assignment]  # to see what is done
        library.clock = lambda: self.now

    async def until(self, kind: str, number: int = 1) -> None:
        """So many commands of a class were performed."""
        with trio.fail_after(60):
            while [type(command).__name__ for command in self.performed].count(kind) < number:
                await self._more.wait()

    def later(self, seconds: float) -> None:
        """Time passes; news wake whoever sleeps."""
        self.now += round(seconds * SECOND_NS)
        self.library.execute([DefineTerm(f"at {self.now}")], "test")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library", ALL) as made:
        indexer = msgspec.structs.replace(made.settings.indexer, workers=2)
        automatic = msgspec.structs.replace(made.settings.auto_tag, accept_above=0.9)
        made.settings = msgspec.structs.replace(made.settings, indexer=indexer, auto_tag=automatic)
        yield made


@pytest.fixture
def watch(library: Library) -> Watch:
    return Watch(library)


@asynccontextmanager
async def running(library: Library) -> AsyncIterator[JobRunner]:
    async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
        runner = JobRunner(library, pool)
        await nursery.start(runner.serve)
        yield runner
        nursery.cancel_scope.cancel()


def job(library: Library, made: Asset, processor: str) -> tuple[str, int, int, str | None]:
    """State, attempts, when it is due, the reason of the last failure."""
    row = library.db.writer.row(
        "SELECT state, attempts, due_ns, error FROM job WHERE blob = ? AND processor = ?", made.blob, processor
    )
    assert row is not None
    state, attempts, due_ns, error = row
    return state, attempts, due_ns, error


def work(library: Library) -> dict[bytes, bytes]:
    return files_below(library.state / "work")


# --- what goes well -------------------------------------------------------------------------------------------


async def test_a_result_is_one_transaction_with_what_is_due_next(library: Library, watch: Watch) -> None:
    beach, _ = term(library, "beach"), term(library, "sea")
    clip = await received(library, "good.mov", b"clip")
    assert clip.blob is not None
    assert job_table.states_of(library.db.writer, clip.blob) == {"probe": ("waiting", 1)}
    batches: list[tuple[Change, ...]] = []
    states: list[dict[str, tuple[str, int]]] = []
    publish = library.feed.publish

    def published(changes: list[Change]) -> None:
        batches.append(tuple(changes))
        assert clip.blob is not None
        states.append(job_table.states_of(library.db.writer, clip.blob))
        publish(changes)

    library.feed.publish = published  # type: ignore[method-assign, assignment]  # to look between two transactions
    async with running(library):
        await watch.until("FinishJob", 2)
    probed = [any(change.detail.get("processor") == "probe" for change in batch) for batch in batches]
    first = probed.index(True)
    assert states[first] == {"probe": ("done", 1), "preview": ("waiting", 1)}
    facts = derived.facts_of(library.db.writer, clip.blob)
    assert facts["probe"]["width"] == 3
    assert facts["preview"] == {"told": 3, "proxy": "proxy of clip", "source": "clip"}
    (rendition,) = derived.renditions_of(library.db.writer, clip.blob)
    assert (library.renditions / rendition.key).read_bytes() == b"proxy of clip"
    assert derived.models_of(library.db.writer, clip.blob) == ["look-1"]
    assert tags(library, clip.id) == ["sea"], "sure enough to become a tag"
    assert library.db.writer.rows("SELECT term FROM proposal") == [(beach,)]
    assert asset(library, clip.id).media is Media.AUDIO
    assert library.db.writer.rows("SELECT day FROM asset WHERE id = ?", clip.id) == [("2019-05-06",)]
    assert files_below(library.originals) == {b"2019/05/06/good.mov": b"clip"}, "filed under its day of capture"
    assert work(library) == {}
    assert not library.staging.entries()


async def test_news_wake_an_idle_runner(library: Library, watch: Watch) -> None:
    async with running(library):
        await trio.testing.wait_all_tasks_blocked()
        await received(library, "good.mov", b"clip")
        await watch.until("FinishJob", 2)


async def test_the_same_bytes_are_worked_on_once(library: Library, watch: Watch) -> None:
    await received(library, "good.mov", b"clip")
    await received(library, "good copy.mov", b"clip")
    assert library.db.writer.integer("SELECT count(*) FROM job") == 1
    async with running(library):
        await watch.until("FinishJob", 2)
    assert library.db.writer.rows("SELECT DISTINCT day FROM asset") == [("2019-05-06",)]


# --- what fails -----------------------------------------------------------------------------------------------


async def test_bad_media_fails_for_good_and_the_rest_goes_on(library: Library, watch: Watch) -> None:
    bad = await received(library, "bad.mov", b"bad")
    await received(library, "good.mov", b"clip")
    async with running(library):
        await watch.until("FailJob")
        await watch.until("FinishJob", 2)
    assert job(library, bad, "bad")[:2] == ("failed", 1)
    (failure,) = job_table.list_failures(library.db.writer, 10)
    assert failure[1:] == ("bad", "bad.mov", "bad.mov: ends after 12 of 30 frames")
    assert asset(library, bad.id).state == "present", "the file itself stays"


async def test_a_file_that_is_put_elsewhere_while_it_is_read_is_not_bad(library: Library, watch: Watch) -> None:
    clip = await received(library, "elsewhere.mov", b"clip")
    async with running(library):
        await watch.until("RetryJob")
    state, attempts, _, error = job(library, clip, "elsewhere")
    assert (state, attempts) == ("waiting", 0)
    assert error is not None
    assert error.startswith("its file was moved or replaced while it was read")


async def test_a_crash_is_tried_again_and_then_failed_with_its_reason(library: Library, watch: Watch) -> None:
    clip = await received(library, "crash.mov", b"crash")
    async with running(library):
        for attempt in (1, 2):
            await watch.until("RetryJob", attempt)
            watch.later(3600)
        await watch.until("FailJob")
    state, attempts, _, error = job(library, clip, "crash")
    assert (state, attempts) == ("failed", 3)
    assert error is not None
    assert "its worker died (signal 11, SIGSEGV)" in error


async def test_a_job_that_takes_too_long_is_stopped_for_good(library: Library, watch: Watch) -> None:
    clip = await received(library, "long.mov", b"long")
    async with running(library):
        await watch.until("FailJob")
    assert job(library, clip, "long")[0] == "failed"
    said = job(library, clip, "long")[3] or ""
    assert said.startswith("took longer than 1 s and was stopped; damfs.toml can allow more (indexer.time_factor, ")


async def test_the_wait_before_another_try_grows(library: Library, watch: Watch) -> None:
    clip = await received(library, "fail.mov", b"fail")
    async with running(library):
        for attempt, wait in ((1, 5), (2, 10)):
            await watch.until("RetryJob", attempt)
            assert job(library, clip, "fail") == (
                "waiting", attempt, watch.now + wait * SECOND_NS, "RuntimeError: no luck this time",
            )  # fmt: skip
            watch.later(wait - 0.001)
            await trio.testing.wait_all_tasks_blocked()
            assert job(library, clip, "fail")[:2] == ("waiting", attempt), "not before its time"
            watch.later(0.001)
        await watch.until("FailJob")
    assert job(library, clip, "fail")[:2] == ("failed", 3)


async def test_a_person_may_have_failed_jobs_tried_again_at_once(library: Library, watch: Watch) -> None:
    clip = await received(library, "bad.mov", b"bad")
    async with running(library):
        await watch.until("FailJob")
        await trio.testing.wait_all_tasks_blocked()
        assert library.perform(RetryFailed("bad"), "cli") == 1
        await watch.until("FailJob", 2)
    assert job(library, clip, "bad")[:2] == ("failed", 1)
    assert library.perform(RetryFailed("probe"), "cli") == 0


@pytest.mark.expect_warnings("unstorable: its result could not be stored")
async def test_a_result_that_cannot_be_stored_fails_that_job_only(library: Library, watch: Watch) -> None:
    clip = await received(library, "unstorable.mov", b"x")
    async with running(library):
        for attempt in (1, 2):
            await watch.until("RetryJob", attempt)
            watch.later(3600)
        await watch.until("FailJob")
        await received(library, "good.mov", b"clip")
        await watch.until("FinishJob", 2)
    assert "escape" in (job(library, clip, "unstorable")[3] or "")
    assert all(b"escape" not in name for name in files_below(library.path))


# --- what is nobody's fault -----------------------------------------------------------------------------------


async def test_cancelling_gives_the_lease_back_and_leaves_nothing(
    library: Library, watch: Watch, tmp_path: Path
) -> None:
    added(library, tmp_path / "footage")
    os.mkfifo(tmp_path / "footage" / FIFO)
    prepare(tmp_path / "footage" / "endless.mov")
    await scanned(library)
    clip = the_asset(library, "endless.mov")
    async with running(library) as runner:
        assert await trio.to_thread.run_sync((tmp_path / "footage" / FIFO).read_text) == "begun"
        assert runner.running == {"endless.mov": 1}
        assert job(library, clip, "endless")[:2] == ("leased", 1)
        assert list(work(library)) == [next(iter(work(library)))]
    assert job(library, clip, "endless")[:2] == ("waiting", 0)
    assert job(library, clip, "endless")[3] is None
    assert work(library) == {}
    assert runner.running == {}


def prepare(path: Path) -> None:
    path.write_bytes(path.name.encode())


async def test_a_store_that_is_offline_is_not_the_jobs_fault(library: Library, watch: Watch, tmp_path: Path) -> None:
    store = added(library, tmp_path / "footage")
    prepare(tmp_path / "footage" / "good.mov")
    await scanned(library)
    library.perform(SetOnline(store.id, online=False), "test")
    clip = the_asset(library, "good.mov")
    async with running(library):
        await watch.until("RetryJob")
        state, attempts, due_ns, error = job(library, clip, "probe")
        assert (state, attempts, due_ns) == ("waiting", 0, watch.now + UNREACHABLE_S * SECOND_NS)
        assert error == "no copy of these bytes can be reached; is their store mounted?"
        library.perform(SetOnline(store_named(library, "footage").id, online=True), "test")
        await watch.until("FinishJob", 2)


async def test_every_attempt_has_a_directory_of_its_own(
    library: Library, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot of the one before may still be about to remove its own."""
    used: list[Path] = []
    empty = job_runner._empty_directory

    def emptied(path: Path) -> None:
        used.append(path)
        empty(path)

    monkeypatch.setattr(job_runner, "_empty_directory", emptied)
    await received(library, "fail.mov", b"fail")
    async with running(library):
        await watch.until("RetryJob")
        watch.later(BACKOFF_FIRST_S)
        await watch.until("RetryJob", 2)
    assert len(used) == len(set(used)) == 2


async def test_bytes_that_no_asset_has_now_are_worked_on_when_one_has(
    library: Library, watch: Watch, tmp_path: Path
) -> None:
    added(library, tmp_path / "footage")
    prepare(tmp_path / "footage" / "good.mov")
    prepare(tmp_path / "footage" / "other.txt")
    await scanned(library)
    clip = the_asset(library, "good.mov")
    aside = (tmp_path / "footage" / "good.mov").rename(tmp_path / "good.mov")
    await scanned(library)
    async with running(library):
        await watch.until("DropJob")
    assert clip.blob is not None
    assert job_table.states_of(library.db.writer, clip.blob) == {}
    aside.rename(tmp_path / "footage" / "good.mov")
    await scanned(library)
    assert job(library, clip, "probe")[:2] == ("waiting", 0)


async def test_without_a_model_its_jobs_wait_and_one_line_says_why(
    library: Library, watch: Watch, tmp_path: Path
) -> None:
    added(library, tmp_path / "footage")
    for name in ("model.mov", "model and more.mov", "model again.mov"):
        prepare(tmp_path / "footage" / name)
    await scanned(library)
    clip = the_asset(library, "model.mov")
    async with running(library) as runner:
        await watch.until("RetryJob")
        await watch.until("ReturnJob", 2)
        assert runner.running == {}
        tried = len(watch.performed)
        watch.later(30)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(watch.performed) == tried, "a model that cannot be had is not asked for again and again"
        assert job(library, clip, "model")[:2] == ("waiting", 0)
        status = library.status(library.db.writer)
        assert "cannot be used: model.name: there is no such model" in status.model
        assert (status.to_do, status.failed) == (0, 0), "nobody waits for it"
        assert sum(count.delayed for count in status.jobs) == 3
        prepare(tmp_path / "footage" / "weights")
        watch.later(60)
        await watch.until("FinishJob", 3)
    assert job(library, clip, "model")[0] == "done"
    assert library.model_health.trouble == ""


async def test_a_model_that_hangs_is_noticed_and_its_other_jobs_are_given_back(
    library: Library, watch: Watch, tmp_path: Path
) -> None:
    added(library, tmp_path / "footage")
    for number in range(5):
        prepare(tmp_path / "footage" / f"hanging {number}.mov")
    await scanned(library)
    async with running(library):
        await watch.until("ReturnJob", 3)
        await trio.testing.wait_all_tasks_blocked()
    kinds = [type(command).__name__ for command in watch.performed]
    assert kinds.count("RetryJob") == 2
    assert "FailJob" not in kinds
    assert library.model_health.trouble.startswith("took longer than 0.5 s and was stopped, 2 times in a row")
    assert "model.name" in library.model_health.trouble


def test_a_model_that_is_silent_for_long_is_told_before_it_is_stopped() -> None:
    now = [0]
    health = ModelHealth(lambda: now[0] * 10**9)
    health.asked()
    now[0] = 59
    assert health.notice == ""
    now[0] = 75
    assert health.notice.startswith("has not answered for 75 s")
    assert "damfs model use" in health.notice
    health.asked()
    health.ended()
    assert health.notice == "", "it answered one of both"
    now[0] = 150
    assert health.notice.startswith("has not answered for 75 s")
    health.failed("it is gone")
    assert (health.notice, health.trouble) == ("", "it is gone")
    health.ended()
    health.well()
    assert health.notice == "", "nobody waits"


async def test_jobs_that_wait_for_the_model_go_to_it_together(library: Library, watch: Watch, tmp_path: Path) -> None:
    added(library, tmp_path / "footage")
    for number in range(12):
        prepare(tmp_path / "footage" / f"batch {number}.mov")
    prepare(tmp_path / "footage" / "batch broken.mov")
    await scanned(library)
    async with running(library):
        await watch.until("FinishJob", 12)
        await watch.until("FailJob")
    told = [derived.facts_of(library.db.writer, BlobId(number)).get("batch") for number in range(1, 14)]
    facts = [each for each in told if each is not None]
    assert len(facts) == 12
    sizes = [size for each in facts if isinstance(size := each["together"], int)]
    assert max(sizes) > 1
    assert {each["pid"] for each in facts} == {facts[0]["pid"]}, "the model is loaded once"
    assert all(size <= 8 for size in sizes)
    bad = the_asset(library, "batch broken.mov")
    assert job(library, bad, "batch")[3] == "batch broken.mov: ends after 12 of 30 frames", "its own fault only"


async def test_a_batch_that_kills_the_model_is_done_again_one_by_one(
    library: Library, watch: Watch, tmp_path: Path
) -> None:
    added(library, tmp_path / "footage")
    for number in range(6):
        prepare(tmp_path / "footage" / f"batch {number}.mov")
    prepare(tmp_path / "footage" / "batch deadly.mov")
    await scanned(library)
    async with running(library):
        await watch.until("FinishJob", 6)
        await watch.until("RetryJob")
    kinds = [type(command).__name__ for command in watch.performed]
    assert kinds.count("RetryJob") == 1, "one bad file costs the others nothing"
    assert library.model_health.trouble == ""


async def test_leases_of_a_dead_daemon_are_given_back_at_the_start(library: Library, watch: Watch) -> None:
    clip = await received(library, "good.mov", b"clip")
    library.db.writer.run("UPDATE job SET state = 'leased', attempts = 1, due_ns = ?", watch.now + 10**15)
    await repair(library, Reception(library))
    assert job(library, clip, "probe")[0] == "waiting"
    async with running(library):
        await watch.until("FinishJob", 2)
