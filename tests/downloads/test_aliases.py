"""An alias for a file that is not here has it brought, and tells in the list of downloads what became of that."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiServer
from bodhi_asgi.formats.management.downloads import DownloadShape
from bodhi_asgi.hub.errors import HubFileNotFound, HubUnreachable
from tests.downloads.conftest import DEMO
from tests.downloads.test_steering import HALF, hang, until
from tests.hub.server import Fault, Hub

Settings = dict[str, Any]
FILE = "demo-Q8_0.gguf"
SHARDS = [f"Q4_K_M/fat-Q4_K_M-{number:05}-of-00003.gguf" for number in (1, 2, 3)]


async def create(server: BodhiServer, repo: str = DEMO, filename: str = FILE, **fields: Any) -> str:
    return (await server.aliases.create({"alias": "poet", "repo": repo, "filename": filename, **fields})).id


async def rows(server: BodhiServer) -> list[DownloadShape]:
    return (await server.downloads.list(descending=False)).data


async def ended(server: BodhiServer, number: int = -1) -> DownloadShape:
    following = await server.downloads.follow((await rows(server))[number].id)
    async for _ in following:
        pass
    return following.now


async def test_an_alias_brings_its_file_and_answers(hub: Hub, settings: Settings) -> None:
    settings["engine"] = {"isolation": "thread"}
    settings["shelf"] = {"watch_s": 3600}
    async with BodhiServer(**settings) as server:
        await create(server)
        done = await ended(server)
        assert (done.state, done.filename, done.quant, done.error) == ("completed", FILE, "Q8_0", None)
        assert done.downloaded_bytes == done.total_bytes > 0
        question = {"model": "poet", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
        assert "Paris" in (await server.chat_completion(question)).choices[0].message.content
        told = [row.action for row in (await server.services.audit.list(await server.caller())).data]
        assert told[-3:] == ["download.complete", "alias.create", "download.pull"]


async def test_all_parts_of_a_model_come_for_an_alias_of_one(server: BodhiServer) -> None:
    await create(server, "acme/fat-GGUF", SHARDS[1])
    done = await ended(server)
    assert [file.filename for file in done.files] == [*SHARDS, "mmproj-fat-f16.gguf"]
    assert done.filename == SHARDS[0]


async def test_a_changed_alias_brings_its_file_too(server: BodhiServer) -> None:
    await ended_after(server, await create(server))
    alias = (await server.aliases.list(type="model_alias")).data[0]
    await server.aliases.update(alias.id, {"alias": "poet", "repo": "acme/fat-GGUF", "filename": "fat-Q8_0.gguf"})
    assert (await ended(server)).filename == "fat-Q8_0.gguf"


async def ended_after(server: BodhiServer, _: str) -> DownloadShape:
    return await ended(server)


async def test_what_the_hub_does_not_have_stands_in_the_list_and_the_alias_stays(server: BodhiServer, hub: Hub) -> None:
    await create(server, filename="none.gguf")
    failed = await ended(server)
    assert (failed.state, failed.error_code, failed.total_bytes) == ("failed", HubFileNotFound.code, 0)
    assert "none.gguf" in (failed.error or "")
    assert (await server.aliases.find("poet")).filename == "none.gguf"
    hub.add(DEMO, {"none.gguf": b"GGUF" * 100})
    await server.downloads.retry(failed.id)
    assert (await ended(server)).state == "completed"


async def test_an_alias_is_made_while_the_hub_is_away_and_its_file_comes_later(server: BodhiServer, hub: Hub) -> None:
    hub.fault("info", Fault(status=503))
    await create(server)
    following = await server.downloads.follow((await rows(server))[0].id)
    waits = [now.error_code async for now in following if now.retry_at is not None]
    assert HubUnreachable.code in waits
    assert following.now.state == "completed"


async def test_what_is_on_its_way_is_not_begun_twice(server: BodhiServer, hub: Hub) -> None:
    hang(hub)
    model = await server.pull_model("acme/fat-GGUF:Q8_0")
    await until(model, "running", bytes_=HALF - 200_000)
    await create(server, "acme/fat-GGUF", "fat-Q8_0.gguf")
    assert len(await rows(server)) == 1
    await server.downloads.pause(model.id)
    await server.aliases.create({"alias": "bard", "repo": "acme/fat-GGUF", "filename": "mmproj-fat-f16.gguf"})
    assert [row.state for row in await rows(server)] != ["paused"]
    hub.mend()
    assert (await model).state == "completed"


async def test_two_that_turn_out_to_be_the_same_bring_it_once(settings: Settings, hub: Hub) -> None:
    async with BodhiServer(**settings, downloads={"parallel": 0}) as idle:
        await create(idle)
        assert [(row.state, row.total_bytes) for row in await rows(idle)] == [("queued", 0)]
        assert (await idle.pull_model(DEMO)).now.state == "queued"
    async with BodhiServer(**settings) as server:
        states = await asyncio.gather(ended(server, 0), ended(server, 1))
        assert [now.state for now in states] == ["completed", "completed"]
    assert len([seen for seen in hub.requests("cdn") if "range" not in seen.headers]) == 1


@pytest.mark.parametrize("repo", ["local/models", "bodhi/settings"])
async def test_nothing_is_begun_for_what_is_none_of_the_hub(settings: Settings, tmp_path: Path, repo: str) -> None:
    settings["models"] = {"x.gguf": str(tmp_path / "x.gguf")}
    async with BodhiServer(**settings) as server:
        await create(server, repo, "x.gguf")
        assert await rows(server) == []


async def test_nothing_is_begun_offline_or_for_a_file_that_is_here(settings: Settings, hub: Hub) -> None:
    async with BodhiServer(**settings) as server:
        await (await server.pull_model(DEMO))
        await create(server)
        assert len(await rows(server)) == 1
    settings["hub"]["mode"] = "offline"
    async with BodhiServer(**settings) as server:
        await server.aliases.create({"alias": "bard", "repo": DEMO, "filename": "other.gguf"})
        assert len(await rows(server)) == 1
