"""The card of a model: of every kind of name, for who may use it; where its files lie is for who manages models."""

import pytest

from bodhi_asgi.caller import Caller, Forbidden, Grants, ModelForbidden, Scope
from bodhi_asgi.errors import Invalid
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.models.details import DetailsService
from bodhi_asgi.models.errors import ModelFileMissing, ModelNotFound
from bodhi_asgi.models.params import RequestParams
from bodhi_asgi.models.types import AliasSpec, FileReference
from tests.models.conftest import MODEL, Family

SYSTEM = Caller.system()
READER = Caller.user("ann", scopes=frozenset({Scope.MODELS_READ}), grants=Grants(models=frozenset({"kind"})))
LISTS = Caller.user("bob", grants=Grants(models=frozenset({"small"}), list_models=True))
NAME = "model-Q4_K_M.gguf"


@pytest.fixture
def details(family: Family) -> DetailsService:
    return DetailsService(models=family.models, aliases=family.aliases, budget_bytes=lambda: 10**9)


async def kind(family: Family) -> None:
    params = RequestParams.model_validate({"temperature": 0.5, "system_prompt": "You are kind."})
    await family.aliases.create(SYSTEM, AliasSpec("kind", FileReference("owner/repo", NAME), params, {"n_ctx": 512}))


async def test_every_kind_of_name_has_a_card(family: Family, details: DetailsService) -> None:
    await kind(family)
    for name in ("small", "owner/repo:Q4_K_M", "kind"):
        found = await details.get(SYSTEM, name)
        assert (found.name, found.size_bytes, found.facts.kind) == (name, len(MODEL), "model")
        assert found.fit is not None
        assert found.fit.budget_bytes == 10**9
    assert found.parameters == {"temperature": 0.5}
    assert (found.settings, found.system) == ({"n_ctx": 512}, "You are kind.")


async def test_memory_is_counted_for_the_context_that_is_asked_about(details: DetailsService) -> None:
    few, many = [await details.get(SYSTEM, "small", context_tokens=count) for count in (100, 100_000)]
    assert few.fit is not None
    assert many.fit is not None
    assert (few.fit.context_tokens, many.fit.context_tokens) == (100, 100_000)
    for wrong in (0, -1, 2**63):
        with pytest.raises(Invalid, match="context_tokens"):
            await details.get(SYSTEM, "small", context_tokens=wrong)


async def test_where_the_files_lie_is_told_to_who_manages_models(family: Family, details: DetailsService) -> None:
    await kind(family)
    assert [file.name for file in (await details.get(READER, "kind")).files] == [NAME]
    (told,) = (await details.get(SYSTEM, "kind")).files
    assert told.name.startswith(str(family.hub.path))


async def test_a_card_is_for_who_may_use_the_model(details: DetailsService) -> None:
    with pytest.raises(ModelNotFound):
        await details.get(READER, "small")
    with pytest.raises(ModelNotFound):
        await details.get(SYSTEM, "nobody")
    with pytest.raises(ModelForbidden):
        await details.get(LISTS, "owner/repo:Q4_K_M")
    with pytest.raises(Forbidden):
        await details.get(Caller.user("eve", scopes=frozenset({Scope.INFERENCE}), grants=Grants.everything()), "small")


async def test_a_file_that_is_gone_or_spoiled_since_it_was_listed_is_told(
    family: Family, details: DetailsService
) -> None:
    assert (await details.get(SYSTEM, "owner/repo:Q4_K_M")).size_bytes
    (blob,) = (family.hub.path / "models--owner--repo" / "blobs").iterdir()
    blob.write_bytes(b"<!doctype html>")
    with pytest.raises((GgufInvalid, ModelFileMissing)):
        await details.get(SYSTEM, "owner/repo:Q4_K_M")
    blob.unlink()
    with pytest.raises(ModelFileMissing):
        await details.get(SYSTEM, "owner/repo:Q4_K_M")
