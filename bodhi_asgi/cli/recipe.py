"""Reads the file from which ``bodhi create`` makes an alias: TOML, with the fields that the HTTP routes take.

``model`` names another model instead of ``repo`` and ``filename``; ``system_prompt`` may stand outside of
``request_params``, where long text is easier to write.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.errors import Invalid

MAX_BYTES: Final = 256 * 1024
FIELDS: Final = (
    "model", "repo", "filename", "snapshot", "system_prompt", "keep_alive", "request_params", "settings",
    "context_params",
)  # fmt: skip


def read_recipe(path: Path) -> dict[str, Any]:
    """The fields of an alias, its name left out. Raises Invalid naming the file, or the field."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise _refused(path, f"is larger than {MAX_BYTES} bytes")
        recipe = tomllib.loads(content.decode())
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _refused(path, "is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise _refused(path, f"cannot be understood: {error}") from None
    except RecursionError:
        raise _refused(path, "is nested too deeply") from None
    unknown = next((name for name in recipe if name not in FIELDS), None)
    if unknown is not None:
        raise Invalid(f"'{unknown[:60]}' is no field of an alias; accepted are {', '.join(FIELDS)}", param=unknown)
    if "model" in recipe and {"repo", "filename", "snapshot"} & recipe.keys():
        raise Invalid("'model' stands for 'repo' and 'filename'; give one or the other", param="model")
    if not isinstance(recipe.get("model", ""), str):
        raise Invalid("'model' is the name of a model", param="model")
    system = recipe.pop("system_prompt", None)
    if system is not None:
        params = recipe.setdefault("request_params", {})
        if not isinstance(params, dict) or "system_prompt" in params:
            raise Invalid("'system_prompt' stands in 'request_params' too; say it once", param="system_prompt")
        params["system_prompt"] = system
    return recipe


def _refused(path: Path, why: str) -> Invalid:
    return Invalid(f"the file {str(path)!r} {why}", param="file")
