"""LoRA adapters in the configuration: a path or a table by name, and one sentence for whatever is wrong."""

from typing import Any

import pytest

from bodhi_asgi.cache.memory import MemoryCache
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import StillClock
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.types import AdapterSpec, Speculation
from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.errors import ModelFileMissing
from bodhi_asgi.models.service import ModelService
from bodhi_asgi.settings.adapters import AdapterSettings
from bodhi_asgi.settings.schema import BodhiServerConfig

PATH = str(DEMO_MODEL_PATH)


def config(adapters: Any) -> BodhiServerConfig:
    return BodhiServerConfig(models={"small": {"path": PATH, "adapters": adapters}})


def models_of(made: BodhiServerConfig) -> ModelService:
    cache = MemoryCache(max_entries=10, ttl_s=60, clock=StillClock())
    configured = ConfiguredModels(models=made.models, demo=False, engine=made.engine, cache=cache)
    return ModelService(configured=configured)


def service(adapters: Any) -> ModelService:
    return models_of(config(adapters))


async def test_adapters_reach_the_engine_by_name_with_their_scale_and_whole_path() -> None:
    model = await service({"tone": PATH, "style": {"path": PATH, "scale": 0}}).resolve(Caller.host(), "small")
    spec = model.spec
    assert spec.adapters == (AdapterSpec("tone", PATH, 1.0), AdapterSpec("style", PATH, 0.0))


def test_the_configuration_stays_hashable_and_shows_them() -> None:
    made = config({"tone": PATH, "style": {"path": PATH, "scale": 0.5}})
    assert hash(made.models) == hash(config({"tone": PATH, "style": AdapterSettings(path=PATH, scale=0.5)}).models)
    (row,) = (row for row in made.rows() if row.name == "models")
    assert f"adapters=tone={PATH}@1,style={PATH}@0.5" in row.value


async def test_a_missing_file_is_told_with_model_and_adapter() -> None:
    with pytest.raises(ModelFileMissing, match="model 'small', adapter 'tone': there is no file"):
        await service({"tone": "/nowhere.gguf"}).resolve(Caller.host(), "small")


@pytest.mark.parametrize(
    ("adapters", "reason"),
    [
        (PATH, "a table of names and paths"),
        ({"../x": PATH}, "cannot be called '../x'"),
        ({"": PATH}, "cannot be called ''"),
        ({"a": 5}, "needs a path as text"),
        ({"a": ""}, "has no path"),
        ({"a": "/path/to/a.gguf"}, "placeholder"),
        ({"a": {"scale": 1}}, "needs a path"),
        ({"a": {"path": PATH, "weight": 1}}, "has no setting 'weight'"),
        ({"a": {"path": PATH, "scale": 17}}, "from -16 to 16"),
        ({"a": {"path": PATH, "scale": True}}, "from -16 to 16"),
        ({"a": {"path": PATH, "scale": float("nan")}}, "from -16 to 16"),
        ({f"a{n}": PATH for n in range(17)}, "17 adapters are too many"),
    ],
)
def test_what_is_wrong_is_refused_in_one_sentence(adapters: Any, reason: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=reason) as refused:
        config(adapters)
    assert refused.value.param == "models.small.adapters"


async def test_a_projector_and_a_draft_model_reach_the_engine_with_their_whole_paths() -> None:
    made = BodhiServerConfig(
        models={"a": {"path": PATH, "mmproj": PATH, "draft": PATH, "draft_tokens": 5}, "b": PATH},
        engine={"speculation": "lookup"},
    )
    models = models_of(made)
    spec = (await models.resolve(Caller.host(), "a")).spec
    assert (spec.projector, spec.speculation) == (PATH, Speculation("model", 5, PATH))
    spec = (await models.resolve(Caller.host(), "b")).spec
    assert (spec.projector, spec.speculation) == ("", Speculation("lookup", 8))


async def test_a_file_beside_a_model_that_is_missing_is_told_with_what_it_was_for() -> None:
    for key, what in (("mmproj", "its projector"), ("draft", "its draft model")):
        made = BodhiServerConfig(models={"a": {"path": PATH, key: "/nowhere.gguf"}})
        models = models_of(made)
        with pytest.raises(ModelFileMissing, match=f"'a', {what}"):
            await models.resolve(Caller.host(), "a")
