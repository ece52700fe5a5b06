"""Files that aliases stand for: who wants one gone is told by whom it is needed, as far as that is his business."""

from dataclasses import astuple, replace

import pytest

from bodhi_asgi.caller import Caller, Grants, Scope
from bodhi_asgi.errors import Invalid
from bodhi_asgi.models.errors import AliasNotFound, ModelFileMissing
from bodhi_asgi.models.types import AliasSpec, FileReference
from bodhi_asgi.shelf.errors import ModelFileInUse, ModelFileNotOurs
from bodhi_asgi.shelf.types import Removed
from tests.models.conftest import MODEL, Family

ANN = Caller.user("ann", scopes=(Scope.MODELS_READ, Scope.MODELS_WRITE))
BOB = Caller.user("bob", scopes=ANN.scopes)
HOST = Caller.host()
FILE = FileReference("owner/repo", "model-Q4_K_M.gguf")
GONE = Removed(1, len(MODEL))


async def refusal(family: Family, caller: Caller, *, force: bool = False) -> ModelFileInUse:
    with pytest.raises(ModelFileInUse) as refused:
        await family.shelf.delete(caller, *astuple(FILE), force=force)
    assert (family.hub.repo(FILE.repo) / "blobs").is_dir()
    return refused.value


async def test_a_refusal_names_the_aliases_that_the_caller_may_know_of(family: Family) -> None:
    await family.aliases.create(ANN, AliasSpec("anns", FILE))
    await family.aliases.create(BOB, AliasSpec("bobs", FILE))
    assert (await refusal(family, ANN)).params == {"aliases": "anns"}
    assert "the alias 'anns' and 1 more stand for; delete those first" in (await refusal(family, ANN)).message
    assert (await refusal(family, HOST)).params == {"aliases": "anns, bobs"}
    stranger = await refusal(family, Caller.user("eve", scopes=ANN.scopes))
    assert stranger.params == {}
    assert "2 aliases of others stand for" in stranger.message
    narrow = replace(ANN, grants=Grants(models=frozenset({"owner/repo:Q4_K_M"})))
    assert (await refusal(family, narrow)).params == {}


async def test_force_leaves_own_aliases_without_their_file_and_nobody_elses(family: Family) -> None:
    await family.aliases.create(ANN, AliasSpec("anns", FILE))
    bobs = await family.aliases.create(BOB, AliasSpec("bobs", FILE))
    told = await refusal(family, ANN, force=True)
    assert told.params == {}
    assert "1 alias of others stands for; delete that first" in told.message
    await family.aliases.delete(BOB, bobs.id)
    await refusal(family, ANN)
    assert await family.shelf.delete(ANN, *astuple(FILE), force=True) == GONE
    with pytest.raises(ModelFileMissing, match="'anns'"):
        await family.models.resolve(ANN, "anns")
    family.hub.add("owner/repo", FILE.filename, MODEL, ref="main")
    await family.shelf.look()
    assert (await family.models.resolve(ANN, "anns")).spec.path.endswith(FILE.filename)
    assert [row.detail["force"] for row in (await family.audit.list(HOST)).data if row.action == "model_file.delete"]


async def test_the_application_may_leave_anybody_without_and_its_tokens_may_not(family: Family) -> None:
    await family.aliases.create(ANN, AliasSpec("anns", FILE))
    await family.aliases.create(HOST, AliasSpec("shared", FILE))
    token = replace(ANN, id="token-1", owner_id="host")
    assert (await refusal(family, token)).params == {"aliases": "shared"}
    assert (await refusal(family, token, force=True)).params == {}
    assert await family.shelf.delete(HOST, *astuple(FILE), force=True) == GONE


async def test_an_alias_goes_with_its_file_or_not_at_all(family: Family) -> None:
    first = await family.aliases.create(ANN, AliasSpec("first", FILE))
    second = await family.aliases.create(ANN, AliasSpec("second", FILE))
    with pytest.raises(ModelFileInUse, match="the alias 'second' stands for"):
        await family.catalogue.delete(ANN, first.id, with_file=True)
    assert (await family.aliases.get(ANN, first.id)).name == "first"
    assert await family.catalogue.delete(ANN, first.id) == Removed(0, 0)
    assert await family.catalogue.delete(ANN, second.id, with_file=True) == GONE
    with pytest.raises(AliasNotFound):
        await family.aliases.get(ANN, second.id)


async def test_force_takes_the_file_of_an_alias_from_the_others(family: Family) -> None:
    first = await family.aliases.create(ANN, AliasSpec("first", FILE))
    await family.aliases.create(ANN, AliasSpec("second", FILE))
    assert await family.catalogue.delete(ANN, first.id, with_file=True, force=True) == GONE
    assert [entry.name for entry in (await family.catalogue.list(ANN)).data] == [
        "demo", "local/shelf:other-Q8_0", "second", "small",
    ]  # fmt: skip


async def test_an_alias_whose_file_may_never_be_removed_stays(family: Family) -> None:
    setting = await family.aliases.create(ANN, AliasSpec("mine", FileReference("bodhi/settings", "small")))
    with pytest.raises(Invalid) as refused:
        await family.catalogue.delete(ANN, setting.id, with_file=True, force=True)
    assert refused.value.param == "with_file"
    local = await family.aliases.create(ANN, AliasSpec("plain", FileReference("local/shelf", "other-Q8_0.gguf")))
    with pytest.raises(ModelFileNotOurs):
        await family.catalogue.delete(ANN, local.id, with_file=True, force=True)
    assert (await family.aliases.get(ANN, local.id)).name == "plain"


async def test_an_alias_whose_file_is_not_here_goes_alone(family: Family) -> None:
    absent = await family.aliases.create(ANN, AliasSpec("absent", FileReference("owner/absent", "x-Q8_0.gguf")))
    assert await family.catalogue.delete(ANN, absent.id, with_file=True) == Removed(0, 0)
    with pytest.raises(AliasNotFound):
        await family.aliases.get(ANN, absent.id)


async def test_a_projector_is_kept_for_the_alias_of_its_model(family: Family) -> None:
    family.hub.add("owner/eye", "eye-Q4_0.gguf", MODEL, ref="main")
    family.hub.add("owner/eye", "mmproj-eye-F16.gguf", MODEL + bytes(1))
    await family.shelf.look()
    await family.aliases.create(ANN, AliasSpec("eyes", FileReference("owner/eye", "eye-Q4_0.gguf")))
    with pytest.raises(ModelFileInUse, match="the alias 'eyes' stands for"):
        await family.shelf.delete(ANN, "owner/eye", "mmproj-eye-F16.gguf")
