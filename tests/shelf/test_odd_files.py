"""Files that strangers put into the cache: each is listed with what is wrong, none is a fault of ours, all can go."""

import os
from pathlib import Path

import pytest

from bodhi_asgi.caller import Caller
from bodhi_asgi.shelf.errors import ModelFileNotFound, ModelFileUnreadable
from bodhi_asgi.shelf.types import FileState
from tests.gguf.files import TEXT, Pair, header_bytes, model_bytes, part_bytes
from tests.shelf.hub_cache import NEW, HubCache
from tests.shelf.shelves import database_at, shelf_of

REPO = "owner/odd"
SYSTEM = Caller.system()
LLAMA = {"general.architecture": Pair(TEXT, "llama")}
ODD = {
    "twice-00001-of-00002.gguf": part_bytes(1, 2),
    "twice-00002-of-00002.gguf": part_bytes(1, 2),
    "swapped-00001-of-00002.gguf": part_bytes(2, 2),
    "swapped-00002-of-00002.gguf": part_bytes(1, 2),
    "headless-00002-of-00002.gguf": part_bytes(2, 2),
    "many-00001-of-99999.gguf": part_bytes(1, 2),
    "loud-00001-of-00002.GGUF": part_bytes(1, 2),
    "loud-00002-of-00002.GGUF": part_bytes(2, 2),
    "mmproj-00001-of-00002.gguf": part_bytes(1, 2),
}
SOUND = {
    "none-00000-of-00002.gguf": model_bytes(),
    "beyond-00003-of-00002.gguf": model_bytes(),
    "mmproj.gguf": header_bytes({"general.architecture": Pair(TEXT, "clip"), "clip.vision.patch_size": Pair(4, 0)}),
    "less.gguf": header_bytes({**LLAMA, "llama.block_count": Pair(5, -1), "llama.context_length": Pair(11, -5)}),
    "more.gguf": header_bytes(
        {**LLAMA, "llama.block_count": Pair(10, 2**63), "llama.context_length": Pair(10, 2**64 - 1)}
    ),
}


async def test_odd_files_are_told_of_and_can_be_removed(url: str, tmp_path: Path) -> None:
    cache = HubCache(tmp_path / "hub")
    for name, content in {**ODD, **SOUND}.items():
        cache.add(REPO, name, content, ref="main")
    snapshot = cache.repo(REPO) / "snapshots" / NEW
    secret = tmp_path / "secret"
    secret.write_bytes(model_bytes())
    (snapshot / "leading-out.gguf").symlink_to(secret)
    os.mkfifo(cache.repo(REPO) / "blobs" / "pipe")
    (snapshot / "pipe.gguf").symlink_to(Path("..", "..", "blobs", "pipe"))
    async with database_at(url) as database, shelf_of(cache.path, database, watch_s=3600) as shelf:
        listed = [file.filename for file in await shelf.look()]
        for name in listed:
            if name in SOUND:
                assert (await shelf.refresh_file(SYSTEM, REPO, name)).state is FileState.READ
            else:
                with pytest.raises(ModelFileUnreadable):
                    await shelf.refresh_file(SYSTEM, REPO, name)
        assert {file.filename for file in await shelf.files() if not file.problem} == set(SOUND)
        for name in listed:
            await shelf.delete(SYSTEM, REPO, name)
        assert await shelf.look() == ()
        with pytest.raises(ModelFileNotFound) as unknown:
            await shelf.delete(SYSTEM, REPO, "x\u202e\x1b[2J.gguf")
        assert unknown.value.message.isprintable()
    assert secret.read_bytes() == model_bytes()
    assert [path.name for path in (cache.repo(REPO) / "blobs").iterdir()] == ["pipe"]  # nobody knows whose it is


async def test_a_link_out_of_the_cache_is_never_read_through(url: str, tmp_path: Path) -> None:
    cache = HubCache(tmp_path / "hub")
    link = cache.add(REPO, "model.gguf", model_bytes(), ref="main")
    secret = tmp_path / "secret"
    secret.write_bytes(model_bytes("qwen2"))
    async with database_at(url) as database, shelf_of(cache.path, database, watch_s=3600) as shelf:
        assert (await shelf.refresh_file(SYSTEM, REPO, "model.gguf")).state is FileState.READ
        link.unlink()
        link.symlink_to(secret)
        with pytest.raises(ModelFileUnreadable, match="its link leads to a place"):
            await shelf.refresh_file(SYSTEM, REPO, "model.gguf")
