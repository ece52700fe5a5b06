"""The list of all models on every database: filtered, in order and in pages, with a total that is right."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.caller import Caller, Grants, Scope, ScopeMissing
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.types import ModelFilesDescribed
from bodhi_asgi.models.types import AliasSpec, FileReference, ModelQuery, Source
from tests.gguf.files import model_bytes
from tests.models.conftest import MODEL, Family

ANN = Caller.user("ann", scopes=(Scope.MODELS_READ, Scope.MODELS_WRITE))
FILE = FileReference("owner/repo", "model-Q4_K_M.gguf")


@pytest.fixture
async def full(family: Family) -> Family:
    """Two models of the settings, two files, and three aliases: of a file, of a setting, and of what is not here."""
    await family.aliases.create(ANN, AliasSpec("b/writer", FILE))
    await family.aliases.create(Caller.host(), AliasSpec("Zoe", FileReference("bodhi/settings", "small")))
    await family.aliases.create(ANN, AliasSpec("absent", FileReference("owner/absent", "x-Q8_0.gguf")))
    await family.aliases.create(Caller.user("bob", scopes=ANN.scopes), AliasSpec("bobs", FILE))
    return family


LOCAL = "local/shelf:other-Q8_0"
FOUND = "owner/repo:Q4_K_M"
NAMES = ["Zoe", "absent", "b/writer", "demo", LOCAL, FOUND, "small"]


async def names(family: Family, caller: Caller = ANN, **query: Any) -> list[str]:
    page = await family.catalogue.list(caller, ModelQuery(**query))
    return [entry.name for entry in page.data]


async def test_all_kinds_stand_in_one_list_by_name(full: Family) -> None:
    page = await full.catalogue.list(ANN)
    assert [entry.name for entry in page.data] == NAMES
    assert (page.total, page.page, page.page_size) == (7, 1, 30)
    assert [entry.source for entry in page.data] == [Source.USER] * 3 + [Source.MODEL] * 4
    sizes = [entry.size_bytes for entry in page.data]
    size = len(MODEL)
    assert sizes == [size, None, size, DEMO_MODEL_PATH.stat().st_size, size, size, size]
    assert page.data[2].alias is not None
    assert page.data[2].alias.file == page.data[5].file


@pytest.mark.parametrize("page_size", [1, 2, 3, 7, 100])
async def test_pages_are_the_list_in_pieces(full: Family, page_size: int) -> None:
    for descending in (False, True):
        found: list[str] = []
        number = 1
        while True:
            query = ModelQuery(page=number, page_size=page_size, is_descending=descending)
            page = await full.catalogue.list(ANN, query)
            assert page.total == 7
            if not page.data:
                break
            found += [entry.name for entry in page.data]
            number += 1
        assert found == (NAMES[::-1] if descending else NAMES)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"sort": "repo"}, ["Zoe", "demo", "small", LOCAL, "absent", "b/writer", FOUND]),
        ({"sort": "filename"}, ["demo", "b/writer", FOUND, LOCAL, "Zoe", "small", "absent"]),
        ({"sort": "source"}, ["demo", LOCAL, FOUND, "small", "Zoe", "absent", "b/writer"]),
        ({"sources": frozenset({Source.USER})}, ["Zoe", "absent", "b/writer"]),
        ({"sources": frozenset({Source.MODEL})}, ["demo", LOCAL, FOUND, "small"]),
        ({"sources": frozenset()}, []),
        ({"size_min": len(MODEL) + 1}, ["absent", "demo"]),
        ({"size_max": len(MODEL)}, ["Zoe", "absent", "b/writer", LOCAL, FOUND, "small"]),
        ({"size_min": 5, "size_max": 6}, ["absent"]),
        ({"search": "WRITER"}, ["b/writer"]),
        ({"search": "q4_k"}, ["b/writer", FOUND]),
        ({"search": "bodhi/sett"}, ["Zoe", "demo", "small"]),
        ({"search": "%"}, []),
        ({"search": "x_Q8"}, []),
        ({"search": "'; drop table bodhi_aliases; --"}, []),
    ],
)
async def test_filters_and_order_come_before_pages(full: Family, query: dict[str, Any], found: list[str]) -> None:
    assert await names(full, **query) == found
    first = await full.catalogue.list(ANN, ModelQuery(**query, page_size=2))
    assert [entry.name for entry in first.data] == found[:2]
    assert first.total == len(found)


async def test_everybody_sees_what_is_granted_and_what_may_be_used(full: Family) -> None:
    def who(**grants: Any) -> Caller:
        return replace(ANN, grants=Grants(**grants))

    some = frozenset({"Zoe", FOUND, "nothing", "bobs"})
    page = await full.catalogue.list(who(models=some))
    assert [(entry.name, entry.access) for entry in page.data] == [("Zoe", True), (FOUND, True)]
    assert page.total == 2
    page = await full.catalogue.list(who(models=some, list_models=True))
    assert [entry.name for entry in page.data if entry.access] == ["Zoe", FOUND]
    assert page.total == 7
    assert (await full.catalogue.list(who())).total == 0
    assert await names(full, Caller.host()) == ["Zoe", "demo", LOCAL, FOUND, "small"]
    with pytest.raises(ScopeMissing):
        await full.catalogue.list(replace(ANN, scopes=frozenset()))


async def test_what_comes_and_goes_on_the_disk_comes_and_goes_in_the_list(full: Family, tmp_path: Path) -> None:
    (full.folder / "new-Q5_0.gguf").write_bytes(MODEL + bytes(10))
    (full.folder / "other-Q8_0.gguf").unlink()
    await full.shelf.look()
    found = await names(full, search="local/")
    assert found == ["local/shelf:new-Q5_0"]
    assert await names(full, size_min=len(MODEL) + 10, size_max=len(MODEL) + 10) == ["absent", "local/shelf:new-Q5_0"]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"page": 0}, "page"),
        ({"page_size": 101}, "page_size"),
        ({"search": "x" * 257}, "search"),
        ({"size_min": -1}, "size_min"),
        ({"size_max": 2**63}, "size_max"),
    ],
)
async def test_a_query_that_cannot_be_is_refused_by_its_field(
    family: Family, query: dict[str, Any], param: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await family.catalogue.list(ANN, ModelQuery(**query))
    assert refused.value.param == param


async def test_models_are_asked_for_by_what_they_can_do(full: Family) -> None:
    full.hub.add("owner/vectors", "vectors-Q8_0.gguf", model_bytes(pooling_type=1), ref="main")
    await full.aliases.create(ANN, AliasSpec("small-demo", FileReference("bodhi/settings", "demo")))
    await full.aliases.create(ANN, AliasSpec("meaning", FileReference("owner/vectors", "vectors-Q8_0.gguf")))
    await full.shelf.look()
    with full.events.subscribe(ModelFilesDescribed) as described:
        async with asyncio.timeout(20):
            while await full.shelf.queue_status(ANN) != "idle":
                await anext(described)
    found = ["meaning", "owner/vectors:Q8_0"]
    assert await names(full, capabilities=frozenset({"embedding"})) == found
    assert await names(full, capabilities=frozenset({"tool_use"})) == ["demo", "small-demo"]
    assert await names(full, capabilities=frozenset({"tool_use", "embedding"})) == []
    page = await full.catalogue.list(ANN, ModelQuery(capabilities=frozenset({"embedding"}), page_size=1))
    assert (page.total, [entry.name for entry in page.data]) == (2, found[:1])
