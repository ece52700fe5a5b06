"""The hub of these tests is one for huggingface_hub too, which knows the real one."""

import asyncio
import hashlib
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub.server import Fault, Hub

WEIGHTS = bytes(range(256)) * 1000


async def test_huggingface_hub_downloads_large_and_small_files_from_it(hub: Hub, endpoint: str, tmp_path: Path) -> None:
    commit = hub.add("owner/model", {"model.gguf": WEIGHTS, "sub/config.json": b"{}"})

    def download(name: str) -> Path:
        return Path(hf_hub_download("owner/model", name, endpoint=endpoint, cache_dir=tmp_path, token="t"))

    hub.allow("t")
    large, small = await asyncio.to_thread(download, "model.gguf"), await asyncio.to_thread(download, "sub/config.json")
    assert large.read_bytes() == WEIGHTS
    assert large.resolve().name == hashlib.sha256(WEIGHTS).hexdigest()
    assert small.read_bytes() == b"{}"
    assert small.parent.parent.name == commit
    assert [seen.headers.get("authorization") for seen in hub.requests("cdn")] == [None]
    assert hub.requests("resolve")[0].headers["authorization"] == "Bearer t"


async def test_huggingface_hub_lists_and_searches_it(hub: Hub, endpoint: str) -> None:
    for number in range(5):
        hub.add(f"owner/model-{number}", {"model.gguf": WEIGHTS}, downloads=number)
    hub.add("other/thing", {"README.md": b"# thing"})
    api = HfApi(endpoint=endpoint, token=False)
    found = await asyncio.to_thread(lambda: list(api.list_models(search="model", filter="gguf", limit=4)))
    assert [model.id for model in found] == [f"owner/model-{number}" for number in (4, 3, 2, 1)]
    info = await asyncio.to_thread(lambda: api.model_info("other/thing", files_metadata=True))
    assert [(file.rfilename, file.size) for file in info.siblings or ()] == [("README.md", 7)]
    tree = await asyncio.to_thread(lambda: list(api.list_repo_tree("owner/model-1")))
    assert [(file.path, file.lfs.sha256) for file in tree] == [("model.gguf", hashlib.sha256(WEIGHTS).hexdigest())]
    paths = await asyncio.to_thread(lambda: api.get_paths_info("owner/model-1", ["model.gguf", "none"]))
    assert [file.path for file in paths] == ["model.gguf"]


async def test_huggingface_hub_understands_its_refusals(hub: Hub, endpoint: str) -> None:
    hub.add("owner/open", {"a.gguf": b"a"})
    hub.add("owner/gated", {"a.gguf": b"a"}, is_gated=True)
    hub.add("owner/private", {"a.gguf": b"a"}, is_private=True)
    hub.allow("mine", "owner/private", "owner/gated")
    for repo, name, revision, error in (
        ("owner/none", "a.gguf", "main", RepositoryNotFoundError),
        ("owner/private", "a.gguf", "main", RepositoryNotFoundError),
        ("owner/gated", "a.gguf", "main", GatedRepoError),
        ("owner/open", "b.gguf", "main", RemoteEntryNotFoundError),
        ("owner/open", "a.gguf", "v9", RevisionNotFoundError),
    ):
        with pytest.raises(error):
            await asyncio.to_thread(
                hf_hub_download, repo, name, revision=revision, endpoint=endpoint, token=False, dry_run=True
            )
    for repo in ("owner/private", "owner/gated"):
        await asyncio.to_thread(hf_hub_download, repo, "a.gguf", endpoint=endpoint, token="mine", dry_run=True)
    who = await asyncio.to_thread(lambda: HfApi(endpoint=endpoint, token="mine").whoami())
    assert who["name"] == "somebody"


async def test_a_range_is_answered_with_the_range_and_a_script_can_spoil_it(hub: Hub, endpoint: str) -> None:
    hub.add("owner/model", {"model.gguf": WEIGHTS})
    url = f"{endpoint}/owner/model/resolve/main/model.gguf"
    async with httpx2.AsyncClient(follow_redirects=True, timeout=60) as client:
        part = await client.get(url, headers={"Range": "bytes=100-199"})
        assert (part.status_code, part.content) == (206, WEIGHTS[100:200])
        assert part.headers["content-range"] == f"bytes 100-199/{len(WEIGHTS)}"
        hub.fault("cdn", Fault(ignores_ranges=True), Fault(cut_after=1000), Fault(status=503), Fault(wrong_byte_at=7))
        assert (await client.get(url, headers={"Range": "bytes=100-199"})).status_code == 200
        with pytest.raises(httpx2.RemoteProtocolError):
            await client.get(url)
        assert (await client.get(url)).status_code == 503
        spoiled = (await client.get(url)).content
        assert [index for index, byte in enumerate(spoiled) if byte != WEIGHTS[index]] == [7]
        assert (await client.get(url)).content == WEIGHTS
        hub.fault("cdn", Fault(hang_after=500))
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(url, timeout=0.2)
    assert [sum(seen.sent) for seen in hub.requests("cdn")][2] == 1000
