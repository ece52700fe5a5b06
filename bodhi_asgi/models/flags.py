"""Context parameters: the flags of llama.cpp's server that mean one of our typed settings, read and written.

Source of the flags: https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md. A flag that means none of
the settings is refused by its name; nothing reaches llama.cpp that has not been understood here.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from bodhi_asgi.errors import Invalid
from bodhi_asgi.settings.sections import EngineSettings
from bodhi_asgi.settings.tuning import ModelTuning, check_together
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import first_fault

FLAGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "n_ctx": ("--ctx-size", "-c", "--n-ctx"),
        "n_batch": ("--batch-size", "-b", "--n-batch"),
        "n_ubatch": ("--ubatch-size", "-ub", "--n-ubatch"),
        "slots": ("--parallel", "-np", "--slots"),
        "threads": ("--threads", "-t"),
        "threads_batch": ("--threads-batch", "-tb"),
        "n_gpu_layers": ("--n-gpu-layers", "-ngl", "--gpu-layers"),
        "split_mode": ("--split-mode", "-sm"),
        "tensor_split": ("--tensor-split", "-ts"),
        "main_gpu": ("--main-gpu", "-mg"),
        "cache_type_k": ("--cache-type-k", "-ctk"),
        "cache_type_v": ("--cache-type-v", "-ctv"),
        "flash_attention": ("--flash-attn", "-fa", "--flash-attention"),
        "rope_scaling": ("--rope-scaling",),
        "rope_freq_base": ("--rope-freq-base",),
        "rope_freq_scale": ("--rope-freq-scale",),
        "yarn_orig_ctx": ("--yarn-orig-ctx",),
        "load_mode": ("--load-mode",),
        "pooling": ("--pooling",),
        "speculation": ("--speculation",),
        "draft_tokens": ("--draft-max", "--draft", "--draft-n", "--draft-tokens"),
        "prefix_sharing": ("--prefix-sharing",),
        "prefix_memory_bytes": ("--prefix-memory-bytes",),
    }
)
"""The flags of each setting; the first is the one that is written. Settings that llama.cpp has not have flags too."""

SETTING_OF: Final = {flag: setting for setting, flags in FLAGS.items() for flag in flags}
SWITCHES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "--mlock": ("load_mode", "mlock"),
        "--no-mmap": ("load_mode", "read"),
        "--mmap": ("load_mode", "mmap"),
    }
)
"""Flags without a value, and what they set."""

ALONE: Final = MappingProxyType({"flash_attention": "on"})
"""What flags that may stand without a value mean then."""

MAX_PARAMS: Final = 64
MAX_PARAM_CHARS: Final = 256
PARAM: Final = "context_params"


def settings_of(params: Sequence[str]) -> JSONObject:
    """The typed settings that the flags mean. Flags and values may share strings or not.

    Raises Invalid naming a flag that is unknown, stands twice, or has a value that is not accepted.
    """
    found: dict[str, Any] = {}
    for flag, value in _pairs(params):
        if flag in SWITCHES and value is None:
            setting, value = SWITCHES[flag]
        elif flag in SETTING_OF:
            setting = SETTING_OF[flag]
            value = ALONE.get(setting) if value is None else value
        else:
            raise _unknown(flag)
        if value is None:
            raise Invalid(f"'{flag}' has no value", param=PARAM)
        if setting in found:
            raise Invalid(f"'{flag}' says again what '{FLAGS[setting][0]}' means; say it once", param=PARAM)
        found[setting] = value
    return checked(found, PARAM)


def checked(settings: Mapping[str, Any], where: str) -> JSONObject:
    """The settings by name, each in its own type and range, as JSON. Raises Invalid naming one below ``where``."""
    unknown = next((name for name in settings if name not in FLAGS), None)
    if unknown is not None:
        raise Invalid(f"'{where}' has no '{unknown[:60]}'; accepted are {', '.join(FLAGS)}", param=where)
    try:
        tuning = ModelTuning.model_validate(dict(settings))
    except ValidationError as error:
        fault = first_fault(error)
        flag = FLAGS.get(fault.param or "", ("",))[0]
        told = fault.message.replace(f"'{fault.param}'", f"'{flag}'", 1) if where == PARAM else fault.message
        raise Invalid(told, param=where if where == PARAM else f"{where}.{fault.param}") from None
    kept: JSONObject = {
        name: list(value) if isinstance(value := getattr(tuning, name), tuple) else value for name in settings
    }
    return kept


def tuned_by(engine: EngineSettings, settings: Mapping[str, Any]) -> EngineSettings:
    """The settings of a model, with those of an alias in their place. Raises Invalid when two contradict each other."""
    if not settings:
        return engine
    tuning = ModelTuning.model_validate(dict(settings))
    tuned = engine.model_copy(update={name: getattr(tuning, name) for name in settings})
    try:
        check_together(tuned, PARAM)
    except PydanticCustomError as error:
        raise Invalid(error.message(), param=PARAM) from None
    return tuned


def params_of(settings: Mapping[str, Any]) -> list[str]:
    """The settings as flags, one a string: the canonical form of what :func:`settings_of` reads."""
    return [f"{flags[0]} {_text(settings[name])}" for name, flags in FLAGS.items() if name in settings]


def _text(value: Any) -> str:
    return ",".join(f"{item:g}" for item in value) if isinstance(value, list | tuple) else str(value)


def _pairs(params: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Each flag with the value behind it, if one is there."""
    if len(params) > MAX_PARAMS:
        raise Invalid(f"'{PARAM}' has {len(params)} items; at most {MAX_PARAMS} are accepted", param=PARAM)
    words: list[str] = []
    for index, text in enumerate(params):
        if len(text) > MAX_PARAM_CHARS:
            raise Invalid(
                f"'{PARAM}.{index}' has {len(text)} characters; at most {MAX_PARAM_CHARS} are accepted", param=PARAM
            )
        words += text.split()
    flag: str | None = None
    for word in words:
        if _is_flag(word):
            if flag is not None:
                yield flag, None
            flag, separator, value = word.partition("=")
            flag = f"--{flag[2:].replace('_', '-')}" if flag.startswith("--") else flag
            if separator:
                yield flag, value
                flag = None
        elif flag is None:
            raise Invalid(f"{word[:60]!r} stands behind no flag; '--ctx-size 4096' is accepted", param=PARAM)
        else:
            yield flag, word
            flag = None
    if flag is not None:
        yield flag, None


def _is_flag(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit() and word[1:2] != "."


def _unknown(flag: str) -> Invalid:
    known = ", ".join((*(flags[0] for flags in FLAGS.values()), *SWITCHES))
    return Invalid(f"'{flag[:60]}' means none of the settings of a model; accepted are {known}", param=PARAM)
