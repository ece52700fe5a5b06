"""What the list of files tells of models that are more than one file: all parts, and the projector, with its size."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bodhi_asgi.caller import Caller
from bodhi_asgi.formats.management.files import LocalModelResponse, encode_file
from bodhi_asgi.shelf.service import ShelfService
from tests.shelf.hub_cache import HubCache
from tests.shelf.shelves import database_at, shelf_of

REPO = "owner/repo"


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture
async def shelf(url: str, cache: HubCache) -> AsyncIterator[ShelfService]:
    async with database_at(url) as database, shelf_of(cache.path, database, watch_s=3600) as opened:
        yield opened


async def listed(shelf: ShelfService) -> list[LocalModelResponse]:
    await shelf.look()
    return [encode_file(one) for one in (await shelf.list(Caller.system())).data]


async def test_a_split_model_is_listed_with_all_its_parts(cache: HubCache, shelf: ShelfService) -> None:
    parts = [f"big/big-{number:05}-of-00002.gguf" for number in (1, 2)]
    for part in parts:
        cache.add(REPO, part, part.encode())
    (shown,) = await listed(shelf)
    assert (shown.filename, shown.shards, shown.parts) == (parts[0], 2, parts)
    assert (shown.size, shown.projector, shown.projector_size) == (sum(map(len, parts)), None, None)


async def test_a_model_is_listed_with_its_projector_and_the_size_of_that(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "big/eye-00001-of-00001.gguf", b"model")
    cache.add(REPO, "plain.gguf", b"another", snapshot="3" * 40)
    cache.add(REPO, "mmproj-eye-F16.gguf", b"a projector")
    model, projector, plain = await listed(shelf)
    assert (model.projector, model.projector_size) == ("mmproj-eye-F16.gguf", len(b"a projector"))
    assert (projector.projector, projector.projector_size) == (None, None)
    assert (plain.projector, plain.projector_size) == (None, None)
