"""What is known of model files: kept in the database, read anew when a file changes, listed in pages, never a crash."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller, Grants, Scope, ScopeMissing
from bodhi_asgi.clock import SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.gguf.facts import GgufFacts
from bodhi_asgi.shelf import facts as reading
from bodhi_asgi.shelf import store
from bodhi_asgi.shelf.errors import ModelFileNotFound, ModelFileUnreadable
from bodhi_asgi.shelf.facts import described, from_kept, to_kept
from bodhi_asgi.shelf.queries import BELIEVED_S, MAX_PAGES, Queries
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.shelf.types import Description, FileQuery, FileState, LocalFile, ShelvedFile
from bodhi_asgi.types import Page
from tests.gguf.files import model_bytes
from tests.shelf.hub_cache import NEW, OLD, HubCache
from tests.shelf.shelves import all_read, capable, database_at, shelf_of

REPO = "owner/Model-GGUF"
SYSTEM = Caller.system()
DEMO = DEMO_MODEL_PATH.read_bytes()


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture
def events() -> EventBus:
    return EventBus()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with database_at(url) as database:
        yield database


@pytest.fixture
async def shelf(cache: HubCache, database: Database, events: EventBus) -> AsyncIterator[ShelfService]:
    async with shelf_of(cache.path, database, events=events) as shelf:
        yield shelf


async def listed(shelf: ShelfService, caller: Caller = SYSTEM, **query: object) -> list[str]:
    page = await shelf.list(caller, FileQuery(**query))  # type: ignore[arg-type]
    return [f"{shelved.file.repo}/{shelved.file.filename}@{shelved.file.snapshot[:1]}" for shelved in page.data]


async def only(shelf: ShelfService) -> ShelvedFile:
    (found,) = (await shelf.list(SYSTEM)).data
    return found


async def test_headers_are_read_in_the_background_and_what_they_tell_is_listed(
    cache: HubCache, shelf: ShelfService, events: EventBus
) -> None:
    cache.add(REPO, "demo-Q8_0.gguf", DEMO, ref="main")
    await shelf.look()
    await all_read(events, shelf)
    found = await only(shelf)
    assert found.state is FileState.READ
    assert found.facts is not None
    assert (found.facts.kind, found.facts.architecture) == ("model", "llama")
    assert found.facts.parameters > 100_000
    assert found.facts.chat_template
    assert found.capabilities == ("model", "tools")
    assert (await shelf.known(await shelf.files())) == {found.file: found}


async def test_what_is_known_survives_a_restart(cache: HubCache, database: Database, events: EventBus) -> None:
    cache.add(REPO, "demo.gguf", DEMO)
    async with shelf_of(cache.path, database, events=events) as shelf:
        await shelf.files()
        await all_read(events, shelf)
        before = await only(shelf)
    async with shelf_of(cache.path, database) as shelf:
        assert await only(shelf) == before


async def test_a_file_that_changed_is_read_anew(cache: HubCache, shelf: ShelfService, events: EventBus) -> None:
    link = cache.add(REPO, "demo.gguf", DEMO)
    await shelf.look()
    await all_read(events, shelf)
    link.resolve().write_bytes(model_bytes("qwen2"))
    await shelf.look()
    await all_read(events, shelf)
    found = await only(shelf)
    assert found.facts is not None
    assert found.facts.architecture == "qwen2"
    assert found.file.size_bytes == link.stat().st_size


async def test_a_file_that_went_is_listed_no_more(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "a.gguf")
    link = cache.add(REPO, "b.gguf")
    await shelf.look()
    assert len(await listed(shelf)) == 2
    link.unlink()
    await shelf.look()
    assert await listed(shelf) == [f"{REPO}/a.gguf@2"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html>not found</html>", "mark of the GGUF format"),
        (b"GGUF", "ends in the middle"),
        (DEMO[: len(DEMO) // 2], "lies outside the file"),
        (b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 64, "impossible"),
    ],
    ids=["a page", "a mark alone", "a half", "huge counts"],
)
async def test_a_file_that_is_no_model_is_listed_with_the_reason(
    cache: HubCache, shelf: ShelfService, events: EventBus, content: bytes, told: str
) -> None:
    cache.add(REPO, "bad.gguf", content)
    cache.add(REPO, "good.gguf", DEMO)
    await shelf.look()
    await all_read(events, shelf)
    bad, good = (await shelf.list(SYSTEM)).data
    assert bad.state is FileState.UNUSABLE
    assert told in bad.file.problem
    assert bad.facts is None
    assert good.state is FileState.READ
    assert [told in file.problem for file in await shelf.files()] == [True, False]
    found = await shelf.find(REPO, "bad.gguf")
    assert found is not None
    assert told in found.problem


async def test_a_file_whose_parts_are_missing_is_not_read(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "big-00001-of-00002.gguf", DEMO)
    await shelf.look()
    assert await shelf.queue_status(SYSTEM) == "idle"
    found = await only(shelf)
    assert (found.state, found.file.problem) == (FileState.UNUSABLE, "it lacks 1 of its 2 parts, first number 2")


async def test_a_projector_tells_what_its_model_can_see(cache: HubCache, shelf: ShelfService, events: EventBus) -> None:
    cache.add(REPO, "eye-Q4_0.gguf", DEMO)
    cache.add(REPO, "mmproj-eye-F16.gguf", b"no projector")
    await shelf.look()
    await all_read(events, shelf)
    model, projector = (await shelf.list(SYSTEM)).data
    assert model.file.projector == "mmproj-eye-F16.gguf"
    assert model.capabilities == ("model", "tools")
    assert projector.state is FileState.UNUSABLE


async def test_files_are_listed_in_the_order_that_is_asked_for(cache: HubCache, shelf: ShelfService) -> None:
    cache.add("b/two", "a.gguf", b"333")
    cache.add("a/one", "B.gguf", b"1")
    cache.add("a/one", "a.gguf", b"22", snapshot=OLD)
    cache.add("a/one", "a.gguf", b"22", snapshot=NEW)
    await shelf.look()
    a1, a2, b, two = "a/one/a.gguf@1", "a/one/a.gguf@2", "a/one/B.gguf@2", "b/two/a.gguf@2"
    assert await listed(shelf) == [b, a1, a2, two]
    assert await listed(shelf, descending=True) == [two, a2, a1, b]
    assert await listed(shelf, sort="size") == [b, a1, a2, two]
    assert await listed(shelf, sort="filename") == [b, a1, a2, two]
    assert await listed(shelf, sort="snapshot") == [a1, b, a2, two]
    page = await shelf.list(SYSTEM, FileQuery(page=2, page_size=3))
    assert (len(page.data), page.total) == (1, 4)
    assert (await shelf.list(SYSTEM, FileQuery(page=9))).data == ()


async def test_files_are_filtered_in_the_database(cache: HubCache, shelf: ShelfService, events: EventBus) -> None:
    cache.add("Acme/Falcon-GGUF", "falcon_7b-Q4_K_M.gguf", DEMO)
    cache.add("acme/owl", "owl-100%.gguf", b"GGUF and no more")
    await shelf.look()
    await all_read(events, shelf)
    falcon, owl = "Acme/Falcon-GGUF/falcon_7b-Q4_K_M.gguf@2", "acme/owl/owl-100%.gguf@2"
    assert await listed(shelf, search="FALCON") == [falcon]
    assert await listed(shelf, search="acme/") == [falcon, owl]
    assert await listed(shelf, search="n_7") == [falcon]
    assert await listed(shelf, search="n%7") == []
    assert await listed(shelf, search="100%") == [owl]
    assert await listed(shelf, search="gguf:q4_k_m") == [falcon]
    assert await listed(shelf, size_min=100) == [falcon]
    assert await listed(shelf, size_max=16) == [owl]
    assert await listed(shelf, size_min=17, size_max=18) == []
    assert await listed(shelf, capabilities=("tools",)) == [falcon]
    assert await listed(shelf, capabilities=("tools", "vision")) == []


async def test_a_caller_sees_the_files_of_the_models_it_was_granted(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "a-Q4_0.gguf")
    cache.add(REPO, "b-Q8_0.gguf")
    cache.add("other/repo", "c.gguf")
    await shelf.look()

    def caller(*models: str, **grants: bool) -> Caller:
        return Caller.user("ann", scopes=[Scope.MODELS_READ], grants=Grants(frozenset(models), **grants))

    assert await listed(shelf, caller()) == []
    assert await listed(shelf, caller(f"{REPO}:Q4_0")) == [f"{REPO}/a-Q4_0.gguf@2"]
    assert await listed(shelf, caller(f"{REPO}:b-Q8_0", "x")) == [f"{REPO}/b-Q8_0.gguf@2"]
    assert len(await listed(shelf, caller(list_models=True))) == 3
    assert len(await listed(shelf, caller(all_models=True))) == 3
    with pytest.raises(ScopeMissing):
        await shelf.list(Caller.user("bob", scopes=[Scope.INFERENCE]))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"page": 0}, "page"),
        ({"page_size": 101}, "page_size"),
        ({"sort": "path"}, "sort"),
        ({"search": "x" * 257}, "search"),
        ({"search": "a\0b"}, "search"),
        ({"capabilities": ("flight",)}, "capability"),
        ({"size_min": -1}, "size_min"),
        ({"size_max": 2**63}, "size_max"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_field(
    shelf: ShelfService, query: dict[str, object], param: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await shelf.list(SYSTEM, FileQuery(**query))  # type: ignore[arg-type]
    assert refused.value.param == param


async def test_everything_is_read_anew_on_request(cache: HubCache, shelf: ShelfService, events: EventBus) -> None:
    link = cache.add(REPO, "demo.gguf", DEMO)
    await shelf.look()
    await all_read(events, shelf)
    # Somebody writes into the file and puts its time back: nothing tells of it.
    status = link.stat()
    content = bytearray(DEMO)
    content[4:8] = (9).to_bytes(4, "little")
    link.resolve().write_bytes(bytes(content))
    os.utime(link, ns=(status.st_atime_ns, status.st_mtime_ns))
    await shelf.refresh(SYSTEM)
    await all_read(events, shelf)
    assert "version 9" in (await only(shelf)).file.problem


async def test_one_file_is_read_anew_at_once(cache: HubCache, shelf: ShelfService, database: Database) -> None:
    cache.add(REPO, "demo.gguf", DEMO, ref="main")
    cache.add(REPO, "bad.gguf", b"nothing")
    found = await shelf.refresh_file(SYSTEM, REPO, "demo.gguf")
    assert found.facts is not None
    assert found.file.snapshot == NEW
    with pytest.raises(ModelFileUnreadable):
        await shelf.refresh_file(SYSTEM, REPO, "bad.gguf")
    with pytest.raises(ModelFileNotFound):
        await shelf.refresh_file(SYSTEM, REPO, "demo.gguf", OLD)
    ann = Caller.user("ann", scopes=[Scope.MODELS_READ])
    with pytest.raises(ScopeMissing):
        await shelf.refresh(ann)
    rows = await AuditService(database=database, clock=SystemClock()).list(SYSTEM)
    assert [(row.action, str(row.outcome)) for row in rows.data] == [("model_files.refresh", "refused")]


async def test_two_shelves_on_one_database_keep_to_themselves(
    cache: HubCache, shelf: ShelfService, database: Database, tmp_path: Path
) -> None:
    cache.add(REPO, "a.gguf")
    await shelf.look()
    other = HubCache(tmp_path / "other")
    other.add(REPO, "b.gguf")
    async with shelf_of(other.path, database) as second:
        assert await listed(second) == [f"{REPO}/b.gguf@2"]
        assert await listed(shelf) == [f"{REPO}/a.gguf@2"]


async def test_two_processes_on_one_cache_agree(
    cache: HubCache, shelf: ShelfService, database: Database, events: EventBus
) -> None:
    # Either may be the one that reads a header, and tells it to its own process: here both tell one bus.
    async with shelf_of(cache.path, database, events=events) as second:
        for number in range(5):
            cache.add(REPO, f"{number}.gguf", DEMO)
            assert await second.look() == await shelf.look()
        await all_read(events, shelf)
        assert await listed(shelf) == await listed(second)
        assert len(await listed(shelf)) == 5


async def test_servers_that_write_the_same_files_in_any_order_never_wait_for_each_other(
    database: Database, tmp_path: Path
) -> None:
    files = [local(tmp_path / f"{number}.gguf") for number in range(40)]
    told = [(store.key_of("here", file), file, Description()) for file in files]
    keys = [key for key, _, _ in told]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    chance = random.Random(7)

    async def see(turn: int) -> None:
        seen = [replace(file, is_projector=bool(turn % 2)) for file in files]
        async with database.transaction() as tx:
            await store.keep(tx, "here", chance.sample(seen, len(seen)), now)

    async def read(turn: int) -> None:
        async with database.transaction() as tx:
            await store.describe(tx, chance.sample(told, 16))

    async def use(turn: int) -> None:
        async with database.transaction() as tx:
            await store.touch(tx, keys, now + timedelta(days=turn), now + timedelta(days=turn))

    async def forget(turn: int) -> None:
        async with database.transaction() as tx:
            await store.forget_facts(tx, "here")

    async def again(write: Callable[[int], Awaitable[None]]) -> None:
        for turn in range(10):
            await write(turn)

    await see(0)
    # Each in a task of its own, as a transaction belongs to one.
    async with asyncio.TaskGroup() as tasks:
        for write in (see, see, read, read, use, use, forget):
            tasks.create_task(again(write))


async def test_without_a_database_files_are_known_all_the_same(cache: HubCache, tmp_path: Path) -> None:
    cache.add(REPO, "a.gguf")
    closed = Database(f"sqlite:///{tmp_path / 'closed.db'}")
    async with shelf_of(cache.path, closed) as shelf:
        assert len(await shelf.files()) == 1
        assert await shelf.find(REPO, "a.gguf") is not None


def local(path: Path) -> LocalFile:
    return LocalFile(REPO, path.name, NEW, path, 1, 1)


def test_facts_are_kept_as_they_were_told() -> None:
    told = described(local(DEMO_MODEL_PATH), capable)
    assert told.facts is not None
    assert from_kept(to_kept(told.facts)) == told.facts


def test_facts_of_another_version_are_none_or_without_what_is_unknown() -> None:
    facts = GgufFacts("model", "llama")
    assert from_kept({**to_kept(facts), "of_tomorrow": 1}) == facts
    assert from_kept({"kind": "model"}) is None
    assert from_kept({}) is None


def test_what_no_database_holds_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wild = GgufFacts(
        "model",
        "a\0b",
        name="n" * 5000,
        parameters=2**70,
        chat_template="t" * (reading.MAX_TEMPLATE + 1),
        templates=(("x", "y"),),
    )
    monkeypatch.setattr(reading, "facts_of", lambda *_: wild)
    facts = described(local(DEMO_MODEL_PATH), capable).facts
    assert facts is not None
    assert (facts.architecture, len(facts.name), facts.parameters) == ("a�b", reading.MAX_TEXT, 2**63 - 1)
    assert (facts.chat_template, facts.templates) == ("", ())


def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    assert described(local(tmp_path / "none.gguf"), capable).problem == "it cannot be read (No such file or directory)"


async def test_a_fault_of_ours_is_told_of_one_file_and_the_others_are_read(
    cache: HubCache, shelf: ShelfService, events: EventBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: LocalFile, _: object) -> object:
        if file.filename == "a.gguf":
            raise ZeroDivisionError
        return described(file, capable)

    monkeypatch.setattr("bodhi_asgi.shelf.reader.described", broken)
    cache.add(REPO, "a.gguf", DEMO)
    cache.add(REPO, "b.gguf", DEMO)
    await shelf.look()
    await all_read(events, shelf)
    assert [shelved.file.problem for shelved in (await shelf.list(SYSTEM)).data] == ["its header cannot be read", ""]


async def test_an_answer_is_kept_until_something_changes_or_a_moment_has_passed() -> None:
    from bodhi_asgi.clock import StillClock

    clock = StillClock()
    queries: Queries[Page[int]] = Queries(clock)
    asked: list[int] = []

    async def ask() -> Page[int]:
        asked.append(1)
        return Page((len(asked),), 1, 1, 1)

    assert (await queries.answer("a", ask)).data == (1,)
    assert (await queries.answer("a", ask)).data == (1,)
    assert (await queries.answer("b", ask)).data == (2,)
    queries.invalidate()
    assert (await queries.answer("a", ask)).data == (3,)
    clock.advance(BELIEVED_S)
    assert (await queries.answer("a", ask)).data == (4,)

    async def overtaken() -> Page[int]:
        queries.invalidate()
        return await ask()

    assert (await queries.answer("c", overtaken)).data == (5,)
    assert (await queries.answer("c", ask)).data == (6,)
    for number in range(MAX_PAGES + 1):
        await queries.answer(number, ask)
    assert len(queries._answers) == MAX_PAGES
