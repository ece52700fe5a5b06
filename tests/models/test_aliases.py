"""Aliases on every database: who sees and changes them, what they may be called, and what a name becomes."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bodhi_asgi.caller import Caller, Grants, ModelForbidden, Scope, ScopeMissing
from bodhi_asgi.errors import BodhiError, Invalid
from bodhi_asgi.events.types import AliasCreated, AliasDeleted, AliasUpdated, Event
from bodhi_asgi.models.errors import AliasExists, AliasNotFound, AliasShared, ModelFileMissing, ModelNotFound
from bodhi_asgi.models.params import RequestParams
from bodhi_asgi.models.types import Alias, AliasSpec, FileReference
from bodhi_asgi.shelf.errors import ModelFileInUse
from tests.gguf.files import part_bytes
from tests.models.conftest import MODEL, Family
from tests.shelf.hub_cache import NEW, OLD

HOST = Caller.host()
WRITES = (Scope.MODELS_READ, Scope.MODELS_WRITE, Scope.INFERENCE)
ANN = Caller.user("ann", scopes=WRITES)
BOB = Caller.user("bob", scopes=WRITES)
FILE = FileReference("owner/repo", "model-Q4_K_M.gguf")
FOUND = "owner/repo:Q4_K_M"
SMALL = FileReference("bodhi/settings", "small")


def spec(name: str = "writer", file: FileReference = FILE, **params: Any) -> AliasSpec:
    return AliasSpec(name, file, RequestParams(**params))


def limited(caller: Caller, *models: str, **grants: Any) -> Caller:
    return replace(caller, grants=Grants(models=frozenset(models), **grants))


async def test_an_alias_is_kept_as_it_was_said_with_the_revision_that_is_there(family: Family) -> None:
    asked = AliasSpec("writer", FILE, RequestParams(temperature=0.5, stop=["x"]), {"n_ctx": 4096}, 60.0)
    made = await family.aliases.create(ANN, asked)
    assert (made.name, made.file, made.owner_id) == ("writer", replace(FILE, snapshot=NEW), ANN.id)
    assert (made.params, made.settings) == ({"temperature": 0.5, "stop": ["x"]}, {"n_ctx": 4096})
    assert (made.keep_alive_s, made.created_at, made.updated_at) == (60.0, family.clock.now(), family.clock.now())
    assert await family.aliases.get(ANN, made.id) == made


async def test_a_file_need_not_be_there_yet(family: Family) -> None:
    made = await family.aliases.create(ANN, spec(file=FileReference("owner/new", "new-Q8_0.gguf")))
    assert made.file.snapshot == "main"
    with pytest.raises(ModelFileMissing, match=r"'new-Q8_0\.gguf' of 'owner/new' at 'main' is not on this machine"):
        await family.models.resolve(ANN, "writer")
    family.hub.add("owner/new", "new-Q8_0.gguf", MODEL, ref="main")
    await family.shelf.look()
    assert (await family.models.resolve(ANN, "writer")).spec.path.endswith(f"{NEW}/new-Q8_0.gguf")


@pytest.mark.parametrize("taken", ["small", "demo", FOUND, "mine", "everybodys"])
async def test_a_name_means_one_thing(family: Family, taken: str) -> None:
    await family.aliases.create(ANN, spec("mine"))
    await family.aliases.create(HOST, spec("everybodys"))
    other = await family.aliases.create(ANN, spec("other"))
    for attempt in (
        family.aliases.create(ANN, spec(taken)),
        family.aliases.copy(ANN, other.id, taken),
        family.aliases.update(ANN, other.id, spec(taken)),
    ):
        with pytest.raises(AliasExists) as refused:
            await attempt
        assert (refused.value.status, refused.value.param) == (400, "alias")
    assert (await family.aliases.get(ANN, other.id)).name == "other"


async def test_of_two_who_take_a_name_at_once_one_gets_it(family: Family) -> None:
    attempts = [family.aliases.create(ANN, spec()) for _ in range(5)]
    done = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(one, Alias) for one in done) == 1
    assert sum(isinstance(one, AliasExists) for one in done) == 4


async def test_an_alias_can_be_made_before_the_files_were_looked_at(family: Family) -> None:
    one = await family.aliases.create(ANN, spec("one", SMALL))
    for write in (
        lambda: family.aliases.create(ANN, spec("two", SMALL)),
        lambda: family.aliases.copy(ANN, one.id, "three"),
        lambda: family.aliases.update(ANN, one.id, spec("four", SMALL)),
    ):
        family.shelf._shelf._watch._last = None  # as it is when the server has just started
        assert (await write()).file == SMALL


async def test_of_two_who_delete_an_alias_at_once_one_hears_that_it_is_gone(family: Family) -> None:
    made = await family.aliases.create(ANN, spec())
    with family.events.subscribe(AliasDeleted) as told:
        done = await asyncio.gather(*(family.aliases.delete(ANN, made.id) for _ in range(4)), return_exceptions=True)
        assert sum(one == made for one in done) == 1
        assert sum(isinstance(one, AliasNotFound) for one in done) == 3
        assert (await anext(told)).alias_id == made.id
        assert not told._events


async def test_own_aliases_are_ones_own_and_those_of_the_application_everybodys(family: Family) -> None:
    own = await family.aliases.create(ANN, spec("own"))
    shared = await family.aliases.create(Caller.system(), spec("shared"))
    await family.aliases.create(BOB, spec("own"))
    with pytest.raises(AliasNotFound):
        await family.aliases.get(BOB, own.id)
    with pytest.raises(ModelNotFound):
        await family.models.resolve(HOST, "own")
    assert await family.aliases.get(BOB, shared.id) == shared
    assert (await family.models.resolve(BOB, "shared")).spec.path
    for attempt in (family.aliases.update(BOB, shared.id, spec("taken")), family.aliases.delete(BOB, shared.id)):
        with pytest.raises(AliasShared):
            await attempt
    copied = await family.aliases.copy(BOB, shared.id, "bobs")
    assert (copied.owner_id, copied.file) == (BOB.id, shared.file)
    token = replace(ANN, id="token:1", owner_id=ANN.id)
    assert await family.aliases.get(token, own.id) == own


async def test_an_own_alias_comes_before_a_later_one_of_the_application(family: Family) -> None:
    await family.aliases.create(ANN, spec("writer", temperature=0.25))
    await family.aliases.create(HOST, spec("writer", temperature=0.75))
    assert (await family.models.resolve(ANN, "writer")).defaults.sampling.temperature == 0.25
    assert (await family.models.resolve(BOB, "writer")).defaults.sampling.temperature == 0.75


async def test_an_update_replaces_everything_and_counts_from_then_on(family: Family) -> None:
    made = await family.aliases.create(ANN, AliasSpec("writer", FILE, RequestParams(seed=1), {"slots": 2}, 5.0))
    before = await family.models.resolve(ANN, "writer")
    family.clock.advance(60)
    changed = await family.aliases.update(ANN, made.id, AliasSpec("author", SMALL, RequestParams(top_p=0.5)))
    assert (changed.id, changed.name, changed.file, changed.params) == (made.id, "author", SMALL, {"top_p": 0.5})
    assert (changed.settings, changed.keep_alive_s) == ({}, None)
    assert changed.created_at == made.created_at < changed.updated_at == family.clock.now()
    after = await family.models.resolve(ANN, "author")
    assert (before.spec.slots, before.spec.name, after.spec.name) == (2, "writer", "small")
    with pytest.raises(ModelNotFound):
        await family.models.resolve(ANN, "writer")


async def test_a_deleted_alias_is_gone_and_its_name_free(family: Family) -> None:
    made = await family.aliases.create(ANN, spec())
    await family.aliases.delete(ANN, made.id)
    for attempt in (family.aliases.get(ANN, made.id), family.aliases.delete(ANN, made.id)):
        with pytest.raises(AliasNotFound):
            await attempt
    assert (await family.aliases.create(ANN, spec())).id != made.id


async def test_what_happens_is_told_and_written_down(family: Family) -> None:
    with family.events.subscribe(Event) as told:
        made = await family.aliases.create(ANN, spec())
        await family.aliases.update(ANN, made.id, spec("author"))
        copied = await family.aliases.copy(ANN, made.id, "again")
        await family.aliases.delete(ANN, made.id)
        with pytest.raises(AliasExists):
            await family.aliases.create(ANN, spec("again"))
        family.events.close()
        heard = [event async for event in told if isinstance(event, AliasCreated | AliasUpdated | AliasDeleted)]
    assert heard == [
        AliasCreated(made.id, "writer"),
        AliasUpdated(made.id, "author"),
        AliasCreated(copied.id, "again"),
        AliasDeleted(made.id, "author"),
    ]
    rows = (await family.audit.list(HOST)).data
    assert [row.action for row in rows] == ["alias.delete", "alias.copy", "alias.update", "alias.create"]
    assert rows[-1].detail == {
        "alias": "writer",
        "repo": "owner/repo",
        "filename": "model-Q4_K_M.gguf",
        "snapshot": NEW,
    }


async def test_writing_needs_its_permission_and_refusals_are_written_down(family: Family) -> None:
    reader = Caller.user("eve")
    made = await family.aliases.create(HOST, spec())
    for attempt in (
        family.aliases.create(reader, spec("x")),
        family.aliases.update(reader, made.id, spec("x")),
        family.aliases.copy(reader, made.id, "x"),
        family.aliases.delete(reader, made.id),
    ):
        with pytest.raises(ScopeMissing):
            await attempt
    with pytest.raises(ScopeMissing):
        await family.aliases.get(replace(reader, scopes=frozenset()), made.id)
    rows = (await family.audit.list(HOST)).data
    assert [(row.action, row.outcome) for row in rows][:4] == [
        (action, "refused") for action in ("alias.delete", "alias.copy", "alias.update", "alias.create")
    ]


async def test_nobody_reaches_a_file_by_an_alias_that_he_may_not_use_by_its_own_name(family: Family) -> None:
    some = limited(ANN, "mine", "small")
    for file in (FILE, FileReference("owner/other", "x-Q8_0.gguf"), FileReference("bodhi/settings", "demo")):
        with pytest.raises(ModelForbidden):
            await family.aliases.create(some, spec("mine", file))
    made = await family.aliases.create(some, spec("mine", SMALL))
    with pytest.raises(ModelForbidden):
        await family.aliases.update(some, made.id, spec("mine", FILE))
    assert (await family.models.resolve(some, "mine")).spec.name == "small"


async def test_grants_on_the_alias_decide_who_sees_uses_and_changes_it(family: Family) -> None:
    made = await family.aliases.create(ANN, spec())
    granted, listing, nothing = limited(ANN, "writer"), limited(ANN, list_models=True), limited(ANN)
    assert await family.aliases.get(granted, made.id) == await family.aliases.get(listing, made.id)
    with pytest.raises(AliasNotFound):
        await family.aliases.get(nothing, made.id)
    assert (await family.models.resolve(granted, "writer")).spec.name == FOUND
    for attempt in (
        family.models.resolve(listing, "writer"),
        family.aliases.delete(listing, made.id),
        family.aliases.copy(listing, made.id, "copied"),
    ):
        with pytest.raises(ModelForbidden):
            await attempt


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        (spec(""), "alias"),
        (spec("../x"), "alias"),
        (spec("a//b"), "alias"),
        (spec("a/../b"), "alias"),
        (spec("/etc/passwd"), "alias"),
        (spec("a\\b"), "alias"),
        (spec("x" * 129), "alias"),
        (spec("a b"), "alias"),
        (spec("nul\0"), "alias"),
        (spec("é"), "alias"),
        (spec(file=FileReference("owner", "x.gguf")), "repo"),
        (spec(file=FileReference("../..", "x.gguf")), "repo"),
        (spec(file=FileReference("a/b/c", "x.gguf")), "repo"),
        (spec(file=FileReference("owner/repo", "../../x.gguf")), "filename"),
        (spec(file=FileReference("owner/repo", "/etc/passwd")), "filename"),
        (spec(file=FileReference("owner/repo", "x\0.gguf")), "filename"),
        (spec(file=FileReference("owner/repo", "x" * 2000)), "filename"),
        (spec(file=FileReference("owner/repo", "x.gguf", "../x")), "snapshot"),
        (spec(file=FileReference("bodhi/settings", "../small")), "filename"),
        (spec(file=FileReference("bodhi/settings", "nothing")), "filename"),
        (AliasSpec("x", FILE, settings={"slots": 65}), "context_params"),
        (AliasSpec("x", SMALL, settings={"slots": 65}), "context_params"),
        (AliasSpec("x", FILE, settings={"path": "/etc/passwd"}), "settings"),
        (spec("x", stop=["x"] * 17), "request_params.stop"),
    ],
)
async def test_what_cannot_be_is_refused_by_its_field(family: Family, asked: AliasSpec, param: str) -> None:
    made = await family.aliases.create(ANN, spec("there"))
    for attempt in (family.aliases.create(ANN, asked), family.aliases.update(ANN, made.id, asked)):
        with pytest.raises(Invalid) as refused:
            await attempt
        assert refused.value.param == param


@pytest.mark.parametrize("alias_id", ["", "x", "../x", "0" * 26, "0" * 5000, "'; drop table bodhi_aliases"])
async def test_an_id_that_is_none_is_not_found(family: Family, alias_id: str) -> None:
    with pytest.raises(AliasNotFound):
        await family.aliases.get(ANN, alias_id)


async def test_aliases_of_one_file_share_its_engine_unless_they_run_it_otherwise(family: Family) -> None:
    family.hub.add("owner/repo", "model-Q4_K_M.gguf", MODEL, snapshot=OLD)
    await family.shelf.look()
    bare = (await family.models.resolve(ANN, FOUND)).spec
    for name, made in (
        ("calm", AliasSpec("calm", FILE, RequestParams(temperature=0), keep_alive_s=1)),
        ("wild", AliasSpec("wild", FILE, RequestParams(temperature=2))),
    ):
        await family.aliases.create(ANN, made)
        assert (await family.models.resolve(ANN, name)).spec == bare
        assert await family.models.engine_name(ANN, name) == FOUND
    await family.aliases.create(ANN, AliasSpec("long", FILE, settings={"n_ctx": 9, "tensor_split": [3, 1]}))
    long = (await family.models.resolve(ANN, "long")).spec
    assert (long.name, long.n_ctx, long.tuning.tensor_split) == ("long", 9, (3.0, 1.0))
    await family.aliases.create(ANN, spec("old", replace(FILE, snapshot=OLD)))
    assert (await family.models.resolve(ANN, "old")).spec.name == "old"
    await family.aliases.create(ANN, spec("tiny", SMALL))
    assert (await family.models.resolve(ANN, "tiny")).spec == (await family.models.resolve(ANN, "small")).spec


async def test_files_are_models_under_their_own_names(family: Family) -> None:
    assert (await family.models.resolve(ANN, FOUND)).spec.path.endswith(f"{NEW}/model-Q4_K_M.gguf")
    local = f"local/{family.folder.name}:other-Q8_0"
    assert (await family.models.resolve(ANN, local)).spec.path == str(family.folder / "other-Q8_0.gguf")
    cards = await family.models.list(ANN)
    assert [(card.id, card.source) for card in cards] == [
        ("demo", "demo"),
        (local, "file"),
        (FOUND, "file"),
        ("small", "setting"),
    ]
    await family.aliases.create(ANN, spec())
    assert (await family.models.get(ANN, "writer")).source == "alias"
    assert (await family.models.get(ANN, FOUND)).created > 0
    assert [card.id for card in await family.models.list(limited(ANN, "writer"))] == ["writer"]
    (family.folder / "other-Q8_0.gguf").unlink()
    await family.shelf.look()
    with pytest.raises(ModelNotFound):
        await family.models.get(ANN, local)


async def test_what_is_incomplete_is_not_loaded(family: Family) -> None:
    family.hub.add("owner/big", "big-Q8_0-00001-of-00002.gguf", ref="main")
    await family.shelf.look()
    with pytest.raises(ModelFileMissing, match="it lacks 1 of its 2 parts"):
        await family.models.resolve(ANN, "owner/big:Q8_0")


async def test_any_part_of_a_split_model_stands_for_all_of_it(family: Family) -> None:
    first, second = (f"big/big-Q8_0-{number:05}-of-00002.gguf" for number in (1, 2))
    before = await family.aliases.create(ANN, spec("before", FileReference("owner/big", second)))
    for number, name in enumerate((first, second), start=1):
        family.hub.add("owner/big", name, part_bytes(number, 2), ref="main")
    await family.shelf.look()
    after = await family.aliases.create(ANN, spec("after", FileReference("owner/big", second)))
    assert before.file.filename == after.file.filename == first
    for name in ("before", "after"):
        assert (await family.models.resolve(ANN, name)).spec.path.endswith(f"{NEW}/{first}")
    found = await family.shelf.find("owner/big", second)
    assert found is not None
    assert [path.name for path in found.paths] == [name.rpartition("/")[2] for name in (first, second)]
    with pytest.raises(ModelFileInUse, match="the alias"):
        await family.shelf.delete(HOST, "owner/big", second)


async def test_a_database_that_is_away_is_not_a_model_that_is_not_there(family: Family) -> None:
    await family.aliases._database.close()
    assert (await family.models.resolve(ANN, "small")).spec.name == "small"
    for attempt in (family.models.resolve(ANN, "writer"), family.models.list(ANN)):
        with pytest.raises(BodhiError) as error:
            await attempt
        assert error.value.status == 503
