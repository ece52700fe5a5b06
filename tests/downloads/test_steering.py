"""A download on its way: paused, resumed, cancelled, failed, tried again, archived, listed and told of."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiServer, Caller, Forbidden, Invalid, Scope
from bodhi_asgi.downloads.errors import (
    CannotArchiveActive,
    DownloadCancelled,
    DownloadEnded,
    DownloadFailed,
    DownloadNotFound,
    NotRetryable,
)
from bodhi_asgi.events.types import DownloadProgressed
from bodhi_asgi.hub.errors import HubFileCorrupt, HubUnreachable
from bodhi_asgi.pulls import ModelPull
from tests.downloads.conftest import FAT
from tests.hub.server import Fault, Hub

FILE = "acme/fat-GGUF:Q8_0"
HALF = len(FAT)
MOST = HALF - 200_000
"""Of what came before the hub hangs, this much is written for sure."""
Settings = dict[str, Any]


def hang(hub: Hub, times: int = 1) -> None:
    hub.fault("cdn", *(Fault(hang_after=HALF) for _ in range(times)))


async def until(model: ModelPull, state: str, *, bytes_: int = 0) -> None:
    async for now in model:
        if now.state == state and now.downloaded_bytes >= bytes_:
            return
    raise AssertionError(model.now)


async def until_all_is_kept(settings: Settings) -> None:
    """All that the hub sends before it falls silent; what is told of it comes later, and not to the byte."""
    while [part.stat().st_size for part in parts(settings)] != [HALF]:
        await asyncio.sleep(0.01)


def parts(settings: Settings) -> list[Path]:
    return list(Path(settings["hub"]["cache_dir"]).rglob("*.part"))


async def test_a_paused_download_goes_on_at_its_byte(server: BodhiServer, hub: Hub, settings: Settings) -> None:
    hang(hub)
    model = await server.pull_model(FILE)
    await until(model, "running", bytes_=MOST)
    await until_all_is_kept(settings)
    paused = await server.downloads.pause(model.id)
    assert (paused.state, paused.status) == ("paused", "pending")
    assert (await server.downloads.pause(model.id)).state == "paused"
    await until(model, "paused", bytes_=MOST)
    assert (await server.downloads.resume(model.id)).state == "queued"
    done = await model
    assert done.state == "completed"
    assert (await server.downloads.get(model.id)) == done
    model_requests = [seen for seen in hub.requests("cdn") if seen.path.endswith(done_checksum(hub))]
    assert [seen.begin for seen in model_requests] == [0, HALF]


def done_checksum(hub: Hub) -> str:
    repo = hub.repos["acme/fat-GGUF"]
    return repo.commits[repo.refs["main"]]["fat-Q8_0.gguf"].sha256


async def test_pulling_a_paused_download_resumes_it(server: BodhiServer, hub: Hub) -> None:
    hang(hub)
    model = await server.pull_model(FILE)
    await until(model, "running", bytes_=MOST)
    await server.downloads.pause(model.id)
    again = await server.pull_model(FILE)
    assert (again.id, again.now.state) == (model.id, "queued")
    assert (await again).state == "completed"


async def test_a_cancelled_download_leaves_nothing_and_can_be_tried_again(
    server: BodhiServer, hub: Hub, settings: Settings
) -> None:
    hang(hub)
    model = await server.pull_model(FILE)
    await until(model, "running", bytes_=MOST)
    assert parts(settings)
    assert (await server.downloads.cancel(model.id)).status == "error"
    with pytest.raises(DownloadCancelled):
        await model
    while parts(settings):
        await asyncio.sleep(0.01)
    assert (await server.downloads.cancel(model.id)).state == "cancelled"
    assert (await server.downloads.retry(model.id)).state == "queued"
    assert (await (await server.downloads.follow(model.id))).state == "completed"


async def test_a_cancelled_download_is_another_one_when_it_is_pulled_again(server: BodhiServer, hub: Hub) -> None:
    hang(hub)
    model = await server.pull_model(FILE)
    await until(model, "running")
    await server.downloads.cancel(model.id)
    other = await server.pull_model(FILE)
    assert other.id != model.id
    assert (await other).state == "completed"
    await server.downloads.retry(model.id)
    assert (await (await server.downloads.follow(model.id))).state == "completed"


async def test_what_waits_paused_or_in_the_queue_is_cancelled_with_its_parts(
    server: BodhiServer, hub: Hub, settings: Settings
) -> None:
    hang(hub)
    model = await server.pull_model(FILE)
    await until(model, "running", bytes_=MOST)
    await server.downloads.pause(model.id)
    await until(model, "paused", bytes_=MOST)
    while server.services.downloads.at_work:
        await asyncio.sleep(0.01)
    assert parts(settings)
    await server.downloads.cancel(model.id)
    assert not parts(settings)


async def test_a_passing_trouble_is_tried_again_and_told(server: BodhiServer, hub: Hub) -> None:
    hub.fault("cdn", Fault(status=503))
    model = await server.pull_model(FILE)
    waited = [now async for now in model if now.state == "queued" and now.error is not None]
    assert {now.error_code for now in waited} == {HubUnreachable.code}
    assert waited[0].retry_at is not None
    assert (model.now.state, model.now.error, model.now.retry_at) == ("completed", None, None)


async def test_a_hub_that_asks_for_patience_is_left_alone_for_so_long(server: BodhiServer, hub: Hub) -> None:
    hub.fault("cdn", Fault(status=429, headers={"retry-after": "3600"}))
    model = await server.pull_model(FILE)
    async for now in model:
        if now.retry_at is not None:
            break
    assert (model.now.retry_at - model.now.updated_at).total_seconds() == pytest.approx(3600, abs=1)
    await server.downloads.cancel(model.id)


async def test_after_so_many_attempts_without_a_byte_it_has_failed(hub: Hub, settings: Settings) -> None:
    settings["downloads"] = {"attempts": 1}
    async with BodhiServer(**settings) as server:
        hub.fault("cdn", Fault(status=503))
        model = await server.pull_model(FILE)
        with pytest.raises(DownloadFailed, match="fat-Q8_0") as caught:
            await model
        assert caught.value.params["cause"] == HubUnreachable.code
        assert model.now.error
        assert (await server.downloads.retry(model.id)).error is None
        assert (await (await server.downloads.follow(model.id))).state == "completed"


async def test_pulling_what_has_failed_takes_it_up_again(server: BodhiServer, hub: Hub) -> None:
    hub.fault("cdn", Fault(wrong_byte_at=5))
    model = await server.pull_model(FILE)
    with pytest.raises(DownloadFailed):
        await model
    assert model.now.error_code == HubFileCorrupt.code
    again = await server.pull_model(FILE)
    assert again.id == model.id
    assert (await again).state == "completed"


async def test_ends_are_ends(server: BodhiServer, hub: Hub) -> None:
    verbs = server.downloads
    done = await (await server.pull_model(FILE))
    for verb in (verbs.pause, verbs.resume, verbs.cancel):
        with pytest.raises(DownloadEnded):
            await verb(done.id)
    with pytest.raises(NotRetryable):
        await verbs.retry(done.id)
    archived = await verbs.archive(done.id)
    assert archived.archived_at is not None
    assert (await verbs.archive(done.id)).archived_at == archived.archived_at


async def test_what_is_on_its_way_is_not_archived(server: BodhiServer, hub: Hub) -> None:
    hang(hub)
    model = await server.pull_model(FILE)
    with pytest.raises(CannotArchiveActive):
        await server.downloads.archive(model.id)
    await server.downloads.cancel(model.id)
    assert (await server.downloads.archive(model.id)).state == "cancelled"


async def test_lists_are_sorted_filtered_and_paged_in_the_database(server: BodhiServer, hub: Hub) -> None:
    one = await (await server.pull_model("acme/demo-GGUF:Q8_0"))
    two = await (await server.pull_model(FILE))
    three = await (await server.pull_model("acme/demo-GGUF/README.md"))
    listing = server.downloads.list

    async def ids(**options: Any) -> list[str]:
        return [row.id for row in (await listing(**options)).data]

    assert await ids() == [three.id, two.id, one.id]
    assert await ids(descending=False, page_size=2) == [one.id, two.id]
    assert await ids(descending=False, page_size=2, page=2) == [three.id]
    assert await ids(page=9) == []
    assert (await listing(page_size=1)).total == 3
    assert await ids(sort="total_bytes") == [one.id, two.id, three.id]
    assert await ids(sort="filename", descending=False) == [one.id, two.id, three.id]
    assert await ids(search="DEMO-gguf") == [three.id, one.id]
    assert await ids(search="read") == [three.id]
    assert await ids(search="%") == []
    assert await ids(states={"failed", "paused"}) == []
    await server.downloads.archive(one.id)
    assert await ids(archived=True) == [one.id]
    assert await ids(archived=False) == [three.id, two.id]
    for wrong in ({"sort": "owner_id"}, {"page": 0}, {"page_size": 101}, {"search": "x" * 201}):
        with pytest.raises(Invalid):
            await listing(**wrong)


async def test_progress_is_told_as_events(server: BodhiServer, hub: Hub) -> None:
    with server.services.events.subscribe(DownloadProgressed, buffer=1000) as events:
        done = await (await server.pull_model(FILE))
        told = []
        async with asyncio.timeout(10):
            async for event in events:
                told.append(event)
                if event.status == "completed":
                    break
    assert {event.download_id for event in told} == {done.id}
    assert told[0].status == "queued"
    assert told[-1].downloaded_bytes == told[-1].total_bytes == done.total_bytes
    counts = [event.downloaded_bytes for event in told]
    assert counts == sorted(counts)


async def test_ends_are_counted_and_stand_in_the_audit_trail(server: BodhiServer, hub: Hub) -> None:
    done = await (await server.pull_model(FILE))
    meters = server.services.meters
    assert meters.downloads.value(outcome="completed") == 1
    assert meters.downloaded_bytes.value() == done.total_bytes
    rows = (await server.services.audit.list(await server.caller())).data
    told = [(row.action, row.caller_id) for row in rows if row.subject == done.id]
    assert told == [("download.complete", "system"), ("download.pull", "host")]


async def test_who_may_not_manage_models_learns_nothing_of_downloads(server: BodhiServer, hub: Hub) -> None:
    done = await (await server.pull_model(FILE))
    nobody = server.as_caller(Caller.user("ann", scopes=[Scope.MODELS_READ]))
    verbs = nobody.downloads
    steering: list[Callable[[str], Awaitable[object]]] = [
        verbs.get, verbs.pause, verbs.resume, verbs.cancel, verbs.retry, verbs.archive, verbs.follow, verbs.following,
        nobody.pull_model, nobody.search_models,
    ]  # fmt: skip
    for verb in steering:
        with pytest.raises(Forbidden):
            await verb(FILE if verb == nobody.pull_model else done.id)
    with pytest.raises(Forbidden):
        await verbs.list()
    refused = [row.action for row in (await server.services.audit.list(await server.caller())).data
               if str(row.outcome) == "refused"]  # fmt: skip
    assert "download.pull" in refused


async def test_what_does_not_exist_is_not_found(server: BodhiServer) -> None:
    verbs = server.downloads
    for verb in (verbs.get, verbs.pause, verbs.resume, verbs.cancel, verbs.retry, verbs.archive, verbs.following):
        with pytest.raises(DownloadNotFound):
            await verb("01H000000000000000000000NO")


async def test_no_more_are_done_at_once_than_set(hub: Hub, settings: Settings) -> None:
    settings["downloads"] = {"parallel": 1}
    hang(hub)
    async with BodhiServer(**settings) as server:
        first = await server.pull_model(FILE)
        await until(first, "running", bytes_=MOST)
        second = await server.pull_model("acme/demo-GGUF:Q8_0")
        assert server.services.downloads.at_work == {first.id}
        await server.downloads.pause(first.id)
        assert (await second).state == "completed"
        hub.mend()
        await server.downloads.resume(first.id)
        assert (await first).state == "completed"


async def test_a_server_that_stops_leaves_its_downloads_to_the_next(hub: Hub, settings: Settings) -> None:
    hang(hub)
    async with BodhiServer(**settings) as server:
        model = await server.pull_model(FILE)
        await until(model, "running", bytes_=MOST)
        await until_all_is_kept(settings)
    async with BodhiServer(**settings, downloads={"parallel": 0}) as idle:
        now = await idle.downloads.get(model.id)
        assert now.state == "queued"
        assert MOST <= now.downloaded_bytes <= HALF
    async with BodhiServer(**settings) as server:
        assert (await (await server.downloads.follow(model.id))).state == "completed"
    assert [seen.begin for seen in hub.requests("cdn") if seen.path.endswith(done_checksum(hub))] == [0, HALF]


async def test_two_words_of_one_search_find_a_repository(server: BodhiServer) -> None:
    found = await server.search_models("fat")
    assert [repo.repo for repo in found] == ["acme/fat-GGUF"]
