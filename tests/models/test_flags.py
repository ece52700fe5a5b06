"""The flags of llama.cpp's server that mean our settings: read, written, and refused by name."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.errors import Invalid
from bodhi_asgi.models.flags import (
    FLAGS,
    MAX_PARAM_CHARS,
    MAX_PARAMS,
    SWITCHES,
    checked,
    params_of,
    settings_of,
    tuned_by,
)
from bodhi_asgi.settings.sections import EngineSettings
from bodhi_asgi.settings.tuning import ModelTuning


@pytest.mark.parametrize(
    ("params", "settings"),
    [
        ([], {}),
        (["--ctx-size 4096"], {"n_ctx": 4096}),
        (["--ctx-size", "4096"], {"n_ctx": 4096}),
        (["--ctx_size", "4096", "--parallel 2"], {"n_ctx": 4096, "slots": 2}),
        (["-c 4096 -np 2 -ngl -1"], {"n_ctx": 4096, "slots": 2, "n_gpu_layers": -1}),
        (["--ctx-size=4096"], {"n_ctx": 4096}),
        (["-fa"], {"flash_attention": "on"}),
        (["-fa", "--mlock"], {"flash_attention": "on", "load_mode": "mlock"}),
        (["--flash-attn auto --no-mmap"], {"flash_attention": "auto", "load_mode": "read"}),
        (["-ts 3,1"], {"tensor_split": [3.0, 1.0]}),
        (["--rope-freq-scale .5"], {"rope_freq_scale": 0.5}),
        (["-ctk q8_0", "-ctv q8_0"], {"cache_type_k": "q8_0", "cache_type_v": "q8_0"}),
        (["--prefix-sharing none"], {"prefix_sharing": "none"}),
    ],
)
def test_flags_mean_settings(params: list[str], settings: dict[str, Any]) -> None:
    assert settings_of(params) == settings
    assert settings_of(params_of(settings)) == settings


@pytest.mark.parametrize(
    ("params", "told"),
    [
        (["--jinja"], "'--jinja' means none of the settings"),
        (["--model /etc/passwd"], "'--model' means none"),
        (["--host 0.0.0.0"], "'--host' means none"),
        (["--log-file /tmp/x --ctx-size 1"], "'--log-file' means none"),
        (["--lora x.gguf"], "'--lora' means none"),
        (["-c"], "'-c' has no value"),
        (["-c -np 2"], "'-c' has no value"),
        (["4096"], "'4096' stands behind no flag"),
        (["-c 1 2"], "'2' stands behind no flag"),
        (["-c 1", "--ctx-size 2"], "says again"),
        (["--mlock --no-mmap"], "says again"),
        (["-c many"], "'--ctx-size' is 'many'"),
        (["-c 99999999999"], "'--ctx-size' is '99999999999'"),
        (["-c -5"], "'--ctx-size' is '-5'"),
        (["--pooling rank"], "'--pooling' is 'rank'"),
        (["--mlock=yes"], "'--mlock' means none"),
        (["-ts 0,0"], "'--tensor-split' is"),
        (["-c 1"] * (MAX_PARAMS + 1), "at most 64"),
        (["x" * (MAX_PARAM_CHARS + 1)], "at most 256"),
        (["--" + "x" * 200], "means none"),
    ],
)
def test_what_is_no_setting_is_refused_by_its_name(params: list[str], told: str) -> None:
    with pytest.raises(Invalid, match=told.replace("(", r"\(")) as refused:
        settings_of(params)
    assert refused.value.param == "context_params"


def test_every_setting_that_an_alias_may_have_has_a_flag() -> None:
    # How long a model stays is a matter of its own, as requests have it too.
    assert set(FLAGS) == set(ModelTuning.model_fields) - {"keep_alive_s"}
    flags = [flag for flags in FLAGS.values() for flag in flags]
    assert len(flags) == len(set(flags))
    assert not set(flags) & set(SWITCHES)


def test_settings_by_name_are_checked_as_the_servers_own() -> None:
    assert checked({"n_ctx": 4096, "tensor_split": [3, 1]}, "settings") == {"n_ctx": 4096, "tensor_split": [3.0, 1.0]}
    for settings, param in (({"memory_bytes": 1}, "settings"), ({"n_ctx": -1}, "settings.n_ctx")):
        with pytest.raises(Invalid) as refused:
            checked(settings, "settings")
        assert refused.value.param == param
    with pytest.raises(Invalid, match="keep_alive_s"):
        checked({"keep_alive_s": 1}, "settings")


def test_settings_that_contradict_those_of_the_server_are_refused() -> None:
    engine = EngineSettings(n_batch=64)
    assert tuned_by(engine, {}) is engine
    assert tuned_by(engine, {"slots": 64}).slots == 64
    with pytest.raises(Invalid, match="65 is more than a step has tokens") as refused:
        tuned_by(engine, {"slots": 65})
    assert refused.value.param == "context_params"


@given(st.lists(st.text(max_size=40), max_size=8))
def test_whatever_stands_there_is_understood_or_refused(params: list[str]) -> None:
    with suppress(Invalid):
        settings = settings_of(params)
        assert settings_of(params_of(settings)) == settings
