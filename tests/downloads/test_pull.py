"""A model comes from the hub: what is chosen, what is brought, and what it is to ask twice."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from bodhi_asgi import BodhiServer, Invalid, NotFound, Unavailable
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.downloads.errors import FileAlreadyExists
from bodhi_asgi.downloads.types import PullRequest
from bodhi_asgi.gguf.errors import NothingFits
from bodhi_asgi.hub.errors import (
    HubFileNotFound,
    HubReferenceInvalid,
    HubUnreachable,
    RepositoryGated,
    RepositoryNotFound,
)
from tests.downloads.conftest import DEMO, FAT
from tests.hub.server import Fault, Hub

Settings = dict[str, Any]


def cached(settings: Settings, repo: str, filename: str) -> Path | None:
    found = try_to_load_from_cache(repo, filename, cache_dir=settings["hub"]["cache_dir"])
    return Path(found) if isinstance(found, str) else None


async def test_a_pulled_model_lies_in_the_cache_as_its_own_library_puts_it(
    server: BodhiServer, settings: Settings
) -> None:
    done = await (await server.pull_model(DEMO))
    assert (done.state, done.status, done.quant, done.filename) == ("completed", "completed", "Q8_0", "demo-Q8_0.gguf")
    assert done.downloaded_bytes == done.total_bytes == DEMO_MODEL_PATH.stat().st_size
    path = cached(settings, DEMO, "demo-Q8_0.gguf")
    assert path is not None
    assert path.read_bytes() == DEMO_MODEL_PATH.read_bytes()
    (repo,) = scan_cache_dir(settings["hub"]["cache_dir"]).repos
    assert (repo.repo_id, repo.size_on_disk) == (DEMO, done.total_bytes)


async def test_a_model_is_listed_as_soon_as_it_is_here(settings: Settings) -> None:
    settings["shelf"] = {"watch_s": 3600}
    async with BodhiServer(**settings) as server, BodhiServer(**settings, downloads={"parallel": 0}) as other:
        assert (await server.aliases.list()).total == (await other.aliases.list()).total == 0
        pull = await other.pull_model(DEMO)
        await asyncio.gather(await server.downloads.follow(pull.id), pull)
        for each in (server, other):
            assert [model.repo for model in (await each.aliases.list()).data] == [DEMO]
            assert (await each.aliases.find(f"{DEMO}:Q8_0")).filename == "demo-Q8_0.gguf"


async def test_all_parts_of_a_model_and_its_projector_come_together(server: BodhiServer, settings: Settings) -> None:
    done = await (await server.pull_model("acme/fat-GGUF:q4_k_m"))
    shards = [f"Q4_K_M/fat-Q4_K_M-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    assert [file.filename for file in done.files] == [*shards, "mmproj-fat-f16.gguf"]
    for number, shard in enumerate(shards, start=1):
        path = cached(settings, "acme/fat-GGUF", shard)
        assert path is not None
        assert path.read_bytes() == FAT + bytes([number]) * 1000
    assert cached(settings, "acme/fat-GGUF", "mmproj-fat-f16.gguf") is not None
    assert cached(settings, "acme/fat-GGUF", "fat-Q8_0.gguf") is None


async def test_a_file_brings_the_rest_of_its_model_and_others_come_alone(server: BodhiServer) -> None:
    part = await server.pull_model("acme/fat-GGUF/Q4_K_M/fat-Q4_K_M-00002-of-00003.gguf")
    assert len(part.now.files) == 4
    alone = await (await server.pull_model(f"{DEMO}/README.md"))
    assert [file.filename for file in alone.files] == ["README.md"]
    assert alone.quant is None
    await part


async def test_without_a_name_the_largest_that_fits_with_its_context_is_chosen(hub: Hub, settings: Settings) -> None:
    small, large = DEMO_MODEL_PATH.read_bytes(), DEMO_MODEL_PATH.read_bytes() + bytes(4_000_000)
    hub.add("acme/two-GGUF", {"two-Q4_K_M.gguf": small, "two-Q8_0.gguf": large})
    for memory, expected in ((10**9, "Q8_0"), (len(small) + 16_000_000, "Q4_K_M")):
        settings["engine"]["memory_bytes"] = memory
        async with BodhiServer(**settings) as server:
            assert (await server.pull_model("acme/two-GGUF")).now.quant == expected
    settings["engine"]["memory_bytes"] = 1000
    async with BodhiServer(**settings) as server:
        with pytest.raises(NothingFits) as caught:
            await server.pull_model("acme/two-GGUF")
        assert caught.value.param == "quant"
        assert (await server.pull_model("acme/two-GGUF:Q4_K_M")).now.quant == "Q4_K_M"


async def test_what_is_on_its_way_is_found_and_what_is_here_is_complete_at_once(server: BodhiServer, hub: Hub) -> None:
    hub.fault("cdn", Fault(hang_after=100_000))
    first = await server.pull_model(f"{DEMO}:Q8_0")
    second = await server.pull_model(f"{DEMO}/demo-Q8_0.gguf")
    assert first.id == second.id
    hub.mend()
    assert (await first).state == "completed"
    requests = len(hub.requests("cdn"))
    third = await server.pull_model(f"{DEMO}:Q8_0")
    assert (third.id, third.now.state) == (first.id, "completed")
    assert (await third).state == "completed"
    assert len(hub.requests("cdn")) == requests


async def test_many_who_ask_at_once_get_one_download(server: BodhiServer, hub: Hub) -> None:
    pulls = await asyncio.gather(*(server.pull_model(DEMO) for _ in range(8)))
    assert len({pull.id for pull in pulls}) == 1
    await asyncio.gather(*(pull.wait() for pull in pulls))
    assert hub.sent_bytes - DEMO_MODEL_PATH.stat().st_size < 8 * 1024 * 1024  # headers were read for the choice
    assert len([seen for seen in hub.requests("cdn") if "range" not in seen.headers]) == 1


async def test_a_deleted_file_can_be_pulled_again(server: BodhiServer, settings: Settings) -> None:
    first = await (await server.pull_model(DEMO))
    path = cached(settings, DEMO, "demo-Q8_0.gguf")
    assert path is not None
    path.resolve().unlink()
    path.unlink()
    again = await (await server.pull_model(DEMO))
    assert again.id != first.id
    assert path.read_bytes() == DEMO_MODEL_PATH.read_bytes()


async def test_a_file_that_came_by_other_means_is_here(server: BodhiServer, settings: Settings, endpoint: str) -> None:
    from huggingface_hub import hf_hub_download

    await asyncio.to_thread(
        hf_hub_download, DEMO, "demo-Q8_0.gguf", endpoint=endpoint, cache_dir=settings["hub"]["cache_dir"]
    )
    pull = await server.pull_model(DEMO)
    assert pull.now.state == "completed"
    services = server.services
    caller = await server.caller()
    with pytest.raises(FileAlreadyExists):
        await services.downloads.pull(caller, PullRequest(DEMO, quant="Q8_0", refuse_present=True))


async def test_a_new_commit_is_another_download(server: BodhiServer, hub: Hub, settings: Settings) -> None:
    first = await (await server.pull_model(DEMO))
    hub.add(DEMO, {"demo-Q8_0.gguf": DEMO_MODEL_PATH.read_bytes() + b"\0" * 32})
    second = await (await server.pull_model(DEMO))
    assert second.snapshot != first.snapshot
    path = cached(settings, DEMO, "demo-Q8_0.gguf")
    assert path is not None
    assert path.parent.name == second.snapshot
    pinned = await server.pull_model(f"{DEMO}@{first.snapshot}")
    assert (pinned.id, pinned.now.state) == (first.id, "completed")


@pytest.mark.parametrize(
    ("reference", "error", "param"),
    [
        ("demo", Invalid, "model"),
        ("acme/../etc", Invalid, "model"),
        ("bodhi/settings:demo", HubReferenceInvalid, "repo"),
        ("bodhi/settings/demo", HubReferenceInvalid, "repo"),
        ("Local/models", HubReferenceInvalid, "repo"),
        ("local/models/other-Q8_0.gguf", HubReferenceInvalid, "repo"),
        ("acme/nothing-GGUF", RepositoryNotFound, None),
        (f"{DEMO}@v9", NotFound, None),
        (f"{DEMO}:Q2_K", NotFound, "quant"),
        (f"{DEMO}/other.gguf", HubFileNotFound, "filename"),
        ("acme/fat-GGUF", Invalid, None),
    ],
)
async def test_what_cannot_be_pulled_is_refused_before_anything_is_written(
    server: BodhiServer, settings: Settings, reference: str, error: type[Exception], param: str | None
) -> None:
    with pytest.raises(error) as caught:
        await server.pull_model(reference)
    assert param is None or caught.value.param == param  # type: ignore[attr-defined]
    assert (await server.downloads.list()).total == 0
    assert not settings["hub"]["cache_dir"].exists()


async def test_a_gated_repository_says_how_to_get_in(server: BodhiServer, hub: Hub) -> None:
    hub.add("acme/gated-GGUF", {"gated-Q8_0.gguf": FAT}, is_gated=True)
    pull = await server.pull_model("acme/gated-GGUF:Q8_0")
    with pytest.raises(Unavailable, match="accept its terms"):
        await pull
    assert pull.now.error_code == RepositoryGated.code
    assert pull.now.status == "error"


async def test_a_hub_that_is_away_is_told_at_once(settings: Settings) -> None:
    settings["hub"]["endpoint"] = "http://127.0.0.1:9"
    async with BodhiServer(**settings) as server:
        with pytest.raises(HubUnreachable):
            await server.pull_model(DEMO)
